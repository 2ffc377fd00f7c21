/** What follows the client without being looked at: the page's title, notifications, theme, language, a newer version. */
import { mentionsMe } from "../client";
import { LANGUAGES, speak, t, wanted } from "./i18n";
import { chatName, personName } from "./names";
import { announce, BASE, NOBODYS, parley, preferences, usePage } from "./store";

/** How many are unread, and which chat is open. */
function entitle(): void {
  const listed = (parley.chats?.list() ?? []).filter((view) => !view.chat.hidden && !view.chat.archived);
  const unread = listed.reduce((sum, view) => sum + view.chat.unread, 0);
  const open = parley.chats?.get(/\/c\/([^/]+)/.exec(location.pathname)?.[1] ?? "");
  const place = open ? `${chatName(parley, open)} · Parley` : "Parley";
  const title = unread ? `(${unread}) ${place}` : place;
  if (document.title !== title) document.title = title;
}

export function attended(): void {
  for (const moved of ["popstate", "pushState", "replaceState"]) addEventListener(moved, entitle);
  let spoken = document.documentElement.lang;
  let theme = "";
  const told = new Map<string, number>();
  const begun = Date.now();

  parley.subscribe(() => {
    const chats = parley.chats?.list() ?? [];
    entitle();
    if (parley.status === "signed out" && usePage.getState().phase === "signed in") usePage.setState({ phase: "signed out", ...NOBODYS });
    if (parley.user && usePage.getState().phase === "signed out" && parley.status !== "signed out") usePage.setState({ phase: "signed in" });

    const chosen = preferences();
    const now = chosen.theme ?? "system";
    if (now !== theme) {
      theme = now;
      document.documentElement.dataset.theme = now;
    }
    const language = wanted(chosen.language);
    if (parley.user && language !== spoken && language in LANGUAGES) {
      spoken = language;
      localStorage.setItem("parley language", language);
      void speak(language).then(() => parley.tellNote(parley.note));
    }
    for (const view of chats) {
      const last = view.chat.last_message;
      if (!last || (told.get(view.chat.id) ?? 0) >= last.seq) continue;
      told.set(view.chat.id, last.seq);
      const fresh = Date.parse(last.created_at) > begun && last.sender_id !== parley.user?.id && last.kind === "user";
      if (!fresh || !last.body || !document.hidden || !chosen.notify || !("Notification" in window) || Notification.permission !== "granted") continue;
      const mine = view.chat.kind === "direct" || mentionsMe(last.body, parley.user?.username ?? "");
      if (!mine) continue;
      const words = `${personName(parley, last.sender_id)} · ${chatName(parley, view)}`;
      const options = { body: last.body.slice(0, 140), tag: view.chat.id };
      try {
        const shown = new Notification(words, options);
        shown.onclick = () => {
          window.focus();
          location.assign(`${BASE}/c/${view.chat.id}`);
        };
      } catch {
        void navigator.serviceWorker?.ready.then((worker) => worker.showNotification(words, options)); // as phones have it
      }
    }
  });
  window.addEventListener("online", () => parley.connectNow());
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) parley.connectNow(false);
  });
  window.addEventListener("offline", () => parley.networkLost());
  window.addEventListener("vite:preloadError", () => usePage.setState({ update: () => location.reload() }));
  announceAnswers();
  if ("serviceWorker" in navigator && import.meta.env.PROD) {
    void import("./renewed").then(({ watch }) => watch());
  }
}

/** The start and the end of an answer, not each piece of it. */
function announceAnswers(): void {
  const writing = new Set<string>();
  parley.subscribe(() => {
    const open = usePage.getState();
    if (open.phase !== "signed in") return;
    for (const view of parley.chats?.views.values() ?? []) {
      if (!view.loaded) continue;
      const last = view.messages.slice(-6);
      for (const message of last) {
        if (message.kind !== "assistant") continue;
        if (message.status === "pending" && !writing.has(message.id)) {
          writing.add(message.id);
          announce(t("{who} is answering", { who: personName(parley, message.sender_id) }));
        } else if (message.status !== "pending" && writing.delete(message.id)) {
          announce(message.status === "complete" ? t("The answer is complete") : message.status === "stopped" ? t("The answer was stopped") : t("The answer failed"));
        }
      }
    }
  });
}
