/** One message: who, when, what, and what one can do with it. */
import { lazy, memo, Suspense, useLayoutEffect, useRef, useState, useSyncExternalStore, type MouseEvent, type ReactNode } from "react";
import { Link, useLocation } from "wouter";
import type { ChatJson, ChatView, MessageJson, Pending, Writing } from "../client";
import { refusalWords, Why } from "./banner";
import { dateTime, t, time } from "./i18n";
import { Icon } from "./icons";
import { Menu, type Choice } from "./kit";
import { csv, draw, late, morph, rendered } from "./markdown";
import { Avatar, personName } from "./names";
import { plain } from "./plain";
import { attempt, BASE, parley, ROOT, useNow, usePage } from "./store";

const TOUCH = matchMedia("(hover: none)").matches;
const Emoji = lazy(() => import("./emoji"));

export function Markdown({ body, streaming }: { body: string; streaming: boolean }): ReactNode {
  const ref = useRef<HTMLDivElement>(null);
  const known = useSyncExternalStore(late.subscribe, late.version);
  useLayoutEffect(() => {
    if (ref.current) morph(ref.current, rendered(body, streaming));
  }, [body, streaming, known]);
  return <div className="body" dir="auto" ref={ref} onClick={pressed} />;
}

function pressed(event: MouseEvent): void {
  const button = (event.target as HTMLElement).closest<HTMLElement>("button[data-act]");
  if (!button) return;
  const box = button.closest(".code, .table")!;
  const text = box.querySelector("code")?.textContent ?? "";
  if (button.dataset.act === "copy") copy(text);
  if (button.dataset.act === "csv") copy(csv(box.querySelector("table")!));
  if (button.dataset.act === "wrap") box.toggleAttribute("data-state");
  if (button.dataset.act === "draw") void attempt(draw(text));
}

export function copy(text: string): void {
  void attempt(navigator.clipboard.writeText(text)).then(() => usePage.setState({ said: t("Copied") }));
}

interface Shown {
  view: ChatView;
  message: MessageJson;
  writing: Writing | undefined;
  grouped: boolean;
  siblings: MessageJson[];
  /** What all of them continue. */
  place: string;
  onSibling: (step: number) => void;
  lit: boolean;
  names: number;
  role: string;
}

export const Message = memo(function Message({ view, message, writing, grouped, siblings, place, onSibling, lit, role }: Shown): ReactNode {
  const [picking, setPicking] = useState(false);
  const who = personName(parley, message.sender_id);
  const mine = message.sender_id === parley.user?.id;
  const pending = message.kind === "assistant" && message.status === "pending";
  const body = pending && writing ? writing.text : (message.body ?? "");
  const reply = message.reply_to && message.kind !== "assistant" ? message.reply_to : null;
  return (
    <article className={`message${grouped ? " grouped" : ""}${lit ? " lit" : ""}${mine ? " mine" : ""}${message.kind === "system" ? " system" : ""}`} aria-label={`${who}, ${time(message.created_at)}`} data-seq={message.seq} tabIndex={-1}>
      {grouped ? <span className="gutter quiet small" aria-hidden="true">{time(message.created_at)}</span> : <Avatar id={message.sender_id ?? "parley"} name={who} size={36} />}
      <div className="content">
        <header className={grouped ? "unseen" : undefined}>
          <bdi className="name">{who}</bdi> {message.via && <span className="quiet small">{t("by {name}", { name: message.via.name })}</span>} <Link className="quiet small" href={`/c/${message.chat_id}/m/${message.seq}`} title={dateTime(message.created_at)}><time dateTime={message.created_at}>{time(message.created_at)}</time></Link>
        </header>
        {reply && <Answered view={view} id={reply} />}
        {message.deleted_at ? <p className="quiet">{t("deleted")}</p> : body ? <Markdown body={body} streaming={pending} /> : null}
        <State view={view} message={message} writing={writing} empty={!body} />
        {siblings.length > 1 && <Pager siblings={siblings} at={siblings.findIndex((one) => one.id === message.id)} onSibling={onSibling} />}
        {message.reactions.length > 0 && (
          <div className="reactions">
            {message.reactions.map((one) => {
              const own = one.user_ids.includes(parley.user!.id);
              const names = one.user_ids.map((id) => personName(parley, id)).join(", ");
              return (
                <button type="button" key={one.emoji} aria-pressed={own} title={names} aria-label={`${one.emoji} ${one.count}: ${names}`} onClick={() => react(message, one.emoji, !own)}>
                  {one.emoji} {one.count}
                </button>
              );
            })}
          </div>
        )}
      </div>
      {!message.deleted_at && message.kind !== "system" && <Actions view={view} message={message} mine={mine} role={role} place={place} onPick={() => setPicking(!picking)} />}
      {picking && (
        <Suspense fallback={null}>
          <Emoji onClose={() => setPicking(false)} onPick={(emoji) => { setPicking(false); react(message, emoji, true); }} />
        </Suspense>
      )}
    </article>
  );
});

