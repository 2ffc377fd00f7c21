/** Ctrl-K: chats, people, messages and what one can do, in one place. */
import { Command } from "cmdk";
import { useEffect, useState, type ReactNode } from "react";
import { useLocation } from "wouter";
import { newId } from "../client";
import type { ChatJson, FoundMessageJson, Listing, PersonJson } from "../client";
import { askAssistant } from "./empty";
import { dateTime, t } from "./i18n";
import { Dialog } from "./dialog";
import { chatName, Name, personName } from "./names";
import { signOut } from "./sidebar";
import { attempt, parley, usePage } from "./store";

interface Found {
  chats: ChatJson[];
  people: PersonJson[];
  messages: FoundMessageJson[];
}

/** in:here or in:"a title", from:name, before:2026-01-31, after:…; the rest are words. */
function parse(text: string): { words: string; filters: Record<string, string> } {
  const filters: Record<string, string> = {};
  const words = text.replace(/(?:^|\s)(in|from|before|after):("[^"]*"|\S*)/g, (_, name: string, value: string) => {
    if (value) filters[name] = value.replaceAll('"', "");
    return " ";
  });
  return { words: words.trim(), filters };
}

async function find(text: string): Promise<Found> {
  const { words, filters } = parse(text);
  const query: Record<string, string> = {};
  const here = /\/c\/([^/]+)/.exec(location.pathname)?.[1];
  if (filters.in === "here" && here) query.chat_id = here;
  else if (filters.in) {
    const named = await parley.rest.get<Listing<ChatJson>>("v1/chats", { query: filters.in, limit: 1 });
    if (!named.items[0]) return { chats: [], people: [], messages: [] };
    query.chat_id = named.items[0].id;
  }
  if (filters.from) {
    const name = filters.from.replace(/^@/, "");
    const found = name.length < 2 ? [] : name === "me" ? [parley.user!] : (await parley.rest.get<Listing<PersonJson>>("v1/users", { query: name })).items;
    if (!found[0]) return { chats: [], people: [], messages: [] };
    query.sender_id = found[0].id;
  }
  for (const [name, field] of [["before", "until"], ["after", "since"]] as const) {
    const at = Date.parse(filters[name] ?? "");
    if (at) query[field] = new Date(at).toISOString();
  }
  const filtered = Object.keys(filters).length > 0;
  const [chats, people, messages] = await Promise.all([
    words && !filtered ? parley.rest.get<Listing<ChatJson>>("v1/chats", { query: words, limit: 6 }) : { items: [] },
    words.length > 1 && !filtered ? parley.rest.get<Listing<PersonJson>>("v1/users", { query: words.replace(/^@/, ""), limit: 6 }) : { items: [] },
    /[\p{L}\p{N}]/u.test(words) ? parley.rest.get<Listing<FoundMessageJson>>("v1/search", { q: words, limit: 20, ...query }) : { items: [] },
  ]);
  return { chats: chats.items, people: people.items.filter((one) => one.id !== parley.user?.id), messages: messages.items };
}

