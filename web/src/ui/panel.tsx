/** Beside a chat: its title, who is in it and what they may, what is pinned. What one may not do isn't offered. */
import { lazy, Suspense, useEffect, useState, type ReactNode } from "react";
import { useLocation } from "wouter";
import { newId } from "../client";
import type { ChatJson, ChatView, Listing, MemberJson, MessageJson, PersonJson } from "../client";
import { Picker } from "./assistants";
import { dateTime, t } from "./i18n";
import { Icon } from "./icons";
import { IconButton, Menu, type Choice } from "./kit";
import { Avatar, chatName, Name, personName, visible } from "./names";
import { PersonSearch } from "./person_search";
import { attempt, BASE, parley, usePage } from "./store";

const Invitations = lazy(() => import("./access").then((all) => ({ default: all.Invitations })));

const RANK = { owner: 3, admin: 2, member: 1, reader: 0 };
const HOUR_MS = 3_600_000;

export default function Panel({ view }: { view: ChatView; version: number }): ReactNode {
  const { chat } = view;
  const [, go] = useLocation();
  const [adding, setAdding] = useState(false);
  const [pins, setPins] = useState<MessageJson[]>([]);
  const [banned, setBanned] = useState<PersonJson[] | null>(null);
  const manages = chat.my_role === "owner" || chat.my_role === "admin";
  const path = `v1/chats/${chat.id}`;
  useEffect(() => {
    void parley.loadMembers(chat.id).catch(() => undefined);
    void parley.loadPins(chat.id).then(setPins, () => undefined);
  }, [chat.id, view.pins?.size]);

  const key = () => newId();
  async function rename(): Promise<void> {
    const title = prompt(t("Title"), chat.title ?? "");
    if (title?.trim()) await attempt(parley.rest.patch<ChatJson>(path, { title }, key()), { action: "chat.update", chat_id: chat.id });
  }
  const archive = () => attempt(parley.rest.patch(path, { archived: !chat.archived }, key()), { action: "chat.update", chat_id: chat.id });
  async function leave(): Promise<void> {
    if (!confirm(t("Leave this chat?"))) return;
    const done = await attempt(parley.rest.delete(`${path}/members/${parley.user!.id}`).then(() => true));
    if (done) go("/");
  }
  async function hide(): Promise<void> {
    await attempt(chat.hidden ? parley.rest.delete(`${path}/hidden`) : parley.rest.put(`${path}/hidden`));
    if (!chat.hidden) go("/");
  }
  async function refuse(): Promise<void> {
    if (await attempt(parley.rest.put(`${path}/refused`).then(() => true))) usePage.setState({ said: t("Nobody adds you to this chat again.") });
  }
  async function add(person: PersonJson): Promise<void> {
    await attempt(parley.rest.post(`${path}/members`, { user_id: person.id }, key()), { action: "member.add", chat_id: chat.id });
    setAdding(false);
  }
  const members = [...(view.members?.values() ?? [])].sort((a, b) => RANK[b.role] - RANK[a.role] || a.user.display_name.localeCompare(b.user.display_name));

  return (
    <aside className="panel" aria-label={t("About this chat")}>
      <header className="head">
        <h2><bdi>{chatName(parley, view)}</bdi></h2>
        <IconButton label={t("Close")} onClick={() => usePage.setState({ panel: false })}><Icon name="close" /></IconButton>
      </header>
      <div className="choices">
        {manages && chat.kind !== "direct" && <button type="button" onClick={() => void rename()}>{t("Rename")}</button>}
        {manages && <button type="button" onClick={() => void archive()}>{chat.archived ? t("Unarchive") : t("Archive")}</button>}
        <button type="button" onClick={() => void hide()}>{chat.hidden ? t("Show in my list") : t("Hide from my list")}</button>
        {chat.kind === "group" && <button type="button" onClick={() => void leave()}>{t("Leave")}</button>}
        {chat.kind === "group" && <button type="button" onClick={() => void refuse()}>{t("Don't add me again")}</button>}
      </div>
      {chat.kind === "assistant" && manages && <Instructions chat={chat} />}
      {chat.kind === "assistant" && manages && !chat.archived && (
        <details><summary>{t("Another assistant")}</summary><Picker current={chat.assistant?.user_id} onPick={(one) => void attempt(parley.rest.patch(path, { assistant: { user_id: one.user_id } }, key()), { action: "chat.update", chat_id: chat.id }).then(() => parley.loadMembers(chat.id).catch(() => undefined))} /></details>
      )}
      {chat.kind !== "direct" && manages && !chat.archived && <Terms chat={chat} />}
      <h3>{t("People")} <span className="quiet">{chat.members_count}</span></h3>
      {chat.kind === "group" && manages && !chat.archived && (adding ? <PersonSearch label={t("Add a person")} onPick={(person) => void add(person)} /> : <button type="button" onClick={() => setAdding(true)}>{t("Add a person")}</button>)}
      {chat.kind === "group" && manages && !chat.archived && <details><summary>{t("Invite by link")}</summary><Suspense fallback={null}><Invitations chatId={chat.id} /></Suspense></details>}
      <ul className="people">
        {members.map((member) => <Row key={member.user.id} view={view} member={member} />)}
      </ul>
      {chat.kind === "group" && manages && (
        <details onToggle={(event) => { if (event.currentTarget.open) void attempt(parley.rest.get<Listing<PersonJson>>(`${path}/bans`)).then((page) => setBanned(page?.items ?? [])); }}>
          <summary>{t("Banned")}</summary>
          <ul className="people">
            {banned?.map((person) => (
              <li key={person.id}><Name>{person.display_name}</Name> <button type="button" onClick={() => void attempt(parley.rest.delete(`${path}/bans/${person.id}`)).then(() => setBanned((all) => all?.filter((one) => one.id !== person.id) ?? null))}>{t("Lift the ban")}</button></li>
            ))}
            {banned && !banned.length && <li className="quiet">{t("Nobody")}</li>}
          </ul>
        </details>
      )}
      <h3>{t("Pinned")}</h3>
      <ul className="pins">
        {pins.map((one) => (
          <li key={one.id}><a href={`${BASE}/c/${chat.id}/m/${one.seq}`} onClick={(event) => { event.preventDefault(); go(`/c/${chat.id}/m/${one.seq}`); }}><bdi>{personName(parley, one.sender_id)}</bdi>: <span dir="auto">{(one.body ?? "").slice(0, 120)}</span></a></li>
        ))}
        {!pins.length && <li className="quiet small">{t("Nothing is pinned.")}</li>}
      </ul>
    </aside>
  );
}