function react(message: MessageJson, emoji: string, add: boolean): void {
  const type = add ? "reaction.add" : "reaction.remove";
  void attempt(parley.command(type, message.chat_id, { message_id: message.id, emoji }), { action: type, chat_id: message.chat_id });
}

/** What it answers, and the way there. */
function Answered({ view, id }: { view: ChatView; id: string }): ReactNode {
  const found = view.find(id);
  const [fetched, setFetched] = useState<MessageJson | null>(null);
  const shown = found ?? fetched;
  async function go(): Promise<void> {
    const message = shown ?? (await attempt(parley.rest.get<MessageJson>(`v1/chats/${view.chat.id}/messages/${id}`)));
    if (!message) return;
    setFetched(message);
    history.pushState(null, "", `${BASE}/c/${view.chat.id}/m/${message.seq}`);
  }
  return (
    <button type="button" className="answered" onClick={() => void go()}>
      <Icon name="reply" /> {shown ? <><bdi>{personName(parley, shown.sender_id)}</bdi>: <span dir="auto">{plain(shown.body ?? t("deleted")).slice(0, 80)}</span></> : t("an earlier message")}
    </button>
  );
}

/** Of an answer and of an edit, in words. */
function State({ view, message, writing, empty }: { view: ChatView; message: MessageJson; writing: Writing | undefined; empty: boolean }): ReactNode {
  const parts: ReactNode[] = [];
  if (message.edited_at && !message.deleted_at) parts.push(<span key="e" title={dateTime(message.edited_at)}>{t("edited")}</span>);
  if (view.pins?.has(message.id)) parts.push(<span key="p"><Icon name="pin" /> {t("pinned")}</span>);
  if (message.kind === "assistant" && !message.deleted_at) {
    if (message.status === "pending") {
      parts.push(<span key="s" className="busy">{empty ? <Beginning view={view} message={message} /> : t("writing …")}</span>);
      if ((writing?.attempt ?? 1) > 1) parts.push(<span key="a">{t("attempt {n}", { n: writing!.attempt })}</span>);
    } else {
      if (message.status === "stopped") parts.push(<span key="s">{t("stopped")}</span>);
      if (message.status === "failed") parts.push(<span key="s" className="bad">{t("failed: {why}", { why: message.failure?.reason ?? message.failure?.code ?? "" })}</span>);
      if ((message.attempt ?? 1) > 1) parts.push(<span key="a">{t("attempt {n}", { n: message.attempt! })}</span>);
      if (view.chat.assistant?.model) parts.push(<span key="m" dir="ltr">{view.chat.assistant.model}</span>);
      if (message.usage) parts.push(<span key="u">{t("{count} tokens", { count: message.usage.completion_tokens })}</span>);
    }
  }
  for (const [n, words] of (view.remarks.get(message.id) ?? []).entries()) parts.push(<span key={`r${n}`} dir="auto">{t("with a remark: {words}", { words })}</span>);
  if (!parts.length) return null;
  return <p className="state quiet small">{parts.flatMap((one, n) => (n ? [" · ", one] : [one]))}</p>;
}

