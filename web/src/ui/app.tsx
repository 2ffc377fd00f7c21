/** Which page is shown, and what stands over all of them. */
import { lazy, Suspense, useEffect, type ReactNode } from "react";
import { Link, Route, Router, Switch, useLocation } from "wouter";
import { Auth } from "./auth";
import { Banner, Problems, Renewal } from "./banner";
import { ChatPage } from "./chat";
import { t } from "./i18n";
import { Sidebar } from "./sidebar";
import { Problem, type ChatJson } from "../client";
import { invitation } from "./arrival";
import { BASE, inWords, parley, preferences, useParley, usePage } from "./store";
import { Boundary } from "./boundary";
import { Empty } from "./empty";

const Settings = lazy(() => import("./settings"));
const Admin = lazy(() => import("./admin"));
const Palette = lazy(() => import("./palette"));
const NewChat = lazy(() => import("./new_chat"));
const Origin = lazy(() => import("./origin"));
const Keys = lazy(() => import("./keys"));
const NewPassword = lazy(() => import("./new_password"));

export function App(): ReactNode {
  const { phase, said, reset } = usePage();
  return (
    <Router base={BASE}>
      <div role="log" aria-live="polite" className="unseen" id="said">
        {said}
      </div>
      {phase === "starting" && <main className="centred" aria-busy="true"><p className="quiet">{t("One moment …")}</p></main>}
      {phase === "unreachable" && (
        <main className="centred">
          <h1>Parley</h1>
          <p role="status">{t("The service can't be reached. Trying again …")}</p>
        </main>
      )}
      {reset && <Suspense fallback={null}><NewPassword code={reset} /></Suspense>}
      {phase === "signed out" && !reset && <Auth />}
      {phase === "signed in" && !reset && <Signed />}
      <Problems />
      <Renewal />
    </Router>
  );
}

function Signed(): ReactNode {
  useParley();
  const { menu, origin } = usePage();
  const [location, go] = useLocation();
  useKeys(go);
  useEffect(() => void come(go), []);
  useEffect(() => usePage.setState({ panel: false, editing: null }), [location]);
  if (!parley.user || !parley.chats) return null;
  const inChat = location !== "/";
  return (
    <div className={`frame${inChat ? " in-chat" : ""}`}>
      <a className="skip" href="#main">{t("Skip to the messages")}</a>
      <Banner />
      <Sidebar />
      <div className="place" id="main">
        <Boundary>
        <Suspense fallback={<main className="centred" aria-busy="true" />}>
          <Switch>
            <Route path="/c/:chat/m/:seq">{({ chat, seq }) => <ChatPage key={`${chat}`} chatId={chat} seq={Number(seq)} />}</Route>
            <Route path="/c/:chat">{({ chat }) => <ChatPage key={chat} chatId={chat} seq={null} />}</Route>
            <Route path="/settings"><Settings /></Route>
            <Route path="/admin"><Admin /></Route>
            <Route path="/"><Empty /></Route>
            <Route>
              <main className="centred">
                <h1>{t("There is nothing here")}</h1>
                <p><Link href="/">{t("To the chats")}</Link></p>
              </main>
            </Route>
          </Switch>
        </Suspense>
        </Boundary>
      </div>
      <Boundary>
      <Suspense fallback={null}>
        {menu === "palette" && <Palette />}
        {menu === "new" && <NewChat />}
        {menu === "keys" && <Keys />}
        {origin && <Origin message={origin} />}
      </Suspense>
      </Boundary>
    </div>
  );
}

/** Into the chat of the invitation that this tab came by. */
async function come(go: (path: string) => void): Promise<void> {
  const code = invitation.code;
  if (!code) return;
  invitation.forget();
  try {
    const chat = await parley.rest.post<ChatJson>(`v1/invitations/${encodeURIComponent(code)}/accept`);
    go(`/c/${chat.id}`);
  } catch (error) {
    if (!(error instanceof Problem && error.code === "conflict")) usePage.setState({ problem: { words: inWords(error) } }); // else it led into the service
  }
}

function useKeys(go: (path: string) => void): void {
  useEffect(() => {
    function pressed(event: KeyboardEvent): void {
      const off = (preferences().single_keys ?? true) === false;
      const typing = off || (event.target as HTMLElement).closest?.("input, textarea, select, [contenteditable]") || document.querySelector("[role=dialog], [role=menu]");
      const command = event.ctrlKey || event.metaKey;
      if (command && event.key.toLowerCase() === "k") {
        event.preventDefault();
        usePage.setState({ menu: usePage.getState().menu === "palette" ? "none" : "palette" });
      } else if (event.altKey && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
        event.preventDefault();
        const links = [...document.querySelectorAll<HTMLAnchorElement>("nav .chats a")];
        const at = links.findIndex((one) => one.getAttribute("aria-current") === "page");
        links[Math.max(0, Math.min(links.length - 1, at + (event.key === "ArrowDown" ? 1 : -1)))]?.click();
      } else if (!typing && event.key === "?") {
        usePage.setState({ menu: "keys" });
      } else if (!typing && event.key === "n" && !command) {
        event.preventDefault();
        usePage.setState({ menu: "new" });
      } else if (!typing && event.key === "/" && !command) {
        event.preventDefault();
        document.querySelector<HTMLTextAreaElement>("textarea[name=message]")?.focus();
      } else if (command && event.key === ",") {
        event.preventDefault();
        go("/settings");
      }
    }
    window.addEventListener("keydown", pressed);
    return () => window.removeEventListener("keydown", pressed);
  }, [go]);
}
