/** Texts with gaps that one keeps: made and changed among the settings, filled where one writes. */
import { useEffect, useState, type FormEvent, type ReactNode } from "react";
import type { PromptJson } from "../client";
import { Dialog } from "./dialog";
import { t } from "./i18n";
import { attempt, parley, usePage } from "./store";

/** All that one may use, put into the page; those of before stay where they can't be had, and it fails. */
export async function loadPrompts(): Promise<void> {
  usePage.setState({ prompts: await parley.allOf<PromptJson>("v1/prompts") });
}

export function filled(text: string, values: Record<string, string>): string {
  return text.replace(/\{\{\s*([\p{L}_][\p{L}\p{N}_]*)\s*\}\}/gu, (gap, name: string) => values[name] ?? gap);
}

const operates = () => parley.user?.role === "operator";

/** Asks for what stands in the gaps. */
export default function FillPrompt({ of, onDone, onClose }: { of: PromptJson; onDone: (text: string) => void; onClose: () => void }): ReactNode {
  function submit(event: FormEvent<HTMLFormElement>): void {
    event.preventDefault();
    const data = new FormData(event.currentTarget);
    onDone(filled(of.text, Object.fromEntries(of.variables.map((name) => [name, String(data.get(name) ?? "")]))));
  }
  return (
    <Dialog open onClose={onClose} title={of.name}>
      <form onSubmit={submit}>
        {of.variables.map((name, n) => <label key={name}><bdi>{name}</bdi><textarea name={name} rows={1} dir="auto" autoFocus={n === 0} required /></label>)}
        <button type="submit" className="main">{t("Use it")}</button>
      </form>
    </Dialog>
  );
}

export function Prompts(): ReactNode {
  const { prompts } = usePage();
  const [open, setOpen] = useState<string | null>(null);
  useEffect(() => void attempt(loadPrompts()), []);
  const after = (done: unknown) => {
    if (done === undefined) return;
    setOpen(null);
    usePage.setState({ said: t("Saved") });
    void attempt(loadPrompts());
  };
  return (
    <section>
      <h2>{t("Prompts")}</h2>
      <p className="quiet small">{t("Texts that you use again: write / and the name where you write. {gap} in a text is asked for.", { gap: "{{name}}" })}</p>
      <ul className="sessions" aria-label={t("Prompts")}>
        {prompts.map((one) => (
          <li key={one.id}>
            {open === one.id ? <PromptForm of={one} onDone={after} onClose={() => setOpen(null)} /> : (
              <>
                <span className="words"><b><bdi>{one.name}</bdi></b> <span className="quiet small" dir="auto">{one.text.slice(0, 80)}</span>{one.shared && <span className="quiet small"> · {t("for all")}</span>}</span>
                {(!one.shared || operates()) && <button type="button" onClick={() => setOpen(one.id)}>{t("Change")}</button>}
                {(!one.shared || operates()) && <button type="button" onClick={() => { if (confirm(t("Delete {who}?", { who: one.name }))) void attempt(parley.rest.delete(`v1/prompts/${one.id}`).then(() => true)).then(after); }}>{t("Delete")}</button>}
              </>
            )}
          </li>
        ))}
      </ul>
      {open === "new" ? <PromptForm of={null} onDone={after} onClose={() => setOpen(null)} /> : <button type="button" onClick={() => setOpen("new")}>{t("New prompt")}</button>}
    </section>
  );
}

function PromptForm({ of, onDone, onClose }: { of: PromptJson | null; onDone: (done: unknown) => void; onClose: () => void }): ReactNode {
  function submit(event: FormEvent<HTMLFormElement>): void {
    event.preventDefault();
    const data = new FormData(event.currentTarget);
    const body = { name: data.get("name"), text: data.get("text"), ...(operates() ? { shared: data.get("shared") === "on" } : {}) };
    void attempt(of ? parley.rest.patch(`v1/prompts/${of.id}`, body) : parley.rest.post("v1/prompts", body)).then(onDone);
  }
  return (
    <form onSubmit={submit} aria-label={of?.name ?? t("New prompt")}>
      <label>{t("Its name")}<input name="name" defaultValue={of?.name} required maxLength={100} dir="auto" autoFocus /></label>
      <label>{t("Its text")}<textarea name="text" defaultValue={of?.text} required rows={4} dir="auto" /></label>
      {operates() && <label className="check"><input type="checkbox" name="shared" defaultChecked={of?.shared} />{t("for all")}</label>}
      <button type="submit" className="main">{t("Save")}</button> <button type="button" onClick={onClose}>{t("Cancel")}</button>
    </form>
  );
}