/** Before the first word of an answer. */
function Beginning({ view, message }: { view: ChatView; message: MessageJson }): ReactNode {
  const now = useNow(1_000);
  const progress = parley.chats!.replies.progressOf(message.id);
  const before = view.chat.kind === "assistant" ? view.messages.filter((one) => one.kind === "assistant" && one.status === "pending" && one.seq < message.seq).length : 0;
  if (before && !progress) return t("waits for its turn: {count, plural, one {one answer} other {# answers}} before it", { count: before });
  if (progress?.waits && progress.waits.until > now) {
    const n = Math.ceil((progress.waits.until - now) / 1_000);
    return progress.waits.code === "rate_limited" ? t("the model is busy; asked again in {n} s", { n }) : t("the model can't answer just now; asked again in {n} s", { n });
  }
  if (progress?.instead) return t("its provider can't answer: {who} is asked instead", { who: progress.instead });
  return progress?.chars ? t("thinking … {count} characters so far", { count: progress.chars }) : t("thinking …");
}

function Pager({ siblings, at, onSibling }: { siblings: MessageJson[]; at: number; onSibling: (step: number) => void }): ReactNode {
  return (
    <div className="pager small">
      <button type="button" aria-label={t("Previous")} disabled={at <= 0} onClick={() => onSibling(-1)}>‹</button>
      <span>{at + 1}/{siblings.length}</span>
      <button type="button" aria-label={t("Next")} disabled={at >= siblings.length - 1} onClick={() => onSibling(1)}>›</button>
    </div>
  );
}

