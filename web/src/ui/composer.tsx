/** Where one writes. What is written survives a reload; what is sent is kept until it is over. */
import { lazy, Suspense, useEffect, useLayoutEffect, useRef, useState, type ClipboardEvent, type KeyboardEvent, type ReactNode } from "react";
import { continued, type ChatView, type PersonJson, type PromptJson } from "../client";
import { Why } from "./banner";
import { dateTime, t } from "./i18n";
import { personName, visible } from "./names";
import { plain } from "./plain";
import { QuotaLeft } from "./quota";
import { announce, attempt, BASE, parley, loadAssistants, preferences, shownIn, usePage } from "./store";

const FillPrompt = lazy(() => import("./prompts"));
const TYPING_EVERY_MS = 3_000;
const COUNTER_FROM = 0.8;
const DRAFT_MS = 300;

interface Offer {
  key: string;
  words: string;
  hint: string;
  take: () => void;
}

export function Composer({ view }: { view: ChatView; version: number }): ReactNode {
  const chatId = view.chat.id;
  const area = useRef<HTMLTextAreaElement>(null);
  const [text, setText] = useState("");
  const [offered, setOffered] = useState(0);
  const [closed, setClosed] = useState(false);
  const [filling, setFilling] = useState<PromptJson | null>(null);
  const { replyTo, editing, inPlace, place, prompts, assistants } = usePage();
  const answering = replyTo[chatId];
  const typedAt = useRef(0);
  const drafting = useRef<ReturnType<typeof setTimeout> | null>(null);
  const before = useRef("");
  const edited = useRef<string | undefined>(undefined);
  const mine = editing?.chat_id === chatId ? editing : null;

  useEffect(() => {
    let wanted = true;
    void parley.kept?.draft(parley.user!.id, chatId).then((kept) => wanted && kept && setText((had) => had || kept));
    if (!matchMedia("(pointer: coarse)").matches) area.current?.focus();
    return () => {
      wanted = false;
    };
  }, [chatId]);

  useEffect(() => {
    if (mine && !edited.current) before.current = text;
    if (mine) {
      setText(mine.body ?? "");
      area.current?.focus();
    } else if (edited.current) setText(before.current);
    edited.current = mine?.id;
  }, [mine?.id]);

  useLayoutEffect(() => {
    const one = area.current;
    if (!one) return;
    one.style.height = "auto";
    one.style.height = `${Math.min(one.scrollHeight, innerHeight * 0.4)}px`;
  }, [text]);

  function write(now: string): void {
    setText(now);
    setClosed(false);
    setOffered(0);
    if (mine) return;
    if (drafting.current) clearTimeout(drafting.current);
    drafting.current = setTimeout(() => void parley.kept?.keepDraft(parley.user?.id ?? "", chatId, now), DRAFT_MS);
    if (now && Date.now() - typedAt.current > TYPING_EVERY_MS) {
      typedAt.current = Date.now();
      parley.typing(chatId);
    }
  }

  function leaveEdit(): void {
    usePage.setState({ editing: null });
  }

  const length = [...text].length;
  const most = parley.limits.body_max;
  const muted = view.members?.get(parley.user?.id ?? "")?.muted_until ?? null;
  const isMuted = muted !== null && Date.parse(muted) > Date.now();
  const why = view.chat.archived
    ? t("This chat is archived.")
    : view.chat.my_role === "reader"
      ? t("You may read here, not write.")
      : isMuted
        ? t("You are muted here until {until}.", { until: dateTime(muted) })
        : "";
  const writing = view.messages.find((one) => one.kind === "assistant" && one.status === "pending");

  function send(): void {
    const body = text.trim();
    if (!body || length > most || why) return;
    if (mine && !inPlace) {
      if (location.pathname.includes("/m/")) history.pushState(null, "", `${BASE}/c/${chatId}`); // a link to the other branch holds it
      parley.send(chatId, body, mine.reply_to, place || null);
      return leaveEdit();
    }
    if (mine) {
      if (body !== mine.body) void attempt(parley.command("message.edit", chatId, { message_id: mine.id, body }), { action: "message.edit", chat_id: chatId });
      return leaveEdit();
    }
    const waits = parley.pendingIn(chatId).some((one) => !one.refusal); // it continues that one, which will be the newest
    parley.send(chatId, body, answering?.id ?? null, view.chat.kind === "assistant" && !view.hasNewer && !waits ? continued(shownIn(view), view.messages) : undefined);
    setText("");
    typedAt.current = 0;
    if (drafting.current) clearTimeout(drafting.current);
    void parley.kept?.keepDraft(parley.user!.id, chatId, "");
    usePage.setState({ replyTo: { ...usePage.getState().replyTo, [chatId]: undefined } });
    area.current?.focus();
  }

  const put = (now: string) => { write(now); area.current?.focus(); };
  const command = text.startsWith("/");
  useEffect(() => {
    if (command) void import("./prompts").then(({ loadPrompts }) => loadPrompts()).catch(() => undefined); // those that were loaded, then
  }, [command]);
  const calls = view.chat.kind === "group" && text.includes("@");
  useEffect(() => {
    if (calls) void loadAssistants().catch(() => undefined); // those that were loaded, then
  }, [calls]);
  const offers = closed ? [] : [...offersFor(text, area.current?.selectionStart ?? text.length, view, assistants, put), ...promptsFor(text, prompts, (one) => (one.variables.length ? setFilling(one) : put(one.text)))];

  function pressed(event: KeyboardEvent<HTMLTextAreaElement>): void {
    if (event.nativeEvent.isComposing || event.keyCode === 229) return;
    if (offers.length) {
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        event.preventDefault();
        return setOffered((offered + (event.key === "ArrowDown" ? 1 : offers.length - 1)) % offers.length);
      }
      if (event.key === "Tab" || (event.key === "Enter" && !event.shiftKey)) {
        event.preventDefault();
        return offers[offered]?.take();
      }
      if (event.key === "Escape") return setClosed(true);
    }
    const withCtrl = preferences().send_with === "ctrl-enter";
    if (event.key === "Enter" && (withCtrl ? event.ctrlKey || event.metaKey : !event.shiftKey && !event.ctrlKey && !event.metaKey && !event.altKey)) {
      event.preventDefault();
      send();
    } else if (event.key === "Escape") {
      if (mine) leaveEdit();
      else if (answering) usePage.setState({ replyTo: { ...replyTo, [chatId]: undefined } });
    } else if (event.key === "ArrowUp" && !text) {
      const last = shownIn(view).findLast(({ message }) => message.sender_id === parley.user?.id && !message.deleted_at);
      if (last) {
        event.preventDefault();
        usePage.setState({ editing: last.message, inPlace: view.chat.kind !== "assistant", place: last.place });
      }
    }
  }

  async function pasted(event: ClipboardEvent<HTMLTextAreaElement>): Promise<void> {
    const html = event.clipboardData.getData("text/html");
    const plain = event.clipboardData.getData("text/plain");
    if (!html || !/<(a|b|strong|em|i|ul|ol|li|h\d|table|pre|code|blockquote)[\s>]/i.test(html)) return;
    event.preventDefault();
    const one = event.currentTarget;
    const [from, to] = [one.selectionStart, one.selectionEnd];
    let made = plain;
    try {
      const { default: Turndown } = await import("turndown");
      made = new Turndown({ headingStyle: "atx", codeBlockStyle: "fenced", bulletListMarker: "-" }).remove(["script", "style"]).turndown(new DOMParser().parseFromString(html, "text/html").body);
    } catch {
      // as plain text, then
    }
    write(text.slice(0, from) + made + text.slice(to));
  }

  // Beside the form, not in it: React hands the submit of a dialog's form on to the forms around its place.
  const asks = filling && <Suspense fallback={null}><FillPrompt of={filling} onDone={(made) => { setFilling(null); put(made); }} onClose={() => setFilling(null)} /></Suspense>;
  return (
    <>
    {asks}
    <form className="composer" onSubmit={(event) => { event.preventDefault(); send(); }}>
      {answering && !mine && (
        <p className="context small"><span>{t("Answering")} <bdi>{personName(parley, answering.sender_id)}</bdi>: <span dir="auto">{plain(answering.body ?? "").slice(0, 80)}</span></span><button type="button" onClick={() => usePage.setState({ replyTo: { ...replyTo, [chatId]: undefined } })}>{t("Cancel")}</button></p>
      )}
      {mine && <p className="context small"><span>{inPlace ? t("Editing your message") : t("Asking anew: the answers so far stay beside it")}</span><button type="button" onClick={leaveEdit}>{t("Cancel")}</button></p>}
      {parley.note?.kind === "silent" && parley.note.chat_id === chatId && (
        <p className="context small" role="status"><span>{silentWords(parley.note.code)}</span><button type="button" onClick={() => parley.tellNote(null)}>{t("Close")}</button></p>
      )}
      {offers.length > 0 && (
        <ul className="offers" role="listbox" aria-label={t("Suggestions")} id="offers">
          {offers.map((one, n) => (
            <li key={one.key} id={`offer-${n}`} role="option" aria-selected={n === offered} onMouseDown={(event) => { event.preventDefault(); one.take(); }}>
              <b>{one.words}</b> <span className="quiet">{one.hint}</span>
            </li>
          ))}
        </ul>
      )}
      <div className="line">
        <textarea
          ref={area}
          name="message"
          aria-label={t("Message")}
          placeholder={why || t("Message")}
          rows={1}
          dir="auto"
          value={text}
          disabled={Boolean(why)}
          aria-autocomplete="list"
          aria-controls={offers.length ? "offers" : undefined}
          aria-activedescendant={offers.length ? `offer-${offered}` : undefined}
          onChange={(event) => write(event.target.value)}
          onKeyDown={pressed}
          onPaste={(event) => void pasted(event)}
        />
        {writing && <button type="button" onClick={() => void attempt(parley.command("reply.stop", chatId, { message_id: writing.id }), { action: "reply.stop", chat_id: chatId })}>{t("Stop")}</button>}
        <button type="submit" className="main" disabled={!text.trim() || length > most || Boolean(why)}>{t("Send")}</button>
      </div>
      {!why && (view.chat.kind === "assistant" || text.includes("@")) && <QuotaLeft last={view.messages.findLast((one) => one.kind === "assistant" && one.status !== "pending")?.id ?? ""} />}
      {why && <p role="status" className="quiet small">{why} <Why action="message.send" chat_id={chatId} /></p>}
      {length > most * COUNTER_FROM && <p className={`small ${length > most ? "bad" : "quiet"}`} role="status">{t("{length} of {most} characters", { length, most })}</p>}
    </form>
    </>
  );
}

