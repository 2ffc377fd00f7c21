/**
 * Which messages of a chat are shown: in one with an assistant a line of it, from a question to the newest that continues it;
 * elsewhere all, and of answers that were written anew the chosen one. No I/O.
 */
import type { ChatJson, MessageJson } from "./frames";

/** A message where it is shown. siblings: those that could stand there, by seq. place: what all of them continue; "" for nothing. */
export interface Shown {
  message: MessageJson;
  siblings: MessageJson[];
  place: string;
}

/** By place: what was chosen there, while this was the newest there; another one that comes is shown instead. */
export type Chosen = Record<string, { id: string; newest: string }>;

/** messages: by seq, without gaps. wanted: a seq that is to be among them where nothing was chosen. */
export function shownOf(kind: ChatJson["kind"], messages: MessageJson[], chosen: Chosen, wanted: number | null): Shown[] {
  return kind === "assistant" ? line(messages, chosen, wanted) : flat(messages, chosen, wanted);
}

/** Where another's message led the page to another line: what was shown there stays chosen. me: who reads. */
export function kept(before: Shown[], now: Shown[], messages: MessageJson[], me: string): Chosen | null {
  const newest = messages.findLast((one) => one.kind !== "system");
  const cause = newest?.kind === "assistant" ? messages.find((one) => one.id === newest.reply_to) : newest;
  if (!cause || cause.sender_id === me) return null;
  for (const one of now) {
    const had = before.find((other) => other.place === one.place && other.message.kind !== "system");
    if (had && had.message.id !== one.message.id && one.siblings.some((other) => other.id === had.message.id)) return { [one.place]: { id: had.message.id, newest: one.siblings.at(-1)!.id } };
  }
  return null;
}

/** What a message that is sent now continues, where it isn't the newest of all (undefined), which needn't be said. */
export function continued(shown: Shown[], messages: MessageJson[]): string | undefined {
  const last = shown.findLast((one) => one.message.kind !== "system")?.message.id;
  return last === messages.findLast((one) => one.kind !== "system")?.id ? undefined : last;
}

function wished(group: MessageJson[], chosen: Chosen, place: string): MessageJson | undefined {
  const wish = chosen[place];
  return wish?.newest === group.at(-1)!.id ? group.find((one) => one.id === wish.id) : undefined;
}

/** Answers to one question stand where the first of them does. */
function flat(messages: MessageJson[], chosen: Chosen, wanted: number | null): Shown[] {
  const roots = new Map<string, string>();
  const groups = new Map<string, MessageJson[]>();
  for (const one of messages) {
    const root = (one.regenerates && roots.get(one.regenerates)) || one.regenerates || one.id;
    roots.set(one.id, root);
    groups.set(root, [...(groups.get(root) ?? []), one]);
  }
  return [...groups].map(([place, siblings]) => {
    const message = wished(siblings, chosen, place) ?? siblings.find((one) => one.seq === wanted) ?? siblings.at(-1)!;
    return { message, siblings, place };
  });
}

function line(messages: MessageJson[], chosen: Chosen, wanted: number | null): Shown[] {
  const said = messages.filter((one) => one.kind !== "system");
  const places = placesOf(said);
  const groups = new Map<string, MessageJson[]>();
  for (const one of said) groups.set(places.get(one.id)!, [...(groups.get(places.get(one.id)!) ?? []), one]);
  /** By id: the newest of those that continue it, and whether the wanted one does. */
  const newest = new Map<string, number>();
  const leads = new Set<string>();
  for (const one of [...said].reverse()) {
    const place = places.get(one.id)!;
    newest.set(one.id, Math.max(newest.get(one.id) ?? 0, one.seq));
    newest.set(place, Math.max(newest.get(place) ?? 0, newest.get(one.id)!));
    if (one.seq === wanted || leads.has(one.id)) leads.add(one.id).add(place);
  }
  const pick = (group: MessageJson[], place: string) =>
    wished(group, chosen, place) ?? group.find((one) => leads.has(one.id)) ?? group.reduce((a, b) => (newest.get(a.id)! > newest.get(b.id)! ? a : b));
  const tops = said.filter((one) => !places.has(places.get(one.id)!)); // what they continue isn't loaded, or they begin
  if (!tops.length) return messages.map((message) => ({ message, siblings: [message], place: "" }));
  let place = places.get(pick(tops, "\0").id)!;
  const found: Shown[] = [];
  for (let group = groups.get(place); group; group = groups.get(place)) {
    const message = pick(group, place);
    found.push({ message, siblings: group, place });
    place = message.id;
  }
  const ofService = messages.filter((one) => one.kind === "system").map((message) => ({ message, siblings: [message], place: "" }));
  return ofService.length ? [...found, ...ofService].sort((a, b) => a.message.seq - b.message.seq) : found;
}

/** By id: the message that it continues. One without a word of it begins anew where its answer continues it; else it is of a
 * version that didn't say, and continues the one before it. */
function placesOf(said: MessageJson[]): Map<string, string> {
  const begin = new Set(said.filter((one) => one.kind === "assistant" && !one.regenerates && one.parent_id === one.reply_to).map((one) => one.reply_to));
  const places = new Map<string, string>();
  let before = "";
  for (const one of said) {
    const again = one.regenerates ? places.get(one.regenerates) : undefined;
    places.set(one.id, one.parent_id ?? again ?? (begin.has(one.id) ? "" : before));
    before = one.id;
  }
  return places;
}