function Actions({ view, message, mine, role, place, onPick }: { view: ChatView; message: MessageJson; mine: boolean; role: string; place: string; onPick: () => void }): ReactNode {
  const chatId = message.chat_id;
  const [, go] = useLocation();
  const writes = role !== "reader" && !view.chat.archived;
  const queued = writes && message.status === "pending" && message.kind === "assistant" && view.messages.find((one) => one.kind === "assistant" && one.status === "pending")?.id !== message.id;
  const manages = role === "owner" || role === "admin";
  const branches = view.chat.kind === "assistant";
  const isReply = message.kind === "assistant";
  const link = `${ROOT}c/${chatId}/m/${message.seq}`;
  const edit = () => usePage.setState({ editing: message, inPlace: !branches, place });
  const remove = () => { if (confirm(t("Delete this message for everyone?"))) command("message.delete")(); };
  const command = (type: string) => () => void attempt(parley.command(type, chatId, { message_id: message.id }), { action: type, chat_id: chatId });
  const more: Choice[] = [
    // A finger finds here what has no room beside the message.
    ...(TOUCH && queued ? [{ words: t("Stop"), act: command("reply.stop") }] : []),
    ...(TOUCH && queued && branches ? [{ words: t("Add a remark"), act: remark }] : []),
    ...(TOUCH && writes && isReply && message.status !== "pending" ? [{ words: t("Regenerate"), act: command("reply.regenerate") }] : []),
    ...(TOUCH && writes && mine ? [{ words: t("Edit"), act: edit }] : []),
    ...(TOUCH && (mine || manages) && !view.chat.archived ? [{ words: t("Delete"), act: remove }] : []),
    { words: t("Copy as Markdown"), act: () => copy(message.body ?? "") },
    { words: t("Copy link"), act: () => copy(link) },
  ];
  if (isReply && message.status !== "pending") more.push({ words: t("How this answer came about"), act: () => usePage.setState({ origin: message }) });
  if (branches && message.status !== "pending") more.push({ words: t("Go on from here in a new chat"), act: () => void fork() });
  if (branches && writes && mine) more.push({ words: t("Correct it, without asking anew"), act: () => usePage.setState({ editing: message, inPlace: true }) });
  if (writes) more.push(view.pins?.has(message.id) ? { words: t("Unpin"), act: () => pin(false) } : { words: t("Pin"), act: () => pin(true) });
  if (!mine && !isReply) more.push({ words: t("Report …"), act: report });
  function pin(add: boolean): void {
    const type = add ? "message.pin" : "message.unpin";
    void attempt(parley.command(type, chatId, { message_id: message.id }), { action: type, chat_id: chatId }).then(() => parley.loadPins(chatId));
  }
  async function fork(): Promise<void> {
    const made = await attempt(parley.rest.post<ChatJson>(`v1/chats/${chatId}/fork`, { message_id: message.id }));
    if (made) go(`/c/${made.id}`);
  }
  function remark(): void {
    const text = prompt(t("What is to be added to the question?"));
    if (text?.trim()) void attempt(parley.command("reply.steer", chatId, { message_id: message.id, text }).then(() => usePage.setState({ said: t("Added") })), { action: "reply.steer", chat_id: chatId });
  }
  function report(): void {
    const reason = prompt(t("What is wrong with it? Operators will read this."));
    if (reason?.trim()) void attempt(parley.rest.post(`v1/chats/${chatId}/messages/${message.id}/report`, { reason })).then((done) => done && usePage.setState({ said: t("Reported") }));
  }
  return (
    <div className="actions" role="group" aria-label={t("Actions")}>
      {writes && <button type="button" aria-label={t("thumbs up")} title="👍" onClick={() => react(message, "👍", true)}><Icon name="thumb" /></button>}
      {writes && <button type="button" aria-label={t("React")} title={t("React")} onClick={onPick}><Icon name="smile" /></button>}
      {writes && <button type="button" aria-label={t("Reply")} title={t("Reply")} onClick={() => { usePage.setState({ replyTo: { ...usePage.getState().replyTo, [chatId]: message } }); document.querySelector<HTMLTextAreaElement>("textarea[name=message]")?.focus(); }}><Icon name="reply" /></button>}
      {queued && <button type="button" onClick={command("reply.stop")}>{t("Stop")}</button>}
      {queued && branches && <button type="button" onClick={remark}>{t("Add a remark")}</button>}
      {writes && isReply && message.status !== "pending" && <button type="button" onClick={command("reply.regenerate")}>{t("Regenerate")}</button>}
      {writes && mine && <button type="button" aria-label={t("Edit")} title={t("Edit")} onClick={edit}><Icon name="edit" /></button>}
      {(mine || manages) && !view.chat.archived && <button type="button" aria-label={t("Delete")} title={t("Delete")} onClick={remove}><Icon name="trash" /></button>}
      <button type="button" aria-label={t("Copy")} title={t("Copy")} onClick={(event) => copy((event.currentTarget.closest("article")?.querySelector(".body") as HTMLElement | null)?.innerText ?? "")}><Icon name="copy" /></button>
      <Menu label={t("More")} className="more" choices={more}><Icon name="more" /></Menu>
    </div>
  );
}

export function Waiting({ one, online }: { one: Pending; online: boolean }): ReactNode {
  const held = one.heldUntil !== null && one.heldUntil > Date.now();
  return (
    <article className={`message mine waiting${one.refusal ? " refused" : ""}`} aria-label={`${personName(parley, one.user_id)}, ${t("not sent yet")}`}>
      <Avatar id={one.user_id} name={personName(parley, one.user_id)} size={36} />
      <div className="content">
        <header><bdi className="name">{personName(parley, one.user_id)}</bdi></header>
        <Markdown body={one.body} streaming={false} />
        <p className="state small">
          {one.refusal ? <span className="bad">{t("not sent: {why}", { why: refusalWords(one.refusal) })} </span> : <span className="quiet">{held ? t("waiting: too many at once") : online ? t("sending") : t("waiting")} </span>}
          {one.refusal && one.refusal.policies.length > 0 && <Why action="message.send" chat_id={one.chat_id} />}
          {(one.refusal || !online) && <button type="button" onClick={() => (one.refusal ? parley.retry(one.id) : parley.connectNow())}>{t("Retry")}</button>}
          {(one.refusal || !online) && <button type="button" onClick={() => parley.discard(one.id)}>{t("Discard")}</button>}
        </p>
      </div>
    </article>
  );
}
