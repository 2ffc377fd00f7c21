/** The one client of this page, and what only the page knows: what is open beside the chats. */
import { useEffect, useState, useSyncExternalStore } from "react";
import { create } from "zustand";
import { Parley, Problem, shownOf, Unreachable, type AssistantUserJson, type ChatView, type Chosen, type MessageJson, type PersonJson, type PromptJson, type Shown } from "../client";
import { t } from "./i18n";

/** Where the service is: beside this script's folder, also where a proxy shows it under a path. */
export const ROOT = new URL("..", import.meta.url.includes("/assets/") ? import.meta.url : new URL("/x/y", location.href)).href;
export const BASE = new URL(ROOT).pathname.replace(/\/$/, "");

export const parley = new Parley({
  root: ROOT,
  schedule: (tell) => {
    if (document.hidden) setTimeout(tell, 50);
    else requestAnimationFrame(tell);
  },
});

/** Renders anew with each change of the client. */
export function useParley(): Parley {
  useSyncExternalStore(parley.subscribe, () => parley.version);
  return parley;
}

export function useChat(chatId: string): ChatView | undefined {
  useSyncExternalStore(parley.subscribe, () => parley.chats?.get(chatId)?.version ?? -1);
  return parley.chats?.get(chatId);
}

interface Page {
  phase: "starting" | "signed out" | "signed in" | "unreachable";
  menu: "none" | "palette" | "keys" | "new";
  panel: boolean;
  replyTo: Record<string, MessageJson | undefined>;
  editing: MessageJson | null;
  /** Whether what is edited stays where it is; else it is asked anew, beside what it was. */
  inPlace: boolean;
  /** What that one continues; "" for nothing. */
  place: string;
  /** Those that one may use, as far as they were asked for. */
  prompts: PromptJson[];
  /** Those that one may ask, as far as they were asked for. */
  assistants: PersonJson[];
  /** By chat: which branches are shown. */
  chosen: Record<string, Chosen>;
  /** The answer of which is shown how it came about. */
  origin: MessageJson | null;
  said: string;
  problem: { words: string; explain?: { action: string; chat_id: string } } | null;
  update: (() => void) | null;
  /** Of a link to set a new password; "" for none. */
  reset: string;
  /** What another issuer's page came back with, in words. */
  arrived: string;
}

/** What belongs to who is signed in, as it is for nobody. */
export const NOBODYS = { menu: "none", panel: false, replyTo: {}, editing: null, inPlace: true, place: "", prompts: [], assistants: [], chosen: {}, origin: null } satisfies Partial<Page>;

export const usePage = create<Page>(() => ({ phase: "starting", ...NOBODYS, said: "", problem: null, update: null, reset: "", arrived: "" }));

/** The assistants that one may ask, put into the page. */
export async function loadAssistants(): Promise<void> {
  const mine = (await parley.allOf<AssistantUserJson>("v1/assistants")).filter((one) => one.may_ask).map((one) => ({ id: one.user_id, username: one.username, display_name: one.display_name, kind: "assistant" as const }));
  usePage.setState({ assistants: mine });
}

/** What the column shows of a chat. */
export function shownIn(view: ChatView): Shown[] {
  const seq = /\/m\/(\d+)$/.exec(location.pathname)?.[1]; // the message that the page's address names
  return shownOf(view.chat.kind, view.messages, usePage.getState().chosen[view.chat.id] ?? {}, seq ? Number(seq) : null);
}

/** Told to who listens to the page instead of looking at it. */
export function announce(words: string): void {
  usePage.setState({ said: words });
}

/** What may be wrong with a call, in words. */
export function inWords(error: unknown): string {
  if (error instanceof Unreachable) return t("The service can't be reached. Try again in a moment.");
  if (error instanceof Problem && error.code === "rate_limited") return t("Too fast: wait a moment, then try again.");
  if (error instanceof Problem) return error.message;
  if (error && typeof error === "object" && "reason" in error) return String((error as { reason: string }).reason);
  return String(error);
}

/** Shows what went wrong; what was refused by a policy can be asked why. */
export async function attempt<T>(work: Promise<T>, explain?: { action: string; chat_id: string }): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    const refused = error && typeof error === "object" && "policies" in error && (error as { policies: string[] }).policies.length > 0;
    usePage.setState({ problem: { words: inWords(error), explain: refused ? explain : undefined } });
    return undefined;
  }
}

export interface Preferences {
  send_with?: "enter" | "ctrl-enter";
  theme?: "system" | "light" | "dark" | "contrast";
  language?: string;
  notify?: boolean;
  /** Keys without Ctrl or Alt. */
  single_keys?: boolean;
  added_by?: "everyone" | "shared" | "nobody";
}

export function preferences(): Preferences {
  return (parley.user?.preferences ?? {}) as Preferences;
}

export function useNow(everyMs: number): number {
  const [now, set] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => set(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}
