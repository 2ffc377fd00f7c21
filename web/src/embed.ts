/**
 * A chat in other people's pages: one element, `<parley-chat>`, on the client's core. The page gives it a token by a callback:
 *
 *   const chat = document.querySelector("parley-chat");
 *   chat.token = async () => (await fetch("/my-backend/parley-token")).json();   // {access_token, expires_in}
 *   chat.chatId = "…";                                                           // else the latest one
 *
 * The page's origin has to be one of ALLOWED_ORIGINS. Texts are shown as text; nothing is kept in the browser.
 */
import { Parley, type MessageJson } from "./client";

const ROOT = new URL(".", (document.currentScript as HTMLScriptElement | null)?.src ?? location.href).href;
const STYLE = `
:host { display: flex; flex-direction: column; height: 420px; border: 1px solid #8886; border-radius: 8px; font: 15px/1.4 system-ui, sans-serif; color: CanvasText; background: Canvas; overflow: hidden }
ol { flex: 1; overflow-y: auto; margin: 0; padding: 10px; list-style: none }
li { margin: 0 0 8px; white-space: pre-wrap; overflow-wrap: anywhere } b { display: block } small { opacity: .75 }
form { display: flex; gap: 6px; padding: 8px; border-top: 1px solid #8886 } textarea { flex: 1; font: inherit; resize: none } p { margin: 0; padding: 4px 10px }`;

type Source = () => Promise<{ access_token: string; expires_in?: number }>;

class ParleyChat extends HTMLElement {
  #token: Source | null = null;
  #ready: () => void = () => undefined;
  chatId = "";
  private parley: Parley | null = null;
  private list!: HTMLOListElement;
  private said!: HTMLParagraphElement;
  private loading = "";

  /** Where its page's tokens come from; with it the chat begins. */
  set token(source: Source | null) {
    this.#token = source;
    if (this.isConnected) void this.begin();
  }
  get token(): Source | null {
    return this.#token;
  }

  connectedCallback(): void {
    if (Object.hasOwn(this, "token")) {
      const given = this.token; // set before this script came: it hides what is below
      delete (this as { token?: unknown }).token;
      this.token = given;
    }
    const shadow = this.shadowRoot ?? this.attachShadow({ mode: "open" });
    const style = document.createElement("style");
    style.textContent = STYLE;
    this.list = document.createElement("ol");
    this.said = document.createElement("p");
    this.said.setAttribute("role", "status");
    const form = document.createElement("form");
    const area = document.createElement("textarea");
    area.setAttribute("aria-label", "Message");
    area.rows = 1;
    const button = document.createElement("button");
    button.textContent = "Send";
    form.append(area, button);
    area.disabled = button.disabled = true; // until there is a chat to write in
    this.#ready = () => (area.disabled = button.disabled = false);
    const send = () => {
      if (!area.value.trim() || !this.current) return;
      this.parley!.send(this.current, area.value.trim());
      area.value = "";
    };
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      send();
    });
    area.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      send();
    });
    shadow.replaceChildren(style, this.list, this.said, form);
    void this.begin();
  }

  disconnectedCallback(): void {
    this.parley?.close();
    this.parley = null;
  }

  private async begin(): Promise<void> {
    if (!this.#token || this.parley || !this.isConnected) return;
    const parley = (this.parley = new Parley({ root: this.getAttribute("src") ?? ROOT, tokens: () => this.#token!(), kept: null }));
    parley.subscribe(() => this.show());
    try {
      await parley.resume();
    } catch {
      this.said.textContent = "The chat can't be reached. Trying again …";
      this.parley = null;
      setTimeout(() => void this.begin(), 3_000);
    }
  }

  private get current(): string {
    return this.chatId || this.parley?.chats?.list()[0]?.chat.id || "";
  }

  private show(): void {
    const parley = this.parley;
    const view = parley?.chats?.get(this.current);
    if (parley && !view && this.chatId && this.loading !== this.chatId) {
      this.loading = this.chatId;
      void parley.loadChat(this.chatId).then(() => (this.loading = ""));
    }
    if (!parley || !view) return;
    this.#ready();
    if (!view.loaded && this.loading !== this.current) {
      this.loading = this.current;
      void parley.load(this.current);
    }
    this.said.textContent = parley.status === "online" ? "" : "No connection. What you write is kept.";
    const atEnd = this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight < 60;
    const rows = view.messages.slice(-200).map((message) => this.row(parley, message));
    for (const one of parley.pendingIn(this.current)) rows.push(line(parley.person(one.user_id)?.display_name ?? "", one.body, one.refusal ? `not sent: ${one.refusal.reason}` : "sending"));
    for (const [at, row] of rows.entries()) {
      const had = this.list.children[at];
      if (!had) this.list.append(row);
      else if (had.innerHTML !== row.innerHTML) had.replaceWith(row); // a selection elsewhere stays
    }
    while (this.list.children.length > rows.length) this.list.lastElementChild!.remove();
    if (atEnd) this.list.scrollTop = this.list.scrollHeight;
  }

  private row(parley: Parley, message: MessageJson): HTMLLIElement {
    const text = message.status === "pending" ? (parley.chats!.replies.get(message.id)?.text ?? "") : (message.body ?? "deleted");
    const state = message.status === "pending" ? "writing …" : message.status === "complete" ? "" : message.status;
    return line(parley.person(message.sender_id)?.display_name ?? "", text, state);
  }
}

function line(who: string, text: string, state: string): HTMLLIElement {
  const item = document.createElement("li");
  const name = document.createElement("b");
  const body = document.createElement("span");
  const small = document.createElement("small");
  name.dir = body.dir = "auto";
  name.textContent = who;
  body.textContent = text;
  small.textContent = state;
  item.append(name, body, small);
  return item;
}

customElements.define("parley-chat", ParleyChat);
