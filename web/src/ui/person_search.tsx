/** Finds a person by the beginning of their username or name. */
import { useEffect, useState, type ReactNode } from "react";
import type { Listing, PersonJson } from "../client";
import { t } from "./i18n";
import { Avatar, Name } from "./names";
import { attempt, parley } from "./store";

export function PersonSearch({ label, onPick, assistants }: { label: string; onPick: (person: PersonJson) => void; assistants?: boolean }): ReactNode {
  const [query, setQuery] = useState("");
  const [found, setFound] = useState<PersonJson[]>([]);
  const [asked, setAsked] = useState("");
  useEffect(() => {
    const wanted = query.trim().replace(/^@/, "");
    if (wanted.length < 2) return setFound([]);
    let current = true;
    const timer = setTimeout(() => {
      void attempt(parley.rest.get<Listing<PersonJson>>("v1/users", { query: wanted })).then((page) => {
        if (!current) return;
        setFound((page?.items ?? []).filter((one) => one.id !== parley.user?.id && (assistants !== false || one.kind === "human")));
        setAsked(wanted);
      });
    }, 120);
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [query]);
  return (
    <div className="finder">
      <input type="search" autoFocus aria-label={label} placeholder={t("Name or username")} value={query} dir="auto" onChange={(event) => setQuery(event.target.value)}
        onKeyDown={(event) => { if (event.key === "Enter" && query) event.preventDefault(); if (event.key === "Enter" && found[0]) { onPick(found[0]); setQuery(""); } }} />
      <ul>
        {found.map((one) => (
          <li key={one.id}><button type="button" onClick={() => { onPick(one); setQuery(""); }}><Avatar id={one.id} name={one.display_name} size={24} /> <Name>{one.display_name}</Name> <span className="quiet small" dir="ltr">@{one.username}</span></button></li>
        ))}
        {asked && query.trim().length >= 2 && !found.length && <li className="quiet small">{t("Nobody is called so.")}</li>}
      </ul>
    </div>
  );
}
