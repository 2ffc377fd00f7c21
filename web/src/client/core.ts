/**
 * What a client of Parley does, without I/O: frames and times in, effects out. The twin of `parley_client/client.py`;
 * both run the transcripts of `tests/transcripts`. Words: docs/protocol.md. Times are in milliseconds.
 *
 * It keeps a command until it is over, sends again what isn't over after a reconnect (oldest first, same ids), holds back
 * what is behind a refused command in that chat, applies each seq once and in order, and closes gaps with `sync`.
 */
import type { ChatJson, Committed, DurableEvent, Frame, MessageJson, Rejected, Signal, UnknownEvent, Welcome } from "./frames";

export const ACCEPTED_MS = 5_000;
export const OVER_MS = 10_000;
export const BACKOFF_FIRST_MS = 500;
export const BACKOFF_MAX_MS = 30_000;
export const PONG_MS = 10_000;
export const WAIT_AFTER_4429_MS = 30_000;
export const WAIT_AFTER_4409_MS = 60_000;
export const FRAME_BYTES = 64 * 1024;
const BYTES = new TextEncoder();
const NAMED_MAX = 500;
const NEVER_AGAIN = [1002, 1003, 1007, 1009, 4400];

export type Status = "new" | "connecting" | "online" | "reconnecting" | "signed out" | "refused" | "closed";
export type AnyEvent = DurableEvent | UnknownEvent;

export interface Refusal {
  code: string;
  reason: string;
  policies: string[];
}

/** What the shell is to do, or to tell. */
export type Effect =
  | { do: "connect" }
  | { do: "close" }
  | { do: "send"; text: string }
  | { do: "refresh" }
  | { do: "status"; status: Status }
  | { do: "welcome"; frame: Welcome }
  | { do: "event"; event: AnyEvent }
  | { do: "signal"; frame: Signal }
  | { do: "joined"; chat: ChatJson }
  | { do: "reset"; chat_id: string; head: number; code: string }
  | { do: "gone"; chat_id: string }
  | { do: "draining" }
  | { do: "over"; id: string; chat_id: string; frame: AnyEvent | Committed }
  | { do: "rejected"; id: string; chat_id: string; refusal: Refusal }
  | { do: "held"; chat_id: string; until: number; code: string }
  | { do: "answer"; ref: string; frame: Frame | null };

interface Command {
  id: string;
  chat_id: string;
  frame: Record<string, unknown>;
  sentAt: number | null;
  accepted: boolean;
}

interface Place {
  cursor: number | null;
  syncing: boolean;
  heldUntil: number | null;
}

export interface CoreOptions {
  /** Between 0 and 1. */
  random?: () => number;
  backoffFirstMs?: number;
}

export class Core {
  status: Status = "new";
  welcome: Welcome | null = null;
  /** When the next connection is tried; null while there is one, or none will be. */
  retryAt: number | null = null;
  /** The close that ended the last connection. */
  closedWith: number | null = null;

  /** The chats that the last hello named: what was missed of them follows as events. */
  resumed = new Set<string>();

  private places = new Map<string, Place>();
  private open = new Map<string, Command>();
  private byRef = new Map<string, Command>();
  private asked = new Set<string>();
  private refs = 0;
  private awaiting = new Set<string>();
  private named: Record<string, number> = {};
  private epoch = "";
  private ready = false;
  private connected = false;
  private heardAt = 0;
  private pingedAt: number | null = null;
  private pingRef = "";
  private backoff: number;
  private readonly backoffFirst: number;
  private readonly random: () => number;
  private effects: Effect[] = [];
  private lines: string[] = [];

  constructor(options: CoreOptions = {}) {
    this.random = options.random ?? Math.random;
    this.backoffFirst = this.backoff = options.backoffFirstMs ?? BACKOFF_FIRST_MS;
  }

  /** What has to be done since it was asked last. What is ready together travels together. */
  drain(): Effect[] {
    let part: string[] = [];
    let size = 0;
    for (const line of this.lines) {
      const bytes = BYTES.encode(line).length + 1;
      if (size && size + bytes > FRAME_BYTES) {
        this.effects.push({ do: "send", text: part.join("\n") });
        [part, size] = [[], 0];
      }
      part.push(line);
      size += bytes;
    }
    if (part.length) this.effects.push({ do: "send", text: part.join("\n") });
    this.lines = [];
    const effects = this.effects;
    this.effects = [];
    return effects;
  }

