/** The assistants: which one to talk with, and for operators what they are. */
import { useEffect, useState, type FormEvent, type ReactNode } from "react";
import type { AssistantUserJson } from "../client";
import { t } from "./i18n";
import { Avatar, Name, personName, visible } from "./names";
import { PersonSearch } from "./person_search";
import { attempt, parley, useParley, usePage } from "./store";

/** All of them, by username; null until they are loaded. */
export function useAssistants(): { all: AssistantUserJson[] | null; again: () => void } {
  const [all, setAll] = useState<AssistantUserJson[] | null>(null);
  async function load(): Promise<void> {
    const found = await attempt(parley.allOf<AssistantUserJson>("v1/assistants"));
    if (found) setAll(found);
  }
  useEffect(() => void load(), []);
  return { all, again: () => void load() };
}

/** otherwise: what is there until they are loaded. */
export function Picker({ current, onPick, otherwise = null }: { current?: string; onPick: (one: AssistantUserJson) => void; otherwise?: ReactNode }): ReactNode {
  const { all } = useAssistants();
  if (!all) return otherwise;
  return (
    <ul className="people assistants" aria-label={t("Assistants")}>
      {all.map((one) => (
        <li key={one.user_id}>
          <Avatar id={one.user_id} name={one.display_name} size={28} />
          <span className="words">
            <Name>{one.display_name}</Name> <span className="quiet small" dir="ltr">@{visible(one.username)}</span>
            {one.description && <span className="quiet small" dir="auto">{visible(one.description)}</span>}
            {!one.may_ask && <span className="quiet small">{t("You may not ask it: {why}", { why: (one.policies ?? []).join(", ") })}</span>}
          </span>
          <button type="button" disabled={!one.may_ask || one.user_id === current} aria-label={t("Choose {who}", { who: visible(one.display_name) })} onClick={() => onPick(one)}>{one.user_id === current ? t("chosen") : t("Choose")}</button>
        </li>
      ))}
    </ul>
  );
}

/** For operators: a list, and the one that is written. */
export function Assistants(): ReactNode {
  const { all, again } = useAssistants();
  const [open, setOpen] = useState<AssistantUserJson | "new" | null>(null);
  async function remove(one: AssistantUserJson): Promise<void> {
    if (!confirm(t("Delete {who}? What it said stays.", { who: one.display_name }))) return;
    if (!(await attempt(parley.rest.delete(`v1/assistants/${one.user_id}`).then(() => true)))) return;
    setOpen(null);
    again();
  }
  return (
    <section>
      <ul className="sessions">
        {all?.map((one) => (
          <li key={one.user_id}>
            <span className="words"><Name>{one.display_name}</Name> <span className="quiet small" dir="ltr">@{visible(one.username)} · {one.provider}{one.model ? ` · ${one.model}` : ""} · {t("version {n}", { n: one.version })}</span></span>
            <button type="button" onClick={() => setOpen(one)}>{t("Change")}</button>
            {one.username !== "assistant" && <button type="button" onClick={() => void remove(one)}>{t("Delete")}</button>}
          </li>
        ))}
      </ul>
      {open ? <Form key={open === "new" ? "new" : `${open.user_id} ${open.version}`} of={open === "new" ? null : open} onDone={() => { setOpen(null); again(); }} /> : <button type="button" onClick={() => setOpen("new")}>{t("New assistant")}</button>}
    </section>
  );
}

/** By its name in the contract: what it is called, and from where to where it goes. */
const parameters = (): [string, string, { min: number; max: number; step: string }][] => [
  ["temperature", t("How freely it chooses its words (0 to 2)"), { min: 0, max: 2, step: "0.1" }],
  ["top_p", t("Of how much probability it chooses its words (up to 1)"), { min: 0, max: 1, step: "0.05" }],
  ["max_output_tokens", t("How long its answers may be, in tokens"), { min: 1, max: 1_000_000, step: "1" }],
];

function Form({ of, onDone }: { of: AssistantUserJson | null; onDone: () => void }): ReactNode {
  useParley();
  const [askedBy, setAskedBy] = useState(of?.asked_by ?? "everyone");
  const [listed, setListed] = useState(of?.listed ?? []);
  async function submit(event: FormEvent<HTMLFormElement>): Promise<void> {
    event.preventDefault();
    const data = new FormData(event.currentTarget);
    const said = (name: string) => String(data.get(name) ?? "").trim();
    const body: Record<string, unknown> = {
      display_name: said("display_name"),
      description: said("description"),
      instructions: said("instructions") || null,
      model: said("model") || null,
      provider: said("provider") || "default",
      parameters: Object.fromEntries(parameters().flatMap(([name]) => (said(name) ? [[name, Number(said(name))]] : []))),
      asked_by: askedBy,
      ...(askedBy === "listed" ? { listed } : {}),
    };
    const done = of
      ? await attempt(parley.rest.patch(`v1/assistants/${of.user_id}`, body).then(() => true))
      : await attempt(parley.rest.post("v1/assistants", { ...body, username: said("username") }).then(() => true));
    if (!done) return;
    usePage.setState({ said: t("Saved") });
    onDone();
  }
  return (
    <form onSubmit={(event) => void submit(event)} aria-label={of ? of.display_name : t("New assistant")}>
      {!of && <label>{t("Username")}<input name="username" required minLength={3} maxLength={32} dir="ltr" autoCapitalize="off" /></label>}
      <label>{t("Name that others see")}<input name="display_name" required maxLength={100} defaultValue={of?.display_name} dir="auto" /></label>
      <label>{t("What it is good for")}<input name="description" maxLength={1000} defaultValue={of?.description} dir="auto" /></label>
      <label>{t("How the assistant should answer")}<textarea name="instructions" rows={4} maxLength={8000} defaultValue={of?.instructions ?? ""} dir="auto" /></label>
      <label>{t("Provider")}<input name="provider" maxLength={64} defaultValue={of?.provider ?? "default"} dir="ltr" /></label>
      <label>{t("Model (the provider's where none is named)")}<input name="model" maxLength={200} defaultValue={of?.model ?? ""} dir="ltr" /></label>
      <label>{t("Who may ask it")}
        <select value={askedBy} onChange={(event) => setAskedBy(event.target.value as typeof askedBy)}>
          <option value="everyone">{t("Everyone")}</option>
          <option value="operators">{t("Operators")}</option>
          <option value="listed">{t("Those who are listed")}</option>
        </select>
      </label>
      {askedBy === "listed" && (
        <>
          <ul className="people" aria-label={t("Those who are listed")}>
            {listed.map((id) => <li key={id}><span className="words"><bdi>{personName(parley, id)}</bdi></span><button type="button" aria-label={t("Remove {who}", { who: personName(parley, id) })} onClick={() => setListed(listed.filter((one) => one !== id))}>{t("Remove")}</button></li>)}
          </ul>
          <PersonSearch label={t("Find a person")} assistants={false} onPick={(one) => setListed([...new Set([...listed, one.id])])} />
        </>
      )}
      <details>
        <summary>{t("Parameters")}</summary>
        {parameters().map(([name, words, bounds]) => <label key={name}>{words}<input type="number" name={name} {...bounds} defaultValue={of?.parameters[name] === undefined ? "" : String(of.parameters[name])} dir="ltr" /></label>)}
      </details>
      <div className="choices"><button type="submit" className="main">{t("Save")}</button><button type="button" onClick={onDone}>{t("Cancel")}</button></div>
    </form>
  );
}
