/** The connection, in words: nothing under two seconds, then a quiet line. And what went wrong. */
import { useState, type ReactNode } from "react";
import type { Refusal } from "../client";
import { t } from "./i18n";
import { attempt, parley, useNow, useParley, usePage } from "./store";

const QUIET_MS = 2_000;

export function Banner(): ReactNode {
  useParley();
  const now = useNow(500);
  const { core, status, lostAt, draining } = parley;
  if (status === "refused") {
    return <p role="alert" className="banner bad">{core.closedWith === 4409 ? t("Parley is open in too many tabs.") : t("The service refused this page. Reload it.")} <button type="button" onClick={() => location.reload()}>{t("Reload")}</button></p>;
  }
  if (parley.note?.kind === "gone") {
    return <p role="status" className="banner">{t("You are no longer in {chat}.", { chat: parley.note.words })} <button type="button" onClick={() => parley.tellNote(null)}>{t("Close")}</button></p>;
  }
  if (status === "online" || lostAt === null || now - lostAt < QUIET_MS) return null;
  const left = core.retryAt === null ? null : Math.max(0, Math.ceil((core.retryAt - now) / 1000));
  const words = !navigator.onLine
    ? t("You are offline. What you write is sent when the network is back.")
    : core.closedWith === 4409
      ? t("Parley is open in too many tabs: this one was disconnected.")
      : draining
        ? t("The service restarts.")
        : t("No connection. What you write is kept.");
  return (
    <p role="status" className="banner">
      <span>{words}</span>{" "}
      {left !== null && <span aria-live="off" className="quiet">{t("Trying again in {left} s", { left })}</span>}{" "}
      <button type="button" onClick={() => parley.connectNow()}>{t("Now")}</button>
    </p>
  );
}

export function Problems(): ReactNode {
  const { problem } = usePage();
  if (!problem) return null;
  return (
    <div role="alert" className="toast">
      <span>{problem.words}</span>
      {problem.explain && <Why {...problem.explain} />}
      <button type="button" onClick={() => usePage.setState({ problem: null })}>{t("Close")}</button>
    </div>
  );
}

export function Renewal(): ReactNode {
  const { update } = usePage();
  if (!update) return null;
  return (
    <p role="status" className="toast">
      <span>{t("A new version is there.")}</span>
      <button type="button" onClick={update}>{t("Reload")}</button>
    </p>
  );
}

/** What the policies say of it. */
export function Why({ action, chat_id }: { action: string; chat_id: string }): ReactNode {
  const [told, setTold] = useState("");
  async function ask(): Promise<void> {
    const found = await attempt(parley.rest.post<{ decision: string; policies: string[] }>("v1/policy/explain", { action, chat_id }));
    if (found) setTold(found.decision === "allow" ? t("The policies would allow it now.") : t("Refused by: {policies}", { policies: found.policies.join(", ") || t("no policy allows it") }));
  }
  return told ? <span className="quiet">{told}</span> : <button type="button" onClick={() => void ask()}>{t("Why?")}</button>;
}

export function refusalWords(refusal: Refusal): string {
  const known: Record<string, string> = {
    not_allowed: t("you may not write here"),
    muted: t("you are muted here"),
    banned: t("you are banned here"),
    archived: t("the chat is archived"),
    not_found: t("the chat isn't there for you any more"),
    too_large: t("it is too long"),
  };
  return known[refusal.code] ?? refusal.reason;
}