  get cursors(): Record<string, number> {
    const found: Record<string, number> = {};
    for (const [id, place] of this.places) if (place.cursor !== null) found[id] = place.cursor;
    return found;
  }

  get unfinished(): string[] {
    return [...this.open.keys()];
  }

  // Its life

  start(): void {
    this.become("connecting");
    this.connect();
  }

  private connect(): void {
    this.retryAt = null;
    this.effects.push({ do: "connect" });
  }

  /** The connection stands: say who we are. */
  opened(now: number, credentials: { token?: string; ticket?: string }): void {
    this.connected = true;
    this.heardAt = now;
    this.pingedAt = null;
    this.lines = [];
    this.byRef.clear();
    this.forgetAsked();
    for (const place of this.places.values()) place.syncing = false;
    const hello: Record<string, unknown> = { type: "hello", ...credentials };
    const resume = Object.entries(this.cursors).slice(-NAMED_MAX);
    this.named = {};
    if (resume.length && this.epoch) {
      this.named = Object.fromEntries(resume);
      hello.resume = { epoch: this.epoch, chats: this.named };
    }
    this.put(hello);
  }

  /** code: of the close; 1006 where it was just lost, or never came to be. */
  closed(code: number, now: number): void {
    if (this.status === "closed" || this.status === "refused" || this.status === "signed out") return;
    if (this.ready) this.backoff = this.backoffFirst;
    this.connected = this.ready = false;
    this.closedWith = code;
    this.lines = [];
    this.forgetAsked();
    if (NEVER_AGAIN.includes(code)) return this.become("refused");
    this.become("reconnecting");
    if (code === 4401) this.effects.push({ do: "refresh" });
    const waits: Record<number, number> = { 4409: WAIT_AFTER_4409_MS, 4429: WAIT_AFTER_4429_MS };
    this.retryAt = now + (waits[code] ?? this.random() * this.backoff);
    this.backoff = Math.min(this.backoff * 2, BACKOFF_MAX_MS);
  }

  /** The session has ended for good. */
  signedOut(): void {
    this.retryAt = null;
    this.become("signed out");
    if (this.connected) this.effects.push({ do: "close" });
  }

  /** No more waiting: somebody asked, or the network came back. */
  connectNow(): void {
    if (this.retryAt !== null) this.connect();
  }

  stop(): void {
    this.retryAt = null;
    this.become("closed");
    this.effects.push({ do: "close" });
  }

  /** To be called at least twice a second. */
  tick(now: number): void {
    if (this.retryAt !== null && now >= this.retryAt) this.connect();
    for (const [chatId, place] of this.places) {
      if (place.heldUntil !== null && now >= place.heldUntil) {
        place.heldUntil = null;
        if (this.ready) this.resend(now, chatId);
      }
    }
    if (!this.ready) return;
    const late = new Set<string>();
    for (const command of this.open.values()) {
      if (command.sentAt !== null && now - command.sentAt > (command.accepted ? OVER_MS : ACCEPTED_MS)) late.add(command.chat_id);
    }
    for (const chatId of late) this.resend(now, chatId);
    if (this.pingedAt !== null && now - this.pingedAt > PONG_MS) {
      this.pingedAt = null;
      this.effects.push({ do: "close" });
    } else if (this.pingedAt === null && now - this.heardAt > 2_000 * (this.welcome?.heartbeat_s ?? 20)) {
      this.pingedAt = now;
      this.pingRef = this.request("ping", {});
    }
  }

  private become(status: Status): void {
    if (this.status !== status) {
      this.status = status;
      this.effects.push({ do: "status", status });
    }
  }

  private put(frame: Record<string, unknown>): void {
    this.lines.push(JSON.stringify(frame));
  }

  // What is asked

