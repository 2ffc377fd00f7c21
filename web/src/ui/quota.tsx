/** What is left of one's quotas, before one asks. */
import { useEffect, useState, type ReactNode } from "react";
import type { QuotaJson, UseJson } from "../client";
import { dateTime, t } from "./i18n";
import { parley } from "./store";

/** last: the newest answer that is done; asked anew when there is another. */
export function QuotaLeft({ last }: { last: string }): ReactNode {
  const [tightest, setTightest] = useState<QuotaJson | null>(null);
  useEffect(() => {
    const timer = setTimeout(() => {
      parley.rest.get<UseJson>("v1/me/usage").then(({ quotas }) => {
        setTightest([...quotas].sort((a, b) => (a.limit - a.used) / a.limit - (b.limit - b.used) / b.limit)[0] ?? null);
      }, () => undefined);
    }, 300);
    return () => clearTimeout(timer);
  }, [last]);
  if (!tightest) return null;
  const left = Math.max(0, tightest.limit - tightest.used);
  const names: Record<string, string> = {
    replies_per_hour: t("{left} of {limit} answers left this hour", { left, limit: tightest.limit }),
    replies_per_day: t("{left} of {limit} answers left today", { left, limit: tightest.limit }),
    tokens_per_day: t("{left} of {limit} tokens left today", { left, limit: tightest.limit }),
  };
  const words = names[tightest.name];
  return words ? <p className={`small ${left ? "quiet" : "bad"}`} role="status">{words}{left ? "" : ` · ${t("anew {at}", { at: dateTime(tightest.resets_at) })}`}</p> : null;
}
