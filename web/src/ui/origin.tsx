/** How an answer came about: whom it was asked of, with what, how often, and what of the chat was sent. */
import { useEffect, useState, type ReactNode } from "react";
import { Link } from "wouter";
import type { MessageJson, ProvenanceJson } from "../client";
import { Dialog } from "./dialog";
import { dateTime, t } from "./i18n";
import { personName } from "./names";
import { attempt, parley, usePage } from "./store";

const SHOWN = 20;

export default function Origin({ message }: { message: MessageJson }): ReactNode {
  const [of, setOf] = useState<ProvenanceJson | null>(null);
  const close = () => usePage.setState({ origin: null });
  useEffect(() => {
    void attempt(parley.rest.get<ProvenanceJson>(`v1/chats/${message.chat_id}/messages/${message.id}/provenance`)).then((found) => (found ? setOf(found) : close()));
  }, [message.id]);
  const rows: [string, ReactNode][] = of ? [
    [t("Assistant"), <bdi>{personName(parley, of.assistant_id)} · {t("version {n}", { n: of.version })}</bdi>],
    [t("Model"), <bdi dir="ltr">{[of.provider, of.model].filter(Boolean).join(" · ") || t("unknown")}</bdi>],
    ...Object.entries(of.parameters).map(([name, value]): [string, ReactNode] => [name, String(value)]),
    ...of.attempts.map((one): [string, ReactNode] => [t("attempt {n}", { n: one.attempt }), <Attempt one={one} />]),
    [t("Tokens"), of.usage ? t("{read} read, {written} written", { read: of.usage.prompt_tokens, written: of.usage.completion_tokens }) : t("not told")],
    ...(of.cost === null ? [] : [[t("Cost"), String(of.cost)] as [string, ReactNode]]),
    ...(of.remarks.length ? [[t("Added to the question"), <span dir="auto">{of.remarks.join(" · ")}</span>] as [string, ReactNode]] : []),
    [t("Allowed by"), <bdi dir="ltr">{of.policies.join(", ") || t("unknown")}</bdi>],
    ...(of.summary ? [[t("Summed up"), <span dir="auto">{of.summary.body}</span>] as [string, ReactNode]] : []),
    [t("What was sent"), of.context.length ? <Sent message={message} of={of} onClose={close} /> : t("unknown")],
  ] : [];
  return (
    <Dialog open onClose={close} title={t("How this answer came about")}>
      {of ? <dl className="origin">{rows.map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}</dl> : <p className="quiet">{t("Loading …")}</p>}
    </Dialog>
  );
}

function Attempt({ one }: { one: ProvenanceJson["attempts"][number] }): ReactNode {
  const parts = [
    dateTime(one.started_at),
    one.end ?? (one.ended_at ? "" : t("not ended by who began it")),
    one.first_token_ms === null ? "" : t("first word after {s} s", { s: (one.first_token_ms / 1_000).toFixed(1) }),
    one.calls > 1 ? t("asked {n} times", { n: one.calls }) : "",
    one.said ? t("the provider said: {words}", { words: one.said }) : "",
  ];
  return <bdi>{parts.filter(Boolean).join(" · ")}</bdi>;
}

function Sent({ message, of, onClose }: { message: MessageJson; of: ProvenanceJson; onClose: () => void }): ReactNode {
  const view = parley.chats?.get(message.chat_id);
  return (
    <>
      {t("{count, plural, one {# message} other {# messages}}", { count: of.context.length })}
      <ul>
        {of.context.slice(-SHOWN).map((place) => {
          const found = (place.chat_id ? parley.chats?.get(place.chat_id) : view)?.find(place.message_id);
          return (
            <li key={place.message_id}>
              <Link href={`/c/${place.chat_id ?? message.chat_id}/m/${place.seq}`} onClick={onClose}>
                {found ? <><bdi>{personName(parley, found.sender_id)}</bdi>: <span dir="auto">{(found.body ?? t("deleted")).slice(0, 60)}</span></> : place.chat_id ? t("message {seq} of another chat", { seq: place.seq }) : t("message {seq}", { seq: place.seq })}
              </Link>
            </li>
          );
        })}
      </ul>
    </>
  );
}