export default function Palette(): ReactNode {
  const [, go] = useLocation();
  const [text, setText] = useState("");
  const [found, setFound] = useState<Found>({ chats: [], people: [], messages: [] });
  const [busy, setBusy] = useState(false);
  const close = () => usePage.setState({ menu: "none" });
  const to = (path: string) => { close(); go(path); };
  useEffect(() => {
    if (!text.trim()) return setFound({ chats: [], people: [], messages: [] });
    let wanted = true;
    const timer = setTimeout(() => {
      setBusy(true);
      void attempt(find(text)).then((all) => {
        if (!wanted) return;
        setBusy(false);
        if (all) setFound(all);
        for (const chat of all?.chats ?? []) if (!parley.chats!.get(chat.id)) parley.chats!.addChat(chat);
      });
    }, 150);
    return () => {
      wanted = false;
      clearTimeout(timer);
    };
  }, [text]);

  async function write(person: PersonJson): Promise<void> {
    const chat = await attempt(parley.rest.post<ChatJson>("v1/chats", { kind: "direct", member_ids: [person.id] }, newId()));
    if (chat) {
      parley.chats!.addChat(chat);
      to(`/c/${chat.id}`);
    }
  }
  const commands = [
    { words: t("New chat"), act: () => usePage.setState({ menu: "new" }) },
    { words: t("Ask the assistant"), act: () => { close(); void askAssistant(go); } },
    { words: t("Settings"), act: () => to("/settings") },
    ...(parley.user?.role === "operator" ? [{ words: t("Administration"), act: () => to("/admin") }] : []),
    { words: t("Keys"), act: () => usePage.setState({ menu: "keys" }) },
    { words: t("Sign out"), act: () => { close(); void signOut(); } },
  ].filter((one) => !text.trim() || one.words.toLowerCase().includes(text.trim().toLowerCase()));
  const recent = text.trim() ? found.chats : (parley.chats?.list() ?? []).slice(0, 8).map((view) => view.chat);
  const nothing = text.trim() && !busy && !recent.length && !found.people.length && !found.messages.length && !commands.length;

  return (
    <Dialog open onClose={close} title={t("Search")} wide>
      <Command shouldFilter={false} label={t("Search")} className="palette">
        <Command.Input autoFocus value={text} onValueChange={setText} placeholder={t("Chats, people, messages · in: from: before: after:")} aria-label={t("Search")} />
        <Command.List>
          {nothing && <p className="quiet">{t("Nothing was found.")}</p>}
          {recent.length > 0 && (
            <Command.Group heading={t("Chats")}>
              {recent.map((chat) => {
                const view = parley.chats?.get(chat.id);
                return <Command.Item key={chat.id} value={`chat ${chat.id}`} onSelect={() => to(`/c/${chat.id}`)}><bdi>{view ? chatName(parley, view) : (chat.title ?? "")}</bdi></Command.Item>;
              })}
            </Command.Group>
          )}
          {found.people.length > 0 && (
            <Command.Group heading={t("People")}>
              {found.people.map((one) => <Command.Item key={one.id} value={`person ${one.id}`} onSelect={() => void write(one)}><Name>{one.display_name}</Name> <span className="quiet small" dir="ltr">@{one.username}</span></Command.Item>)}
            </Command.Group>
          )}
          {found.messages.length > 0 && (
            <Command.Group heading={t("Messages")}>
              {found.messages.map((one) => (
                <Command.Item key={one.id} value={`message ${one.id}`} onSelect={() => to(`/c/${one.chat_id}/m/${one.seq}`)}>
                  <span className="words"><span className="quiet small"><bdi>{personName(parley, one.sender_id)}</bdi> · {dateTime(one.created_at)}</span><Marked message={one} /></span>
                </Command.Item>
              ))}
            </Command.Group>
          )}
          {commands.length > 0 && (
            <Command.Group heading={t("Commands")}>
              {commands.map((one) => <Command.Item key={one.words} value={`command ${one.words}`} onSelect={one.act}>{one.words}</Command.Item>)}
            </Command.Group>
          )}
        </Command.List>
      </Command>
    </Dialog>
  );
}

/** What was found, marked; places count code points. */
function Marked({ message }: { message: FoundMessageJson }): ReactNode {
  const letters = [...(message.body ?? "")];
  const first = (message.highlights[0] as unknown as [number, number] | undefined)?.[0] ?? 0;
  const from = Math.max(0, first - 40);
  const parts: ReactNode[] = from > 0 ? ["…"] : [];
  let at = from;
  for (const [start, length] of message.highlights as unknown as [number, number][]) {
    if (start < at || start > from + 160) continue;
    parts.push(letters.slice(at, start).join(""), <mark key={start}>{letters.slice(start, start + length).join("")}</mark>);
    at = start + length;
  }
  parts.push(letters.slice(at, from + 200).join(""));
  return <span dir="auto">{parts}</span>;
}