  /** parentId: what it continues, null for nothing; left out, the chat's newest message. */
  send(now: number, chatId: string, body: string, id: string, replyTo?: string | null, parentId?: string | null): void {
    const frame: Record<string, unknown> = { type: "message.send", client_message_id: id, body };
    if (replyTo) frame.reply_to = replyTo;
    if (parentId !== undefined) frame.parent_id = parentId;
    this.keep(now, chatId, id, frame);
  }

  /** Any other request that changes a chat (message.edit …), with its fields. */
  command(now: number, type: string, chatId: string, id: string, fields: Record<string, unknown>): void {
    this.keep(now, chatId, id, { type, command_id: id, ...fields });
  }

  private keep(now: number, chatId: string, id: string, frame: Record<string, unknown>): void {
    if (this.open.has(id)) return;
    const command: Command = { id, chat_id: chatId, frame: { ...frame, chat_id: chatId }, sentAt: null, accepted: false };
    this.open.set(id, command);
    if (this.ready && !this.isHeld(chatId)) this.putCommand(now, command);
  }

  /** Nobody waits for it any more. It may have been done all the same, if it was sent. */
  discard(id: string): void {
    this.open.delete(id);
  }

  /** ping, read.mark, sync, auth.refresh: answered by an `answer` with this ref; null where the connection went. */
  request(type: string, fields: Record<string, unknown>): string {
    const ref = this.nextRef();
    this.asked.add(ref);
    if (this.connected) this.put({ type, ref, ...fields });
    else this.answer(ref, null);
    return ref;
  }

  typing(chatId: string): void {
    if (this.ready) this.put({ type: "typing", chat_id: chatId });
  }

  private nextRef(): string {
    return String(++this.refs);
  }

  private isHeld(chatId: string): boolean {
    return (this.places.get(chatId)?.heldUntil ?? null) !== null;
  }

  private putCommand(now: number, command: Command): void {
    const ref = this.nextRef();
    this.byRef.set(ref, command);
    command.sentAt = now;
    command.accepted = false;
    this.put({ ...command.frame, ref });
  }

  private resend(now: number, chatId?: string): void {
    for (const command of this.open.values()) {
      if ((chatId === undefined || command.chat_id === chatId) && !this.isHeld(command.chat_id)) this.putCommand(now, command);
    }
  }

  private place(chatId: string): Place {
    let place = this.places.get(chatId);
    if (!place) this.places.set(chatId, (place = { cursor: null, syncing: false, heldUntil: null }));
    return place;
  }

  private hold(chatId: string, until: number, code: string): void {
    const place = this.place(chatId);
    if ((place.heldUntil ?? 0) < until) {
      place.heldUntil = until;
      this.effects.push({ do: "held", chat_id: chatId, until, code });
    }
  }

  private forgetAsked(): void {
    for (const ref of this.asked) this.effects.push({ do: "answer", ref, frame: null });
    this.asked.clear();
  }

  private answer(ref: string | undefined, frame: Frame | null): void {
    if (ref !== undefined && this.asked.delete(ref)) {
      if (ref === this.pingRef) this.pingedAt = null;
      this.effects.push({ do: "answer", ref, frame });
    }
  }

  // What comes

  /** A text frame: one or more lines. */
  received(now: number, text: string): void {
    this.heardAt = now;
    for (const line of text.split("\n")) if (line) this.take(now, JSON.parse(line) as Frame);
  }

  private take(now: number, frame: Frame): void {
    if ("seq" in frame && frame.type !== "committed") return this.takeEvent(frame as AnyEvent);
    switch (frame.type) {
      case "welcome":
        return this.takeWelcome(now, frame);
      case "synced":
      case "reset":
      case "gone":
        return this.takeEnd(now, frame);
      case "chat.joined":
        this.places.set(frame.chat.id, { cursor: frame.after, syncing: false, heldUntil: null });
        this.effects.push({ do: "joined", chat: frame.chat });
        return;
      case "accepted": {
        const command = this.byRef.get(frame.ref);
        if (command) command.accepted = true;
        return;
      }
      case "committed":
        return this.over(frame.client_message_id ?? frame.command_id, frame);
      case "rejected":
        return this.reject(frame.client_message_id ?? frame.command_id, frame);
      case "error":
        return this.takeError(now, frame);
      case "ok":
      case "pong":
        return this.answer(frame.ref, frame);
      case "auth.expiring":
        this.effects.push({ do: "refresh" });
        return;
      case "draining":
        this.effects.push({ do: "draining" });
        return;
      default:
        this.effects.push({ do: "signal", frame: frame as Signal });
    }
  }