/** What holds in a chat for all. */
function Terms({ chat }: { chat: ChatJson }): ReactNode {
  const change = (body: Record<string, unknown>, action: string) => void attempt(parley.rest.patch(`v1/chats/${chat.id}`, body, newId()), { action, chat_id: chat.id });
  return (
    <details>
      <summary>{t("What holds here")}</summary>
      <label className="check"><input type="checkbox" checked={chat.local_only} onChange={(event) => change({ local_only: event.target.checked }, "chat.update")} />{t("Assistants stay with this service: nothing goes to a provider outside")}</label>
      {chat.kind === "group" && <label className="check"><input type="checkbox" checked={chat.history === "from_joining"} onChange={(event) => change({ history: event.target.checked ? "from_joining" : "all" }, "chat.update")} />{t("Who joins from now on sees nothing from before")}</label>}
      {chat.kind === "group" && chat.my_role === "owner" && <label className="check"><input type="checkbox" checked={!!chat.assistant_consent} onChange={(event) => change({ assistant_consent: event.target.checked }, "assistant.consent")} />{t("What is written here may go to assistants outside")}</label>}
      {chat.assistant_consent && <p className="quiet small">{t("{who} agreed to that on {at}", { who: personName(parley, chat.assistant_consent.by), at: dateTime(chat.assistant_consent.at) })}</p>}
    </details>
  );
}