/** Why an assistant that was called says nothing. */
function silentWords(code: string): string {
  const known: Record<string, string> = {
    banned: t("The assistant is kept out of this chat."),
    muted: t("The assistant is muted in this chat."),
    off: t("The assistant was told to say nothing in this chat."),
    quota_exceeded: t("Your quota, or what the assistant may say here in an hour, is used up."),
    not_allowed: t("The assistant may not be asked here: it isn't for you, it is no more, or nothing may go to a provider outside (see About this chat, What holds here)."),
  };
  return known[code] ?? code;
}

/** Prompts behind a / that begins the text. */
function promptsFor(text: string, prompts: PromptJson[], take: (one: PromptJson) => void): Offer[] {
  const begun = /^\/([^\n]{0,100})$/.exec(text)?.[1]?.toLowerCase();
  if (begun === undefined) return [];
  return prompts
    .filter((one) => one.name.toLowerCase().startsWith(begun))
    .slice(0, 8)
    .map((one) => ({ key: one.id, words: `/${visible(one.name)}`, hint: one.text.slice(0, 60), take: () => take(one) }));
}

/** People behind an @, and what can be done behind a / that begins the text. */
function offersFor(text: string, at: number, view: ChatView, assistants: PersonJson[], write: (text: string) => void): Offer[] {
  const upTo = text.slice(0, at);
  const name = /(?:^|[\s(])@([\w.-]*)$/.exec(upTo);
  if (name) {
    const begun = name[1]!.toLowerCase();
    const people: PersonJson[] = [...(view.members?.values() ?? [])].map((one) => one.user);
    const there = new Set(people.map((one) => one.id));
    if (view.chat.kind === "group") people.push(...assistants.filter((one) => !there.has(one.id)));
    return people
      .filter((one) => one.id !== parley.user?.id && (one.username.startsWith(begun) || one.display_name.toLowerCase().startsWith(begun)))
      .slice(0, 8)
      .map((one) => ({ key: one.id, words: `@${one.username}`, hint: visible(one.display_name), take: () => write(`${upTo.slice(0, upTo.length - begun.length)}${one.username} ${text.slice(at)}`) }));
  }
  const word = /^\/(\w*)$/.exec(text);
  if (!word) return [];
  const chatId = view.chat.id;
  const all: Offer[] = [
    { key: "search", words: "/search", hint: t("find a message"), take: () => { write(""); usePage.setState({ menu: "palette" }); } },
    { key: "members", words: "/members", hint: t("who is here"), take: () => { write(""); usePage.setState({ panel: true }); } },
    { key: "new", words: "/new", hint: t("a new chat"), take: () => { write(""); usePage.setState({ menu: "new" }); } },
    { key: "keys", words: "/keys", hint: t("all keys"), take: () => { write(""); usePage.setState({ menu: "keys" }); } },
    { key: "hide", words: "/hide", hint: t("take it from my list"), take: () => { write(""); void attempt(parley.rest.put(`v1/chats/${chatId}/hidden`)).then(() => announce(t("Hidden"))); } },
  ];
  return all.filter((one) => one.words.startsWith(`/${word[1]}`));
}
