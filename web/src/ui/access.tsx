/** What programs sign in with: one's keys, and bots; for operators also the keys of services, and invitations. */
import { useState, type FormEvent, type ReactNode } from "react";
import type { InvitationJson, KeyJson, MadeBotJson, MadeKeyJson, PersonJson } from "../client";
import { dateTime, t } from "./i18n";
import { usePages } from "./pages";
import { Name } from "./names";
import { attempt, parley, usePage } from "./store";

/** Shown once: what it is can't be asked for again. */
export function Secret({ words, value, onDone }: { words: string; value: string; onDone: () => void }): ReactNode {
  const copy = () => void navigator.clipboard.writeText(value).then(() => usePage.setState({ said: t("Copied") }), () => undefined);
  return (
    <div className="secret" role="status">
      <p>{words}</p>
      <input readOnly aria-label={words} value={value} dir="ltr" onFocus={(event) => event.currentTarget.select()} />
      <div className="choices">
        <button type="button" onClick={copy}>{t("Copy")}</button>
        <button type="button" onClick={onDone}>{t("Done")}</button>
      </div>
    </div>
  );
}

function Keys({ path, title, scopes, about }: { path: string; title: string; scopes: Record<string, string>; about: string }): ReactNode {
  const { items, more, again } = usePages<KeyJson>(path, {});
  const [made, setMade] = useState<MadeKeyJson | null>(null);
  async function make(event: FormEvent<HTMLFormElement>): Promise<void> {
    event.preventDefault();
    const form = event.currentTarget;
    const data = new FormData(form);
    const days = Number(data.get("days"));
    const expires_at = days ? new Date(Date.now() + days * 86_400_000).toISOString() : null;
    const done = await attempt(parley.rest.post<MadeKeyJson>(path, { name: data.get("name"), scopes: data.getAll("scope"), expires_at }));
    if (!done) return;
    setMade(done);
    form.reset();
    again();
  }
  const end = (one: KeyJson) => { if (confirm(t("End the key {name}? What uses it stops at once.", { name: one.name }))) void attempt(parley.rest.delete(`${path}/${one.id}`)).then(again); };
  return (
    <section>
      <h2>{title}</h2>
      <p className="quiet small">{about}</p>
      {made && <Secret words={t("The key {name}: it is shown here, and never again", { name: made.name })} value={made.key} onDone={() => setMade(null)} />}
      <ul className="sessions">
        {items.map((one) => (
          <li key={one.id}>
            <span className="words"><Name>{one.name}</Name> <span className="quiet small"><bdi dir="ltr">{one.prefix}…</bdi> · {one.scopes.map((scope) => scopes[scope] ?? scope).join(", ")} · {one.last_used_at ? t("last used {at}", { at: dateTime(one.last_used_at) }) : t("never used")}{one.expires_at && ` · ${t("until {until}", { until: dateTime(one.expires_at) })}`}</span></span>
            <button type="button" onClick={() => end(one)}>{t("End")}</button>
          </li>
        ))}
      </ul>
      {more && <button type="button" onClick={more}>{t("More")}</button>}
      <details>
        <summary>{t("A new key")}</summary>
        <form onSubmit={(event) => void make(event)} aria-label={title}>
          <label>{t("What it is for")}<input name="name" required maxLength={100} dir="auto" /></label>
          <fieldset><legend>{t("It may")}</legend>
            {Object.entries(scopes).map(([scope, words], at) => <label key={scope} className="check"><input type="checkbox" name="scope" value={scope} defaultChecked={at === 0} />{words}</label>)}
          </fieldset>
          <label>{t("It ends after")}
            <select name="days" defaultValue="90"><option value="30">{t("30 days")}</option><option value="90">{t("90 days")}</option><option value="365">{t("a year")}</option><option value="0">{t("never")}</option></select>
          </label>
          <button type="submit">{t("Make the key")}</button>
        </form>
      </details>
    </section>
  );
}

export function OwnKeys(): ReactNode {
  return <Keys path="v1/me/keys" title={t("Keys")} about={t("For programs of yours: with a key they do what you may, as far as it says.")} scopes={{ read: t("read"), write: t("write"), ask: t("ask assistants") }} />;
}

export function ServiceKeys(): ReactNode {
  return <Keys path="v1/admin/keys" title={t("Keys of services")} about={t("For the backend of a product that this service is put under.")} scopes={{ users: t("users"), chats: t("chats"), messages: t("messages"), tokens: t("tokens of users"), feed: t("events") }} />;
}