  private takeWelcome(now: number, frame: Welcome): void {
    const resumed = (this.resumed = new Set(Object.keys(this.named)));
    this.welcome = frame;
    this.epoch = frame.epoch;
    for (const chat of frame.chats) {
      const place = this.place(chat.id);
      if (!resumed.has(chat.id)) place.cursor = chat.head;
    }
    this.awaiting = new Set(resumed);
    this.effects.push({ do: "welcome", frame });
    this.become("online");
    if (!this.awaiting.size) this.becomeReady(now);
  }

  private becomeReady(now: number): void {
    this.ready = true;
    this.resend(now);
  }

  private takeEnd(now: number, frame: Extract<Frame, { type: "synced" | "reset" | "gone" }>): void {
    const chatId = frame.chat_id;
    if (frame.type === "gone") {
      this.places.delete(chatId);
      this.effects.push({ do: "gone", chat_id: chatId });
    } else if (frame.type === "reset") {
      const held = this.places.get(chatId)?.heldUntil ?? null;
      this.places.set(chatId, { cursor: frame.head, syncing: false, heldUntil: held });
      this.effects.push({ do: "reset", chat_id: chatId, head: frame.head, code: frame.code });
    } else if (this.places.has(chatId)) this.place(chatId).syncing = false;
    this.answer(frame.ref, frame);
    if (this.awaiting.delete(chatId) && !this.awaiting.size) this.becomeReady(now);
  }

  private takeEvent(event: AnyEvent): void {
    const place = this.place(event.chat_id);
    this.overByEvent(event);
    if (place.cursor !== null && event.seq <= place.cursor) return;
    if (place.cursor !== null && event.seq > place.cursor + 1) {
      if (!place.syncing) {
        place.syncing = true;
        this.put({ type: "sync", ref: this.nextRef(), chats: { [event.chat_id]: place.cursor } });
      }
      return;
    }
    place.cursor = event.seq;
    this.effects.push({ do: "event", event });
    if (event.type === "member.removed" && "user_id" in event && event.user_id === this.welcome?.user.id) {
      this.places.delete(event.chat_id);
      this.effects.push({ do: "gone", chat_id: event.chat_id });
    }
  }

  private overByEvent(event: AnyEvent): void {
    const message = "message" in event ? (event.message as MessageJson) : null;
    if (event.type === "message.created" && message && message.sender_id === this.welcome?.user.id) {
      this.over(message.client_message_id ?? undefined, event);
    }
    if ("command_id" in event) this.over(event.command_id, event);
  }

  private over(id: string | undefined, frame: AnyEvent | Committed): void {
    const command = id === undefined ? undefined : this.open.get(id);
    if (!command) return;
    this.open.delete(command.id);
    this.effects.push({ do: "over", id: command.id, chat_id: command.chat_id, frame });
  }

  private reject(id: string | undefined, frame: Pick<Rejected, "code" | "reason"> & { policies?: string[] }): void {
    const command = id === undefined ? undefined : this.open.get(id);
    if (!command) return;
    this.open.delete(command.id);
    const refusal = { code: frame.code, reason: frame.reason, policies: frame.policies ?? [] };
    this.effects.push({ do: "rejected", id: command.id, chat_id: command.chat_id, refusal });
  }

  private takeError(now: number, frame: Extract<Frame, { type: "error" }>): void {
    const command = this.byRef.get(frame.ref ?? "");
    if (!command || !this.open.has(command.id)) return this.answer(frame.ref, frame);
    if (frame.code === "rate_limited" || frame.code === "unavailable") {
      this.hold(command.chat_id, now + (frame.retry_after_ms ?? 1_000), frame.code);
    } else if (frame.code === "outcome_unknown") this.hold(command.chat_id, now + 100, frame.code);
    else this.reject(command.id, frame);
  }
}
