/** A chat: its head, the column of messages, the composer, and who is in it. */
import { lazy, Suspense, useEffect, useLayoutEffect, useMemo, useRef, useState, type ReactNode } from "react";
import { VList, type VListHandle } from "virtua";
import { Link } from "wouter";
import { kept, shownOf, type ChatView, type Chosen, type MessageJson, type Shown } from "../client";
import { Composer } from "./composer";
import { day, t } from "./i18n";
import { Icon } from "./icons";
import { Back, IconButton } from "./kit";
import { Message, Waiting } from "./message";
import { chatName, personName } from "./names";
import { parley, useChat, useParley, usePage } from "./store";

const Panel = lazy(() => import("./panel"));
const NEAR = 400;
const NEAR_TOP = 1_000;
const AT_END = 60;
const GROUPED_MS = 5 * 60_000;
const NOTHING: Chosen = {};

export function ChatPage({ chatId, seq }: { chatId: string; seq: number | null }): ReactNode {
  useParley();
  const view = useChat(chatId);
  const { panel } = usePage();
  const [missing, setMissing] = useState(false);
  useEffect(() => {
    if (view || parley.gone.has(chatId)) return;
    void parley.loadChat(chatId).then((found) => setMissing(!found), () => setMissing(true));
  }, [chatId, view === undefined]);
  if (!view) {
    const gone = parley.gone.has(chatId) || missing;
    return (
      <main className="centred">
        {gone ? <><div role="alert"><h1>{t("This chat isn't there for you")}</h1><p>{t("You were removed, it was never yours, or it doesn't exist.")}</p></div><p><Link href="/">{t("To the chats")}</Link></p></> : <p className="quiet">{t("One moment …")}</p>}
      </main>
    );
  }
  return (
    <>
      <main className="chat">
        <Head view={view} />
        <Column key={chatId} view={view} version={view.version} seq={seq} />
        <Composer view={view} version={view.version} />
      </main>
      {panel && <Suspense fallback={null}><Panel view={view} version={view.version} /></Suspense>}
    </>
  );
}

function Head({ view }: { view: ChatView }): ReactNode {
  const { chat } = view;
  const typing = view.typing.map((one) => personName(parley, one.user_id));
  const words = typing.length
    ? t("{who} is typing …", { who: typing.slice(0, 3).join(", ") })
    : chat.kind === "group"
      ? t("{count, plural, one {# person} other {# people}}", { count: chat.members_count })
      : "";
  return (
    <header className="head">
      <Back />
      <div className="words">
        <h1><bdi>{chatName(parley, view)}</bdi></h1>
        <span className="quiet small">{chat.archived ? t("archived") : words}{chat.forked_from && <Link href={`/c/${chat.forked_from.chat_id}/m/${chat.forked_from.seq}`}>{t("goes on from a message of another chat")}</Link>}</span>
      </div>
      <IconButton label={t("Search in this chat")} onClick={() => usePage.setState({ menu: "palette" })}><Icon name="search" /></IconButton>
      <IconButton label={t("About this chat")} pressed={usePage.getState().panel} onClick={() => usePage.setState({ panel: !usePage.getState().panel })}><Icon name="list" /></IconButton>
    </header>
  );
}

/** Where the column stands. wanted: what it opens at; opened: it has come there. */
interface Place {
  first: string;
  atEnd: boolean;
  opened: boolean;
  wanted: number | "unread" | "end";
  offset: number;
}

/** The reader's day, as a number. */
function dateOf(at: string): number {
  const date = new Date(at);
  return date.getFullYear() * 400 + date.getMonth() * 32 + date.getDate();
}

type Row = { key: string; node: ReactNode; seq?: number };

