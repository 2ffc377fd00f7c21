/** What one's answers took, and what is left of one's quotas. */
import { useEffect, useState, type ReactNode } from "react";
import type { UseJson } from "../client";
import { dateTime, t } from "./i18n";
import { attempt, parley } from "./store";

export function Usage(): ReactNode {
  const [use, setUse] = useState<UseJson | null>(null);
  useEffect(() => void attempt(parley.rest.get<UseJson>("v1/me/usage")).then((found) => setUse(found ?? null)), []);
  if (!use) return null;
  const sum = (name: "replies" | "input_tokens" | "output_tokens") => use.items.reduce((all, one) => all + one[name], 0);
  const costs = use.items.map((one) => one.cost).filter((one) => one !== null);
  const names: Record<string, string> = { replies_per_hour: t("answers this hour"), replies_per_day: t("answers today"), tokens_per_day: t("tokens today") };
  return (
    <section>
      <h2>{t("Assistants")}</h2>
      <p>{t("In 30 days: {answers} answers, {read} tokens read, {written} written", { answers: sum("replies"), read: sum("input_tokens"), written: sum("output_tokens") })}{costs.length > 0 && ` · ${costs.reduce((all, one) => all + one, 0).toFixed(2)}`}</p>
      {use.quotas.map((one) => (
        <label key={one.name}>{t("{used} of {limit} {what}, anew {at}", { used: one.used, limit: one.limit, what: names[one.name] ?? one.name, at: dateTime(one.resets_at) })}
          <meter min={0} max={one.limit} value={Math.min(one.used, one.limit)} high={one.limit * 0.9} />
        </label>
      ))}
      {!use.quotas.length && <p className="quiet small">{t("There is no quota.")}</p>}
    </section>
  );
}
