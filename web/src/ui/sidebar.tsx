/** The list of chats. */
import { memo, useDeferredValue, useEffect, useState, type ReactNode } from "react";
import { Link, useLocation } from "wouter";
import type { ChatJson, ChatView, Listing } from "../client";
import { askAssistant, Invitations } from "./empty";
import { Icon } from "./icons";
import { time, t } from "./i18n";
import { Menu, type Choice } from "./kit";
import { Avatar, chatName, personName } from "./names";
import { plain } from "./plain";
import { attempt, NOBODYS, parley, usePage, useParley } from "./store";

export function Sidebar(): ReactNode {
  useParley();
  const [location, go] = useLocation();
  const [shown, setShown] = useState<"chats" | "archived" | "hidden">("chats");
  const [query, setQuery] = useState("");
  const [more, setMore] = useState<string | null>(null);
  const wanted = useDeferredValue(query.trim());
  const found = useFound(shown, wanted);
  const current = /^\/c\/([^/]+)/.exec(location)?.[1];
  const all = parley.chats?.list() ?? [];
  const listed = found
    ? found.map((id) => parley.chats!.get(id)).filter((one): one is ChatView => one !== undefined)
    : all.filter((view) => view.chat.archived === (shown === "archived") && view.chat.hidden === (shown === "hidden") && (shown !== "hidden" || !view.chat.archived));

  async function loadMore(): Promise<void> {
    let cursor = more;
    for (let fresh = 0; !fresh; ) {
      const page = await attempt(parley.rest.get<Listing<ChatJson>>("v1/chats", { cursor, limit: 100 }));
      if (!page) return; // told; the button stays
      const unknown = page.items.filter((chat) => !parley.chats!.get(chat.id));
      for (const chat of unknown) parley.chats!.addChat(chat);
      fresh = unknown.length;
      cursor = page.next_cursor ?? "end";
      if (cursor === "end") break;
    }
    setMore(cursor);
  }

  const choices: Choice[] = [
    { words: t("New chat"), act: () => usePage.setState({ menu: "new" }) },
    { words: t("Search"), act: () => usePage.setState({ menu: "palette" }) },
    { words: t("Settings"), act: () => go("/settings") },
    ...(parley.user?.role === "operator" ? [{ words: t("Administration"), act: () => go("/admin") }] : []),
    { words: t("Keys"), act: () => usePage.setState({ menu: "keys" }) },
    { words: t("Sign out"), act: () => void signOut() },
  ];

  return (
    <nav className="sidebar" aria-label={t("Chats")}>
      <header>
        <Menu label={`${t("Menu")}, ${personName(parley, parley.user!.id)}`} className="me" choices={choices}>
          <Avatar id={parley.user!.id} name={parley.user!.display_name} />
          <bdi>{personName(parley, parley.user!.id)}</bdi>
        </Menu>
        <button type="button" className="icon" aria-label={t("New chat")} title={t("New chat")} onClick={() => usePage.setState({ menu: "new" })}><Icon name="plus" /></button>
      </header>
      <input type="search" className="filter" aria-label={t("Filter chats")} placeholder={t("Filter chats")} value={query} onChange={(event) => setQuery(event.target.value)} dir="auto" />
      <ul className="chats">
        {listed.map((view) => (
          <Row key={view.chat.id} id={view.chat.id} version={view.version} names={parley.chats!.people.size + parley.others.size} current={view.chat.id === current} />
        ))}
        {!listed.length && <li className="none"><span className="quiet small">{query ? t("Nothing is called so.") : t("Nothing here yet.")}</span>{!query && shown === "chats" && <Invitations />}</li>}
      </ul>
      {shown === "chats" && !query && all.length >= 200 && more !== "end" && <button type="button" className="link" onClick={() => void loadMore()}>{t("More chats")}</button>}
      <footer>
        <button type="button" className="link" onClick={() => void askAssistant(go)}>{t("Ask the assistant")}</button>
        <select aria-label={t("Which chats")} value={shown} onChange={(event) => setShown(event.target.value as typeof shown)}>
          <option value="chats">{t("Chats")}</option>
          <option value="archived">{t("Archived")}</option>
          <option value="hidden">{t("Hidden")}</option>
        </select>
      </footer>
    </nav>
  );
}

/** Ids that the service finds; null where the list is what is known already. */
function useFound(shown: string, query: string): string[] | null {
  const [found, setFound] = useState<{ key: string; ids: string[] } | null>(null);
  const key = `${shown} ${query}`;
  useEffect(() => {
    if (!query && shown === "chats") return setFound(null);
    let wanted = true;
    const timer = setTimeout(() => {
      void attempt(parley.rest.get<Listing<ChatJson>>("v1/chats", { query: query || null, archived: shown === "archived", hidden: shown === "hidden", limit: 100 })).then((page) => {
        if (!wanted || !page) return;
        for (const chat of page.items) if (!parley.chats!.get(chat.id)) parley.chats!.addChat(chat);
        setFound({ key, ids: page.items.map((one) => one.id) });
      });
    }, 150);
    return () => {
      wanted = false;
      clearTimeout(timer);
    };
  }, [key]);
  return found?.key === key ? found.ids : null;
}

const Row = memo(function Row({ id, current }: { id: string; version: number; names: number; current: boolean }): ReactNode {
  const view = parley.chats?.get(id);
  if (!view) return null;
  const { chat } = view;
  const name = chatName(parley, view);
  const last = chat.last_message;
  const typing = view.typing[0];
  const answering = last?.kind === "assistant" && last.status === "pending";
  const preview = typing
    ? t("{who} is typing …", { who: personName(parley, typing.user_id) })
    : answering
      ? t("answering …")
      : last
        ? last.deleted_at
          ? t("deleted")
          : `${last.sender_id === parley.user?.id ? t("You: ") : chat.kind === "group" && last.kind !== "system" ? `${personName(parley, last.sender_id)}: ` : ""}${plain((last.body ?? "").slice(0, 400)).slice(0, 80)}`
        : "";
  const unread = chat.unread ? `, ${t("{count} unread", { count: chat.unread })}${view.mentions ? `, ${t("you are mentioned")}` : ""}` : "";
  return (
    <li className={current ? "current" : undefined}>
      <Avatar id={chat.kind === "direct" ? (parley.others.get(id) ?? id) : id} name={name} size={36} />
      <div className="words">
        <div className="top">
          <Link href={`/c/${id}`} aria-current={current ? "page" : undefined} aria-label={`${name}${unread}`}><bdi className="name">{name}</bdi></Link>
          {last && <time className="quiet small" dateTime={last.created_at}>{time(last.created_at)}</time>}
        </div>
        <div className="top"><span className="preview quiet small" dir="auto">{preview}</span>{chat.unread > 0 && <span className={view.mentions ? "count mention" : "count"} aria-hidden="true">{view.mentions ? `@${chat.unread}` : chat.unread > 99 ? "99+" : chat.unread}</span>}</div>
      </div>
    </li>
  );
});

export async function signOut(): Promise<void> {
  const waiting = [...parley.pending.values()].filter((one) => !one.refusal).length;
  if (waiting > 0 && !confirm(t("{count, plural, one {One message waits} other {# messages wait}} to be sent. Sign out and drop them?", { count: waiting }))) return;
  await attempt(parley.signOut(true));
  usePage.setState({ phase: parley.user ? "signed in" : "signed out", ...(parley.user ? {} : NOBODYS) });
}
