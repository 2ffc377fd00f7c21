/** For operators: people, what was reported, what operators did. */
import { useState, type ReactNode } from "react";
import { newId } from "../client";
import type { AccountJson, AuditJson, LinkJson, ReportJson } from "../client";
import { Bots, Invitations, Secret, ServiceKeys } from "./access";
import { Assistants } from "./assistants";
import { dateTime, t } from "./i18n";
import { Back } from "./kit";
import { Name, personName } from "./names";
import { usePages } from "./pages";
import { attempt, parley, useParley } from "./store";

type Part = "people" | "invitations" | "assistants" | "programs" | "reports" | "audit";

export default function Admin(): ReactNode {
  useParley();
  const [shown, setShown] = useState<Part>("people");
  const parts: Record<Part, string> = { people: t("People"), invitations: t("Invitations"), assistants: t("Assistants"), programs: t("Keys and bots"), reports: t("Reports"), audit: t("Audit") };
  if (parley.user?.role !== "operator") {
    return <main className="page"><h1><Back /> {t("Administration")}</h1><p role="alert">{t("This is for operators. An operator can make you one, or who runs the service: python -m app operator NAME.")}</p></main>;
  }
  return (
    <main className="page">
      <h1><Back /> {t("Administration")}</h1>
      <div className="choices" role="group" aria-label={t("What to show")}>
        {(Object.keys(parts) as Part[]).map((one) => (
          <button type="button" key={one} aria-pressed={shown === one} onClick={() => setShown(one)}>{parts[one]}</button>
        ))}
      </div>
      {shown === "people" && <People />}
      {shown === "invitations" && <Invitations chatId={null} />}
      {shown === "assistants" && <Assistants />}
      {shown === "programs" && <><ServiceKeys /><Bots /></>}
      {shown === "reports" && <Reports />}
      {shown === "audit" && <Audit />}
    </main>
  );
}

function People(): ReactNode {
  const [query, setQuery] = useState("");
  const { items, more, again } = usePages<AccountJson>("v1/admin/users", { query: query || null });
  const [link, setLink] = useState<(LinkJson & { username: string }) | null>(null);
  const change = (id: string, body: Record<string, unknown>) => void attempt(parley.rest.patch(`v1/admin/users/${id}`, body)).then(again);
  const makeLink = (one: AccountJson) => void attempt(parley.rest.post<LinkJson>(`v1/admin/users/${one.id}/password-link`)).then((made) => made && setLink({ ...made, username: one.username }));
  return (
    <section>
      <input type="search" aria-label={t("Find people")} placeholder={t("Username begins with …")} value={query} onChange={(event) => setQuery(event.target.value)} dir="ltr" />
      {link && <Secret words={t("Here {who} sets a new password: once, until {until}", { who: link.username, until: dateTime(link.expires_at) })} value={link.url} onDone={() => setLink(null)} />}
      <div className="scroll"><table>
        <thead><tr><th>{t("Username")}</th><th>{t("Name")}</th><th>{t("Address")}</th><th>{t("Since")}</th><th>{t("Role")}</th><th>{t("State")}</th></tr></thead>
        <tbody>
          {items.map((one) => (
            <tr key={one.id}>
              <td dir="ltr">{one.username}</td>
              <td><Name>{one.display_name}</Name></td>
              <td dir="ltr">{one.email}</td>
              <td>{dateTime(one.created_at)}</td>
              <td>{one.kind === "human" && <select aria-label={t("Role of {who}", { who: one.username })} value={one.role} onChange={(event) => change(one.id, { role: event.target.value })}><option value="user">{t("user")}</option><option value="operator">{t("operator")}</option></select>}</td>
              <td>{one.kind === "human" && <button type="button" onClick={() => change(one.id, { disabled: !one.disabled })}>{one.disabled ? t("Enable") : t("Disable")}</button>}{one.kind === "human" && !one.disabled && <button type="button" onClick={() => makeLink(one)}>{t("Password link")}</button>}{one.disabled && <span className="bad"> {t("disabled")}</span>}</td>
            </tr>
          ))}
        </tbody>
      </table></div>
      {more && <button type="button" onClick={more}>{t("More")}</button>}
    </section>
  );
}

function Reports(): ReactNode {
  const [open, setOpen] = useState(true);
  const { items, more, again } = usePages<ReportJson>("v1/admin/reports", { open });
  async function close(one: ReportJson): Promise<void> {
    const note = prompt(t("A note for the other operators (optional)")) ?? "";
    await attempt(parley.rest.patch(`v1/admin/reports/${one.id}`, { closed: true, ...(note.trim() ? { note } : {}) }));
    again();
  }
  async function remove(one: ReportJson): Promise<void> {
    if (confirm(t("Delete the reported message?"))) await attempt(parley.rest.post(`v1/admin/chats/${one.chat_id}/messages/${one.message_id}/delete`, { reason: one.reason }, newId()));
  }
  return (
    <section>
      <label className="check"><input type="checkbox" checked={open} onChange={(event) => setOpen(event.target.checked)} />{t("Only open ones")}</label>
      <ul className="sessions">
        {items.map((one) => (
          <li key={one.id}>
            <span className="words"><span dir="auto">{one.reason}</span><span className="quiet small">{personName(parley, one.reporter_id)} · {dateTime(one.at)} {one.closed_at ? `· ${t("closed")} ${one.note ?? ""}` : ""}</span></span>
            <button type="button" onClick={() => void attempt(parley.rest.get<{ body: string | null }>(`v1/admin/messages/${one.message_id}`)).then((message) => message && alert(message.body ?? t("deleted")))}>{t("Show the message")}</button>
            {!one.closed_at && <button type="button" onClick={() => void remove(one)}>{t("Delete")}</button>}
            {!one.closed_at && <button type="button" onClick={() => void close(one)}>{t("Close")}</button>}
          </li>
        ))}
        {!items.length && <li className="quiet">{t("Nothing was reported.")}</li>}
      </ul>
      {more && <button type="button" onClick={more}>{t("More")}</button>}
    </section>
  );
}

function Audit(): ReactNode {
  const { items, more } = usePages<AuditJson>("v1/admin/audit", {});
  return (
    <section>
      <div className="scroll"><table>
        <thead><tr><th>{t("When")}</th><th>{t("Who")}</th><th>{t("What")}</th><th>{t("Details")}</th></tr></thead>
        <tbody>
          {items.map((one) => (
            <tr key={one.id}><td>{dateTime(one.at)}</td><td>{one.actor_id ? personName(parley, one.actor_id) : t("command line")}</td><td dir="ltr">{one.act}</td><td dir="ltr" className="small">{JSON.stringify(one.details)}</td></tr>
          ))}
        </tbody>
      </table></div>
      {more && <button type="button" onClick={more}>{t("More")}</button>}
    </section>
  );
}