/** Those that this operator made. */
export function Bots(): ReactNode {
  const { items, again } = usePages<PersonJson>("v1/me/bots", {});
  const [made, setMade] = useState<MadeBotJson | null>(null);
  async function make(event: FormEvent<HTMLFormElement>): Promise<void> {
    event.preventDefault();
    const form = event.currentTarget;
    const data = new FormData(form);
    const done = await attempt(parley.rest.post<MadeBotJson>("v1/admin/bots", { username: data.get("username"), display_name: data.get("name") }));
    if (!done) return;
    setMade(done);
    form.reset();
    again();
  }
  const renew = (one: PersonJson) => { if (confirm(t("Another key for {name}? The one that it has stops at once.", { name: one.display_name }))) void attempt(parley.rest.post<MadeBotJson>(`v1/me/bots/${one.id}/key`)).then((done) => done && setMade(done)); };
  const end = (one: PersonJson) => { if (confirm(t("Shall {name} do nothing any more? What it said stays.", { name: one.display_name }))) void attempt(parley.rest.delete(`v1/me/bots/${one.id}`)).then(again); };
  return (
    <section>
      <h2>{t("Bots")}</h2>
      {made && <Secret words={t("The key of {name}: it is shown here, and never again", { name: made.user.display_name })} value={made.key} onDone={() => setMade(null)} />}
      <ul className="sessions">
        {items.map((one) => (
          <li key={one.id}>
            <span className="words"><Name>{one.display_name}</Name> <span className="quiet small" dir="ltr">@{one.username}</span></span>
            <button type="button" onClick={() => renew(one)}>{t("Another key")}</button>
            <button type="button" onClick={() => end(one)}>{t("End")}</button>
          </li>
        ))}
        {!items.length && <li className="quiet">{t("You made none.")}</li>}
      </ul>
      <details>
        <summary>{t("A new bot")}</summary>
        <form onSubmit={(event) => void make(event)} aria-label={t("A new bot")}>
          <label>{t("Username")}<input name="username" required minLength={3} maxLength={32} dir="ltr" autoCapitalize="none" /></label>
          <label>{t("Name that others see")}<input name="name" required maxLength={100} dir="auto" /></label>
          <button type="submit">{t("Make the bot")}</button>
        </form>
      </details>
    </section>
  );
}

/** chatId: into that chat; null: into the service. */
export function Invitations({ chatId }: { chatId: string | null }): ReactNode {
  const { items, more, again } = usePages<InvitationJson>("v1/invitations", {});
  const [made, setMade] = useState<InvitationJson | null>(null);
  const here = items.filter((one) => one.chat_id === chatId);
  async function make(event: FormEvent<HTMLFormElement>): Promise<void> {
    event.preventDefault();
    const data = new FormData(event.currentTarget);
    const [uses, days] = [Number(data.get("uses")), Number(data.get("days"))];
    const expires_at = days ? new Date(Date.now() + days * 86_400_000).toISOString() : null;
    const done = await attempt(parley.rest.post<InvitationJson>("v1/invitations", { chat_id: chatId, uses: uses || null, expires_at }));
    if (done) setMade(done);
    again();
  }
  const end = (one: InvitationJson) => void attempt(parley.rest.delete(`v1/invitations/${one.code}`)).then(again);
  return (
    <section>
      {made && <Secret words={t("Who has this link comes in")} value={made.url} onDone={() => setMade(null)} />}
      <form onSubmit={(event) => void make(event)} aria-label={t("Invite by link")}>
        <label>{t("How many may come by it")}<input name="uses" type="number" min={1} max={100000} placeholder={t("any number")} /></label>
        <label>{t("It ends after")}
          <select name="days" defaultValue="7"><option value="1">{t("a day")}</option><option value="7">{t("7 days")}</option><option value="30">{t("30 days")}</option><option value="0">{t("never")}</option></select>
        </label>
        <button type="submit">{t("Make a link")}</button>
      </form>
      <ul className="sessions">
        {here.map((one) => (
          <li key={one.code}>
            <span className="words"><bdi dir="ltr">…{one.code.slice(-6)}</bdi> <span className="quiet small">{t("{used} came by it", { used: one.uses ? `${one.used}/${one.uses}` : one.used })}{one.expires_at && ` · ${t("until {until}", { until: dateTime(one.expires_at) })}`}</span></span>
            <button type="button" onClick={() => setMade(one)}>{t("Show")}</button>
            <button type="button" onClick={() => end(one)}>{t("End")}</button>
          </li>
        ))}
      </ul>
      {more && <button type="button" onClick={more}>{t("More")}</button>}
    </section>
  );
}