function Column({ view, version, seq }: { view: ChatView; version: number; seq: number | null }): ReactNode {
  const list = useRef<VListHandle>(null);
  const [firstUnread, setFirstUnread] = useState<number | null>(null);
  const [end, setEnd] = useState<boolean | null>(null);
  const place = useRef<Place>({ first: "", atEnd: true, opened: false, wanted: seq ?? "unread", offset: 0 });
  const chatId = view.chat.id;
  const role = view.chat.my_role;
  const chosen = usePage((page) => page.chosen[chatId]) ?? NOTHING;
  const there = new Set(view.messages.slice(-200).map((one) => one.client_message_id));
  const pending = parley.pendingIn(chatId).filter((one) => !there.has(one.id));
  const online = parley.status === "online";

  // What is unread is decided once the service has told it, or can't.
  const [tries, setTries] = useState(0);
  const decided = online || parley.status === "reconnecting";
  useEffect(() => {
    if (!decided) return;
    place.current = { first: "", atEnd: true, opened: false, wanted: seq ?? "unread", offset: 0 };
    if (seq !== null) usePage.setState({ chosen: { ...usePage.getState().chosen, [chatId]: {} } });
    const unread = view.chat.unread > 0 && seq === null ? view.chat.read_seq : null;
    setFirstUnread(unread);
    void parley.load(chatId, seq ?? (unread !== null && view.chat.unread > 30 ? unread + 1 : null)).then(() => {
      if (!view.loaded) setTimeout(() => setTries(tries + 1), 2_000);
      else if (seq !== null && !view.messages.some((one) => one.seq === seq)) usePage.setState({ problem: { words: t("There is no such message in this chat.") } });
    });
    if (!view.members) void parley.loadMembers(chatId).catch(() => undefined);
    if (!view.pins) void parley.loadPins(chatId).catch(() => undefined);
  }, [chatId, seq, decided, tries]);

  const names = parley.chats!.people.size;
  const shown = useMemo(() => shownOf(view.chat.kind, view.messages, chosen, seq), [version, chosen, seq]);
  const before = useRef<Shown[]>([]);
  useLayoutEffect(() => {
    const stays = view.chat.kind === "assistant" ? kept(before.current, shown, view.messages, parley.user!.id) : null;
    before.current = shown;
    const { chosen: all } = usePage.getState();
    if (stays) usePage.setState({ chosen: { ...all, [chatId]: { ...all[chatId], ...stays } } });
  }, [shown]);
  const rows = useMemo(() => {
    const made: Row[] = [];
    let last: MessageJson | null = null;
    let dateBefore = 0;
    let pill = firstUnread === null;
    for (const { message, siblings, place } of shown) {
      const date = dateOf(message.created_at);
      if (date !== dateBefore) {
        made.push({ key: `day ${message.id}`, node: <div className="day" role="separator"><span>{day(message.created_at)}</span></div> });
        last = null;
        dateBefore = date;
      }
      if (!pill && message.seq > firstUnread! && message.sender_id !== parley.user?.id) {
        pill = true;
        made.push({ key: "unread", node: <div className="day new" role="separator" aria-label={t("New messages")}><span>{t("New")}</span></div> });
        last = null;
      }
      const grouped = last !== null && last.sender_id === message.sender_id && !message.reply_to && Date.parse(message.created_at) - Date.parse(last.created_at) < GROUPED_MS;
      const step = (by: number) => {
        const next = siblings[siblings.indexOf(message) + by];
        const { chosen: all } = usePage.getState();
        if (next) usePage.setState({ chosen: { ...all, [chatId]: { ...all[chatId], [place]: { id: next.id, newest: siblings.at(-1)!.id } } } });
      };
      made.push({
        key: message.id,
        seq: message.seq,
        node: <Message view={view} message={message} writing={parley.chats!.replies.get(message.id)} grouped={grouped} siblings={siblings} place={place} onSibling={step} lit={message.seq === seq} names={names} role={role} />,
      });
      last = message;
    }
    for (const one of pending) made.push({ key: one.id, node: <Waiting one={one} online={online} /> });
    return made;
  }, [shown, firstUnread, pending.map((one) => `${one.id}${one.refusal?.code ?? ""}`).join(), online, seq, names, role]);

  const first = rows.find((one) => one.seq !== undefined)?.key ?? ""; // of what is rendered: the messages may be further already
  const shift = place.current.first !== "" && place.current.first !== first && rows.some((one) => one.key === place.current.first);
  useLayoutEffect(() => {
    place.current.first = first;
  });

  useLayoutEffect(() => {
    const handle = list.current;
    if (!handle || !view.loaded || view.loading || !rows.length) return;
    const at = place.current;
    if (!at.opened) {
      at.opened = true;
      const { wanted } = at;
      const target = rows.findIndex((one) => (typeof wanted === "number" ? one.seq !== undefined && one.seq >= wanted : wanted === "unread" && one.key === "unread"));
      at.atEnd = target < 0;
      requestAnimationFrame(() => requestAnimationFrame(() => list.current && scrolled(list.current.scrollOffset)));
      if (target >= 0) handle.scrollToIndex(target, { align: typeof wanted === "number" ? "center" : "start" });
      else handle.scrollToIndex(rows.length - 1, { align: "end" });
    } else if (at.atEnd) handle.scrollToIndex(rows.length - 1, { align: "end" });
  }, [rows, view.loaded]);

  useEffect(() => {
    const marked = () => {
      if (place.current.atEnd && !view.hasNewer && view.loaded && document.visibilityState === "visible") parley.markRead(chatId, view.messages.at(-1)?.seq ?? 0);
    };
    marked();
    document.addEventListener("visibilitychange", marked);
    return () => document.removeEventListener("visibilitychange", marked);
  }, [version, view.loaded, end]);

  function scrolled(offset: number): void {
    const handle = list.current;
    if (!handle) return;
    const left = handle.scrollSize - offset - handle.viewportSize;
    const up = offset < place.current.offset - 2;
    place.current.offset = offset;
    const atEnd = left < AT_END && !view.hasNewer && !(up && left > 2);
    place.current.atEnd = atEnd;
    setEnd(atEnd);
    if (offset < NEAR_TOP && view.hasOlder && view.loaded) void parley.loadOlder(chatId);
    if (left < NEAR && view.hasNewer) void parley.loadNewer(chatId);
  }

  // What is shown of what is loaded may be less than the screen holds: nothing scrolls then.
  useEffect(() => {
    if (view.loaded && view.hasOlder && (!list.current || list.current.scrollOffset < NEAR_TOP)) void parley.loadOlder(chatId);
  }, [rows, view.loaded]);

  const newest = pending.at(-1)?.id;
  useEffect(() => {
    if (newest) void toEnd();
  }, [newest]);

  async function toEnd(): Promise<void> {
    if (view.hasNewer) {
      place.current = { first: "", atEnd: true, opened: false, wanted: "end", offset: 0 };
      await parley.load(chatId);
    } else {
      place.current.atEnd = true;
      list.current?.scrollToIndex(rows.length - 1, { align: "end" });
    }
    setEnd(true);
  }

  return (
    <div className="column">
      {view.loaded && !rows.length ? (
        <div className="centred quiet"><p>{view.chat.forked_from ? t("What was said up to that message goes with what you ask here.") : view.chat.kind === "assistant" ? t("Ask it anything.") : t("Nothing was said here yet. Say the first word.")}</p></div>
      ) : (
        <VList ref={list} shift={shift} onScroll={scrolled} className="messages" tabIndex={0} role="region" aria-label={t("Messages")} itemSize={72}>
          {rows.map((one) => (
            <div key={one.key} className="row">{one.node}</div>
          ))}
        </VList>
      )}
      {(end === false || view.hasNewer) && (
        <button type="button" className="pill" onClick={() => void toEnd()}>
          <Icon name="down" /> {view.chat.unread ? t("{count} new", { count: view.chat.unread }) : t("To the newest")}
        </button>
      )}
    </div>
  );
}
