/** A list by pages; load again with another path or query. */
import { useEffect, useState } from "react";
import type { Listing } from "../client";
import { attempt, parley } from "./store";

export function usePages<T>(path: string, query: Record<string, string | boolean | null>): { items: T[]; more: (() => void) | null; again: () => void } {
  const [items, setItems] = useState<T[]>([]);
  const [next, setNext] = useState<string | null>(null);
  const load = (cursor: string | null) => void attempt(parley.rest.get<Listing<T>>(path, { ...query, cursor, limit: 50 })).then((page) => {
    if (!page) return;
    setItems((had) => (cursor ? [...had, ...page.items] : page.items));
    setNext(page.next_cursor);
  });
  useEffect(() => load(null), [path, JSON.stringify(query)]);
  return { items, more: next ? () => load(next) : null, again: () => load(null) };
}
