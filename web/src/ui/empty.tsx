/** Nothing is open: what one could begin. */
import { newId } from "../client";
import type { ReactNode } from "react";
import { useLocation } from "wouter";
import type { ChatJson } from "../client";
import { t } from "./i18n";
import { attempt, parley, useParley, usePage } from "./store";

export async function askAssistant(go: (path: string) => void, userId?: string): Promise<void> {
  const assistant = userId ? { assistant: { user_id: userId } } : {};
  const chat = await attempt(parley.rest.post<ChatJson>("v1/chats", { kind: "assistant", ...assistant }, newId()));
  if (chat) {
    parley.chats?.addChat(chat);
    go(`/c/${chat.id}`);
  }
}

export function Invitations(): ReactNode {
  const [, go] = useLocation();
  return (
    <div className="invitations">
      <button type="button" onClick={() => void askAssistant(go)}><b>{t("Ask the assistant")}</b><span>{t("It answers while you watch; stop it at any time.")}</span></button>
      <button type="button" onClick={() => usePage.setState({ menu: "new" })}><b>{t("Write to a person")}</b><span>{t("By their name or username.")}</span></button>
      <button type="button" onClick={() => usePage.setState({ menu: "new" })}><b>{t("Make a group")}</b><span>{t("Several people, and the assistant when you call it.")}</span></button>
    </div>
  );
}

export function Empty(): ReactNode {
  useParley();
  return (
    <main className="centred empty">
      <h1>{t("What would you like to do?")}</h1>
      <Invitations />
      <p className="quiet small">{t("Ctrl-K finds chats, people and messages; ? shows all keys.")}</p>
    </main>
  );
}