function Instructions({ chat }: { chat: ChatJson }): ReactNode {
  const [text, setText] = useState(chat.assistant?.instructions ?? "");
  return (
    <form onSubmit={(event) => { event.preventDefault(); void attempt(parley.rest.patch(`v1/chats/${chat.id}`, { assistant: { instructions: text || null } })).then(() => usePage.setState({ said: t("Saved") })); }}>
      <label>{t("How the assistant should answer")}<textarea rows={3} value={text} dir="auto" onChange={(event) => setText(event.target.value)} /></label>
      <button type="submit">{t("Save")}</button>
    </form>
  );
}

function Row({ view, member }: { view: ChatView; member: MemberJson }): ReactNode {
  const { chat } = view;
  const me = parley.user!.id;
  const isMe = member.user.id === me;
  const path = `v1/chats/${chat.id}/members/${member.user.id}`;
  const mine = chat.my_role;
  const muted = member.muted_until !== null && Date.parse(member.muted_until) > Date.now();
  const may = !isMe && chat.kind === "group" && !chat.archived && (mine === "owner" || (mine === "admin" && RANK[member.role] <= RANK.member));
  const act = (work: Promise<unknown>, action: string) => void attempt(work, { action, chat_id: chat.id }).then(() => parley.loadMembers(chat.id).catch(() => undefined));
  const role = (name: keyof typeof RANK, words: string): Choice => ({ words, act: () => act(parley.rest.patch(path, { role: name }, newId()), "member.update") });
  const mute = (hours: number | null) => act(parley.rest.patch(path, { muted_until: hours === null ? null : new Date(Date.now() + hours * HOUR_MS).toISOString() }, newId()), "member.update");
  const choices: Choice[] = [];
  if (may) {
    const isPerson = member.user.kind === "human";
    if (mine === "owner" && isPerson && member.role !== "owner") choices.push(role("owner", t("Make owner")));
    if (mine === "owner" && isPerson && member.role !== "admin") choices.push(role("admin", t("Make admin")));
    if (member.role !== "member") choices.push(role("member", t("Make member")));
    if (member.role !== "reader") choices.push(role("reader", t("Make reader")));
    if (muted) choices.push({ words: t("Unmute"), act: () => mute(null) });
    else choices.push({ words: t("Mute for an hour"), act: () => mute(1) }, { words: t("Mute for a day"), act: () => mute(24) });
    if (member.user.kind === "assistant") {
      const attention = (name: string, words: string) => member.attention !== name && choices.push({ words, act: () => act(parley.rest.patch(path, { attention: name }, newId()), "member.update") });
      attention("addressed", t("Answers when called"));
      attention("ambient", t("Speaks by itself too"));
      attention("off", t("Says nothing"));
    }
    choices.push({ words: t("Remove"), danger: true, act: () => act(parley.rest.delete(path), "member.remove") });
    choices.push({ words: t("Ban"), danger: true, act: () => act(parley.rest.put(`v1/chats/${chat.id}/bans/${member.user.id}`), "member.ban") });
  }
  const roles = { owner: t("owner"), admin: t("admin"), member: "", reader: t("reader") };
  return (
    <li>
      <Avatar id={member.user.id} name={member.user.display_name} size={28} />
      <span className="words"><Name>{member.user.display_name}</Name> <span className="quiet small" dir="ltr">@{visible(member.user.username)}</span>
        <span className="quiet small"> {isMe ? t("you") : ""} {roles[member.role]} {member.attention === "ambient" ? t("speaks by itself too") : member.attention === "off" ? t("says nothing") : ""} {muted ? t("muted until {until}", { until: dateTime(member.muted_until!) }) : ""}</span>
      </span>
      {choices.length > 0 && <Menu label={t("What to do with {who}", { who: visible(member.user.display_name) })} choices={choices}><Icon name="more" /></Menu>}
    </li>
  );
}
