/** A chat with a person, or a group. */
import { useState, type FormEvent, type ReactNode } from "react";
import { useLocation } from "wouter";
import { newId } from "../client";
import type { ChatJson, PersonJson } from "../client";
import { Picker } from "./assistants";
import { askAssistant } from "./empty";
import { Icon } from "./icons";
import { t } from "./i18n";
import { Dialog } from "./dialog";
import { Name } from "./names";
import { PersonSearch } from "./person_search";
import { attempt, parley, usePage } from "./store";

export default function NewChat(): ReactNode {
  const [, go] = useLocation();
  const [people, setPeople] = useState<PersonJson[]>([]);
  const [title, setTitle] = useState("");
  const close = () => usePage.setState({ menu: "none" });

  async function make(body: Record<string, unknown>): Promise<void> {
    const chat = await attempt(parley.rest.post<ChatJson>("v1/chats", body, newId()));
    if (!chat) return;
    parley.chats?.addChat(chat);
    close();
    go(`/c/${chat.id}`);
  }

  function submit(event: FormEvent): void {
    event.preventDefault();
    if (people.length === 1 && !title.trim()) void make({ kind: "direct", member_ids: [people[0]!.id] });
    else void make({ kind: "group", title: title.trim() || people.map((one) => one.display_name).join(", ").slice(0, 200) || t("Group"), member_ids: people.map((one) => one.id) });
  }

  return (
    <Dialog open onClose={close} title={t("New chat")}>
      <form onSubmit={submit}>
        <Picker onPick={(one) => { close(); void askAssistant(go, one.user_id); }} otherwise={<button type="button" onClick={() => { close(); void askAssistant(go); }}>{t("Ask the assistant")}</button>} />
        <PersonSearch label={t("Find a person")} onPick={(person) => setPeople((all) => (all.some((one) => one.id === person.id) ? all : [...all, person]))} />
        {people.length > 0 && (
          <ul className="chosen" aria-label={t("Chosen")}>
            {people.map((one) => <li key={one.id}><Name>{one.display_name}</Name> <button type="button" aria-label={t("Take out {who}", { who: one.display_name })} onClick={() => setPeople((all) => all.filter((other) => other !== one))}><Icon name="close" /></button></li>)}
          </ul>
        )}
        <label>{t("Title (makes it a group)")}<input value={title} maxLength={200} dir="auto" onChange={(event) => setTitle(event.target.value)} /></label>
        <button type="submit" className="main" disabled={!people.length && !title.trim()}>{people.length === 1 && !title.trim() ? t("Write to them") : t("Make the group")}</button>
      </form>
    </Dialog>
  );
}
