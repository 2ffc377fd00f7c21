/** Oneself: name, password, where one is signed in, and how one likes it. */
import { useEffect, useState, type FormEvent, type ReactNode } from "react";
import type { Listing, SessionJson, UserJson } from "../client";
import { dateTime, LANGUAGES, t, wanted } from "./i18n";
import { Back } from "./kit";
import { attempt, parley, preferences, useParley, usePage, type Preferences } from "./store";
import { OwnKeys } from "./access";
import { Prompts } from "./prompts";
import { Usage } from "./usage";

export default function Settings(): ReactNode {
  useParley();
  const user = parley.user!;
  const now = preferences();
  const saved = () => usePage.setState({ said: t("Saved") });
  async function change(body: Record<string, unknown>): Promise<void> {
    const changed = await attempt(parley.rest.patch<UserJson>("v1/me", body));
    if (changed) {
      parley.user = changed;
      parley.tellNote(parley.note);
      saved();
    }
  }
  const prefer = (some: Preferences) => change({ preferences: some });
  async function notify(on: boolean): Promise<void> {
    if (on && !("Notification" in window)) return usePage.setState({ problem: { words: t("The browser doesn't allow notifications for this page.") } });
    if (on && (await Notification.requestPermission()) !== "granted") return usePage.setState({ problem: { words: t("The browser doesn't allow notifications for this page.") } });
    await prefer({ notify: on });
  }
  return (
    <main className="page">
      <h1><Back /> {t("Settings")}</h1>
      <section>
        <h2>{t("Profile")}</h2>
        <form onSubmit={(event) => { event.preventDefault(); void change({ display_name: String(new FormData(event.currentTarget).get("name")) }); }}>
          <p className="quiet">{t("Username")}: <span dir="ltr">@{user.username}</span></p>
          <label>{t("Name that others see")}<input name="name" defaultValue={user.display_name} key={user.display_name} maxLength={100} required dir="auto" /></label>
          <button type="submit">{t("Save")}</button>
        </form>
        <form onSubmit={(event) => { event.preventDefault(); void change({ email: String(new FormData(event.currentTarget).get("email")).trim() }); }}>
          <label>{t("E-mail address")}<input name="email" type="email" defaultValue={user.email ?? ""} key={user.email} maxLength={254} autoComplete="email" dir="ltr" /></label>
          <p className="quiet small">{t("Only you and operators see it; a forgotten password comes back by it.")}</p>
          <button type="submit">{t("Save the address")}</button>
        </form>
      </section>
      <section>
        <h2>{t("Preferences")}</h2>
        <label>{t("Send with")}
          <select value={now.send_with ?? "enter"} onChange={(event) => void prefer({ send_with: event.target.value as Preferences["send_with"] })}>
            <option value="enter">Enter</option>
            <option value="ctrl-enter">Ctrl-Enter</option>
          </select>
        </label>
        <label>{t("Colours")}
          <select value={now.theme ?? "system"} onChange={(event) => void prefer({ theme: event.target.value as Preferences["theme"] })}>
            <option value="system">{t("As the system has it")}</option>
            <option value="light">{t("Light")}</option>
            <option value="dark">{t("Dark")}</option>
            <option value="contrast">{t("High contrast")}</option>
          </select>
        </label>
        <label>{t("Language")}
          <select value={wanted(now.language)} onChange={(event) => void prefer({ language: event.target.value })}>
            {Object.entries(LANGUAGES).map(([tag, one]) => <option key={tag} value={tag} lang={tag}>{one.name}</option>)}
          </select>
        </label>
        <label>{t("Who may add me to chats")}
          <select value={now.added_by ?? "everyone"} onChange={(event) => void prefer({ added_by: event.target.value as Preferences["added_by"] })}>
            <option value="everyone">{t("Everyone")}</option>
            <option value="shared">{t("People with whom I share a chat")}</option>
            <option value="nobody">{t("Nobody")}</option>
          </select>
        </label>
        <label className="check"><input type="checkbox" checked={now.notify ?? false} onChange={(event) => void notify(event.target.checked)} />{t("Notify me while a tab is open")}</label>
        <label className="check"><input type="checkbox" checked={now.single_keys ?? true} onChange={(event) => void prefer({ single_keys: event.target.checked })} />{t("Single keys (?, n, /) do something")}</label>
      </section>
      <Prompts />
      <Usage />
      <Password onSaved={saved} />
      <Sessions />
      <OwnKeys />
    </main>
  );
}

function Password({ onSaved }: { onSaved: () => void }): ReactNode {
  async function submit(event: FormEvent<HTMLFormElement>): Promise<void> {
    event.preventDefault();
    const form = event.currentTarget;
    const data = new FormData(form);
    const done = await attempt(parley.rest.post("v1/me/password", { current_password: data.get("current"), new_password: data.get("new") }).then(() => true));
    if (done) {
      form.reset();
      onSaved();
    }
  }
  return (
    <section>
      <h2>{t("Password")}</h2>
      <form onSubmit={(event) => void submit(event)}>
        <label>{t("Current password")}<input name="current" type="password" autoComplete="current-password" required /></label>
        <label>{t("New password")}<input name="new" type="password" autoComplete="new-password" minLength={10} maxLength={256} required /></label>
        <p className="quiet small">{t("It ends your other sessions.")}</p>
        <button type="submit">{t("Change the password")}</button>
      </form>
    </section>
  );
}

function Sessions(): ReactNode {
  const [all, setAll] = useState<SessionJson[]>([]);
  const load = () => void attempt(parley.rest.get<Listing<SessionJson>>("v1/me/sessions", { limit: 100 })).then((page) => setAll(page?.items ?? []));
  useEffect(load, []);
  const end = (work: Promise<unknown>) => void attempt(work).then(load);
  return (
    <section>
      <h2>{t("Where you are signed in")}</h2>
      <ul className="sessions">
        {all.map((one) => (
          <li key={one.id}>
            <span className="words"><bdi>{browser(one.client)}</bdi> <span className="quiet small">{one.current ? t("this device") : t("last used {at}", { at: dateTime(one.last_used_at ?? one.created_at) })}</span></span>
            {!one.current && <button type="button" onClick={() => end(parley.rest.delete(`v1/me/sessions/${one.id}`))}>{t("Sign out")}</button>}
          </li>
        ))}
      </ul>
      <div className="choices">
        <button type="button" onClick={() => end(parley.rest.delete("v1/me/sessions", { others: true }))}>{t("Sign out everywhere else")}</button>
        <button type="button" onClick={() => void attempt(everywhere())}>{t("Sign out everywhere")}</button>
      </div>
    </section>
  );
}

/** This device last: what waits here is kept for the next time. */
async function everywhere(): Promise<void> {
  await parley.rest.delete("v1/me/sessions", { others: true });
  await parley.signOut(false);
  usePage.setState({ phase: "signed out" });
}

function browser(client: string): string {
  const name = /(Firefox|Edg|OPR|Chrome|Safari|curl)\/[\d.]+/.exec(client)?.[1];
  const system = /(Android|iPhone|iPad|Windows|Mac OS X|Linux)/.exec(client)?.[1];
  return name ? [name.replace("Edg", "Edge").replace("OPR", "Opera"), system].filter(Boolean).join(" · ") : client.slice(0, 60) || t("unknown");
}
