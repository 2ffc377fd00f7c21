/** The shell around the core: a WebSocket, REST, IndexedDB, the other tabs of this browser. No DOM, no React. */
import { Chats, ChatView } from "./chats";
import { Core, type AnyEvent, type Effect, type Refusal, type Status } from "./core";
import type { ChatJson, Frame, MemberJson, MessageJson, PersonJson, Signal, UserJson } from "./frames";
import { Kept, type Snapshot, type Waiting } from "./kept";
import { newId } from "./ids";
import { Problem, Rest, SignedOut, Unreachable, type TokenSource } from "./rest";

const TICK_MS = 250;
const PAGE = 60;
const SNAPSHOT_MS = 2_000;

/** A message that isn't over. refusal: it was refused, and waits for somebody to retry or discard it. */
export interface Pending extends Waiting {
  refusal: Refusal | null;
  heldUntil: number | null;
}

export interface Note {
  kind: "silent" | "gone";
  chat_id: string | null;
  code: string;
  words: string;
}

/** A page of a list by cursor. */
export interface Listing<T> {
  items: T[];
  next_cursor: string | null;
}
/** A page of a list by seq. */
interface Paged<T> {
  items: T[];
  has_more: boolean;
}

export interface ParleyOptions {
  root: string;
  tokens?: TokenSource;
  kept?: Kept | null;
  /** How changes are told: many at once. */
  schedule?: (tell: () => void) => void;
}

type Between =
  | { type: "waiting"; one: Waiting }
  | { type: "over"; id: string }
  | { type: "refused"; id: string; refusal: Refusal }
  | { type: "signed out"; user_id: string }
  | { type: "signed in"; user_id: string };

export class Parley {
  readonly rest: Rest;
  readonly kept: Kept | null;
  core = new Core();
  chats: Chats | null = null;
  user: UserJson | null = null;
  status: Status = "new";
  draining = false;
  /** The session was ended by somebody else than this page. */
  endedElsewhere = false;
  /** Since when there is no connection. */
  lostAt: number | null = null;
  pending = new Map<string, Pending>();
  gone = new Set<string>();
  note: Note | null = null;
  limits = { body_max: 8_000 };
  /** Counts each change that isn't of one chat. */
  version = 0;
  /** The other person of each direct chat. */
  others = new Map<string, string>();

  private socket: WebSocket | null = null;
  private timer: ReturnType<typeof setInterval> | null = null;
  private listeners = new Set<() => void>();
  private scheduled = false;
  private answers = new Map<string, (frame: Frame | null) => void>();
  private ends = new Map<string, { done: () => void; refused: (refusal: Refusal) => void }>();
  private leads = false;
  private stopLeading: (() => void) | null = null;
  private between: BroadcastChannel | null = null;
  private asking = new Set<string>();
  private snapshotTimer: ReturnType<typeof setTimeout> | null = null;
  private toMark = new Map<string, number>();
  private marking: ReturnType<typeof setTimeout> | null = null;

  constructor(private readonly options: ParleyOptions) {
    this.rest = new Rest(options.root, options.tokens);
    this.kept = options.kept === undefined ? new Kept(`parley ${options.root}`) : options.kept;
  }

  // Who listens

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  private changed(): void {
    this.version++;
    if (this.scheduled) return;
    this.scheduled = true;
    (this.options.schedule ?? ((tell) => setTimeout(tell, 0)))(() => {
      this.scheduled = false;
      for (const listener of this.listeners) {
        try {
          listener();
        } catch (error) {
          reportError(error); // the others hear of it all the same
        }
      }
    });
  }

  // Who one is

  /** By what the browser keeps: the cookie, or what was shown last while the service can't be reached. */
  async resume(): Promise<"signed in" | "signed out"> {
    const last = (await this.kept?.last()) ?? null;
    if (last) this.showKept(last);
    else if (this.kept && (await this.kept.works()) && !this.options.tokens) return "signed out";
    try {
      await this.rest.refresh();
    } catch (error) {
      if (!(error instanceof SignedOut)) {
        if (!last) throw error;
        await this.begin(last.user);
        return "signed in";
      }
      if (last) {
        await this.kept?.forget(last.user_id, false);
        this.endedElsewhere = true;
      }
      this.forgetAll();
      return "signed out";
    }
    const user = this.rest.user ?? (await this.rest.get<UserJson>("v1/me"));
    if (last && last.user_id !== user.id) {
      await this.kept?.forget(last.user_id, false);
      this.chats = null;
      this.others.clear();
    }
    await this.begin(user);
    return "signed in";
  }

  private showKept(last: Snapshot): void {
    this.user = last.user;
    this.chats = new Chats(last.user);
    for (const person of last.people) this.chats.meet(person);
    for (const chat of last.chats) this.chats.addChat(chat);
    this.others = new Map(last.others);
  }

  async signIn(username: string, password: string): Promise<void> {
    await this.begin(await this.rest.signIn(username, password));
    this.between?.postMessage({ type: "signed in", user_id: this.user!.id } satisfies Between);
  }

  /** A code that another issuer's page came back with. */
  async signInByCode(code: string): Promise<void> {
    await this.begin(await this.rest.byCode(code));
    this.between?.postMessage({ type: "signed in", user_id: this.user!.id } satisfies Between);
  }

  async register(username: string, password: string, displayName?: string, invitation?: string): Promise<void> {
    await this.begin(await this.rest.register(username, password, displayName, invitation));
    this.between?.postMessage({ type: "signed in", user_id: this.user!.id } satisfies Between);
  }

  private async begin(user: UserJson): Promise<void> {
    this.user = this.rest.user = user;
    this.endedElsewhere = false;
    if (this.chats?.me.id !== user.id) this.chats = new Chats(user);
    this.core = new Core();
    this.openBetween();
    for (const one of (await this.kept?.waiting(user.id)) ?? []) this.remember(one);
    this.lead(user.id);
    this.core.start();
    this.timer ??= setInterval(() => this.tick(), TICK_MS);
    this.flush();
    await Promise.race([this.keepNow(), new Promise((done) => setTimeout(done, 500))]); // a reload at once finds who one is
    this.changed();
  }

  private remember(one: Waiting): void {
    if (!this.pending.has(one.id)) this.pending.set(one.id, { refusal: null, heldUntil: null, ...one });
  }

  /** waitingToo: what waits is dropped as well. */
  async signOut(waitingToo: boolean): Promise<void> {
    const userId = this.user?.id;
    await this.rest.post("v1/auth/logout").catch((error: unknown) => {
      if (!(error instanceof SignedOut)) throw error;
    });
    if (userId) {
      await this.kept?.forget(userId, waitingToo);
      this.between?.postMessage({ type: "signed out", user_id: userId } satisfies Between);
    }
    this.end();
  }

  private end(): void {
    this.core.stop();
    this.flush();
    this.forgetAll();
    this.status = "signed out";
    this.changed();
  }

  private forgetAll(): void {
    this.stopLeading?.();
    this.stopLeading = null;
    this.leads = false;
    if (this.timer) clearInterval(this.timer);
    if (this.snapshotTimer) clearTimeout(this.snapshotTimer);
    this.timer = this.snapshotTimer = null;
    this.rest.forget();
    this.user = this.chats = null;
    this.pending.clear();
    this.others.clear();
    this.gone.clear();
    this.note = null;
  }

  close(): void {
    this.core.stop();
    this.flush();
    this.forgetAll();
    this.between?.close();
    this.listeners.clear();
  }

  // The tabs of this browser: one sends for all

  private openBetween(): void {
    if (this.between || typeof BroadcastChannel === "undefined" || this.options.tokens) return;
    this.between = new BroadcastChannel(`parley ${this.options.root}`);
    this.between.onmessage = ({ data }: MessageEvent<Between>) => {
      if (data.type === "waiting" && data.one.user_id === this.user?.id) {
        this.remember(data.one);
        if (this.leads) this.put(data.one);
      } else if (data.type === "over") {
        this.core.discard(data.id);
        this.pending.delete(data.id);
      } else if (data.type === "refused") {
        const one = this.pending.get(data.id);
        if (one) this.pending.set(data.id, { ...one, refusal: data.refusal });
      } else if (data.type === "signed out" && data.user_id === this.user?.id) {
        this.end();
        this.endedElsewhere = true;
      } else if (data.type === "signed in" && this.user && data.user_id !== this.user.id) this.end();
      this.changed();
      this.flush();
    };
  }

  private lead(userId: string): void {
    const putAll = () => {
      for (const one of this.pending.values()) if (!one.refusal) this.put(one);
      this.flush();
    };
    const begin = () => {
      this.leads = true;
      putAll();
      void this.kept?.waiting(userId).then((all) => {
        if (this.user?.id !== userId) return;
        for (const one of all) this.remember(one);
        putAll();
        this.changed();
      });
    };
    if (!navigator.locks || this.options.tokens) return begin(); // one tab for itself
    const ended = new Promise<void>((resolve) => (this.stopLeading = resolve));
    void navigator.locks.request(`parley-sends ${this.options.root} ${userId}`, async () => {
      if (this.user?.id !== userId) return;
      begin();
      await ended;
    });
  }

  private put(one: Waiting): void {
    this.core.send(Date.now(), one.chat_id, one.body, one.id, one.reply_to, one.parent_id);
  }

  // What is done

  /** parentId: as the core has it. */
  send(chatId: string, body: string, replyTo: string | null = null, parentId?: string | null): string {
    const one: Waiting = { id: newId(), user_id: this.user!.id, chat_id: chatId, body, reply_to: replyTo, parent_id: parentId, written_at: Date.now() };
    this.remember(one);
    const kept = this.kept?.put(one) ?? Promise.resolve();
    if (this.leads) this.put(one);
    else void kept.then(() => this.between?.postMessage({ type: "waiting", one } satisfies Between));
    this.flush();
    this.changed();
    return one.id;
  }

  retry(id: string): void {
    const one = this.pending.get(id);
    if (!one) return;
    this.discard(id);
    this.send(one.chat_id, one.body, one.reply_to, one.parent_id);
  }

  discard(id: string): void {
    this.core.discard(id);
    this.over(id);
    this.between?.postMessage({ type: "over", id } satisfies Between);
  }

  private over(id: string): void {
    if (this.pending.delete(id)) void this.kept?.over(id);
    this.changed();
  }

  pendingIn(chatId: string): Pending[] {
    return [...this.pending.values()].filter((one) => one.chat_id === chatId);
  }

  /** An edit, a reaction, a stop …; fulfilled when it is over, rejected with a Refusal. */
  command(type: string, chatId: string, fields: Record<string, unknown>): Promise<void> {
    const id = newId();
    const end = new Promise<void>((done, refused) => this.ends.set(id, { done, refused }));
    this.core.command(Date.now(), type, chatId, id, fields);
    this.flush();
    return end;
  }

  private request(type: string, fields: Record<string, unknown>): Promise<Frame | null> {
    const ref = this.core.request(type, fields);
    const answer = new Promise<Frame | null>((resolve) => this.answers.set(ref, resolve));
    this.flush();
    return answer;
  }

  typing(chatId: string): void {
    this.core.typing(chatId);
    this.flush();
  }

  /** All up to there is read; told once for several soon after each other. */
  markRead(chatId: string, seq: number): void {
    const view = this.chats?.get(chatId);
    if (!view || seq <= view.chat.read_seq) return;
    this.toMark.set(chatId, Math.max(seq, this.toMark.get(chatId) ?? 0));
    this.marking ??= setTimeout(() => {
      this.marking = null;
      for (const [id, upTo] of this.toMark) {
        void this.request("read.mark", { chat_id: id, seq: upTo }).then((frame) => {
          if (frame?.type === "ok") this.chats?.readUpTo(id, frame.read_seq ?? upTo, frame.unread ?? 0);
          this.changed();
        });
      }
      this.toMark.clear();
    }, 300);
  }

  // The connection

  private tick(): void {
    this.core.tick(Date.now());
    if (this.chats?.tick(Date.now())) this.changed();
    this.flush();
  }

  /** The network is gone: don't wait until that shows. */
  networkLost(): void {
    if (this.status !== "online") return;
    this.hangUp();
    this.flush();
  }

  /** asked: by somebody, not by the page's own wish. */
  connectNow(asked = true): void {
    if (!asked && this.core.closedWith === 4409) return;
    this.core.connectNow();
    this.flush();
  }

  private flush(): void {
    for (let effects = this.core.drain(); effects.length; effects = this.core.drain()) {
      for (const effect of effects) this.perform(effect);
    }
  }

  private perform(effect: Effect): void {
    switch (effect.do) {
      case "connect":
        return void this.connect(this.core);
      case "close":
        return this.hangUp();
      case "send":
        if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(effect.text);
        return;
      case "refresh":
        return void this.refresh(this.core);
      case "status":
        this.status = effect.status;
        this.lostAt = effect.status === "online" ? null : (this.lostAt ?? Date.now());
        if (effect.status === "online") this.draining = false;
        if (effect.status === "signed out") void this.sessionEnded();
        return this.changed();
      case "welcome":
        return this.takeWelcome(effect.frame);
      case "event":
        return this.takeEvent(effect.event);
      case "signal":
        return this.takeSignal(effect.frame);
      case "joined":
        this.gone.delete(effect.chat.id);
        this.chats?.addChat(effect.chat);
        return this.changed();
      case "reset":
        return void this.reload(effect.chat_id);
      case "gone":
        return this.drop(effect.chat_id);
      case "draining":
        this.draining = true;
        return this.changed();
      case "over":
        this.ends.get(effect.id)?.done();
        this.ends.delete(effect.id);
        this.between?.postMessage({ type: "over", id: effect.id } satisfies Between);
        return this.over(effect.id);
      case "rejected":
        return this.refused(effect.id, effect.refusal);
      case "held": {
        for (const [id, one] of this.pending) if (one.chat_id === effect.chat_id) this.pending.set(id, { ...one, heldUntil: effect.until });
        return this.changed();
      }
      case "answer": {
        const answered = this.answers.get(effect.ref);
        this.answers.delete(effect.ref);
        answered?.(effect.frame);
      }
    }
  }

  private refused(id: string, refusal: Refusal): void {
    this.ends.get(id)?.refused(refusal);
    this.ends.delete(id);
    const one = this.pending.get(id);
    if (one) {
      const refused = { ...one, refusal };
      this.pending.set(id, refused);
      void this.kept?.put(refused);
      this.between?.postMessage({ type: "refused", id, refusal } satisfies Between);
    }
    this.changed();
  }

  private async connect(core: Core): Promise<void> {
    let token: string;
    try {
      token = await this.rest.token();
    } catch (error) {
      if (this.core !== core) return;
      if (error instanceof SignedOut) core.signedOut();
      else core.closed(1006, Date.now());
      return this.flush();
    }
    if (this.core !== core || core.status === "closed") return;
    const socket = new WebSocket(this.rest.socketUrl, "parley.v1");
    this.socket = socket;
    const lost = (code: number) => {
      if (this.socket !== socket) return;
      this.socket = null;
      core.closed(code, Date.now());
      this.flush();
    };
    const late = setTimeout(() => {
      lost(1006);
      socket.close();
    }, 10_000);
    socket.onopen = () => {
      clearTimeout(late);
      if (this.socket !== socket) return;
      core.opened(Date.now(), { token });
      this.flush();
    };
    socket.onmessage = ({ data }: MessageEvent<string>) => {
      if (this.socket !== socket) return;
      core.received(Date.now(), data);
      this.flush();
    };
    socket.onclose = ({ code }) => {
      clearTimeout(late);
      lost(code);
    };
  }

  private hangUp(): void {
    const socket = this.socket;
    this.socket = null;
    socket?.close();
    if (this.core.status === "online") {
      this.core.closed(1006, Date.now());
    }
  }

  private async refresh(core: Core): Promise<void> {
    this.rest.expire();
    try {
      const token = await this.rest.refresh();
      if (this.core === core && core.status === "online") await this.request("auth.refresh", { token });
    } catch (error) {
      if (error instanceof SignedOut && this.core === core) {
        core.signedOut();
        this.flush();
      }
    }
  }

  private async sessionEnded(): Promise<void> {
    const userId = this.user?.id;
    this.forgetAll();
    this.status = "signed out";
    this.endedElsewhere = true;
    this.changed();
    if (!userId) return;
    this.between?.postMessage({ type: "signed out", user_id: userId } satisfies Between);
    await this.kept?.forget(userId, false);
  }

  // What comes

  private takeWelcome(frame: Extract<Frame, { type: "welcome" }>): void {
    const chats = this.chats!;
    this.user = this.rest.user = frame.user;
    chats.me = frame.user;
    chats.meet(frame.user);
    this.limits = frame.limits;
    const resumed = this.core.resumed;
    const named = new Set<string>();
    for (const chat of frame.chats) {
      named.add(chat.id);
      const had = chats.get(chat.id);
      const view = chats.addChat({ ...chat, last_message: chat.last_message ?? had?.chat.last_message ?? null });
      if (had) view.touch();
      void this.nameOther(chat);
    }
    if (!frame.chats_more) for (const id of [...chats.views.keys()]) if (!named.has(id)) this.drop(id);
    for (const view of chats.views.values()) {
      if ((view.loaded || view.loading) && !resumed.has(view.chat.id)) void this.load(view.chat.id);
      if (view.members) void this.loadMembers(view.chat.id).catch(() => undefined);
    }
    this.keepSoon();
    this.changed();
  }

  private takeEvent(event: AnyEvent): void {
    const chats = this.chats!;
    if (!chats.get(event.chat_id)) void this.loadChat(event.chat_id).catch(() => undefined);
    chats.take(event);
    const message = "message" in event ? (event.message as MessageJson) : null;
    if (message?.client_message_id && message.sender_id === this.user?.id) this.over(message.client_message_id);
    if (event.type === "chat.created") void this.nameOther(chats.get(event.chat_id)?.chat);
    if (message) this.keepPageSoon(event.chat_id);
    this.keepSoon();
    this.changed();
  }

  private takeSignal(frame: Signal): void {
    if (frame.type === "preferences.changed" && this.user) this.user = { ...this.user, preferences: frame.preferences };
    if (frame.type === "user.updated" && frame.user.id === this.user?.id) this.user = { ...this.user, ...frame.user };
    if (frame.type === "assistant.silent") {
      this.note = { kind: "silent", chat_id: frame.chat_id, code: frame.code, words: "" };
    }
    this.chats?.signal(frame, Date.now());
    this.changed();
  }

  private drop(chatId: string): void {
    if (!this.chats?.get(chatId)) return;
    const { title } = this.chats.get(chatId)!.chat;
    if (title) this.note = { kind: "gone", chat_id: chatId, code: "gone", words: title };
    this.chats.drop(chatId);
    this.gone.add(chatId);
    for (const one of this.pendingIn(chatId)) this.refused(one.id, { code: "not_found", reason: "", policies: [] });
    if (this.user) void this.kept?.dropPage(this.user.id, chatId);
    this.keepSoon();
    this.changed();
  }

  /** Told to whoever looks at the page; null takes it away. */
  tellNote(note: Note | null): void {
    this.note = note;
    this.changed();
  }

  // What is loaded

  async loadChat(chatId: string): Promise<ChatView | null> {
    const key = `chat ${chatId}`;
    if (this.asking.has(key)) return this.chats?.get(chatId) ?? null;
    this.asking.add(key);
    try {
      const chat = await this.rest.get<ChatJson>(`v1/chats/${chatId}`);
      void this.nameOther(chat);
      return this.chats?.addChat(chat) ?? null;
    } catch (error) {
      if (error instanceof Problem && [403, 404, 422].includes(error.status)) {
        this.gone.add(chatId);
        return null;
      }
      throw error;
    } finally {
      this.asking.delete(key);
      this.changed();
    }
  }

  /** The newest page, or the one around a place. */
  async load(chatId: string, around: number | null = null): Promise<void> {
    const view = this.chats?.get(chatId);
    if (!view) return;
    if (view.loading) {
      view.stale = { around };
      return;
    }
    view.loading = [];
    try {
      if (!view.loaded && this.user && this.status !== "online") {
        const items = await this.kept?.page(this.user.id, chatId);
        if (items?.length) {
          view.show(items, true, false);
          this.changed();
        }
      }
      const path = `v1/chats/${chatId}/messages`;
      if (around === null) {
        const page = await this.rest.get<Paged<MessageJson>>(path, { limit: PAGE });
        view.show(page.items.reverse(), page.has_more, false);
      } else {
        const [before, after] = await Promise.all([
          this.rest.get<Paged<MessageJson>>(path, { before: around, limit: PAGE / 2 }),
          this.rest.get<Paged<MessageJson>>(path, { after: Math.max(0, around - 1), limit: PAGE }),
        ]);
        view.show([...before.items.reverse(), ...after.items], before.has_more, after.has_more);
      }
      this.keepPageSoon(chatId);
    } catch (error) {
      if (error instanceof Problem && error.status === 404) this.drop(chatId);
      else if (!(error instanceof Unreachable) && !(error instanceof Problem)) throw error;
    } finally {
      const came = view.loading ?? [];
      view.loading = null;
      for (const message of came) view.put(message);
      for (const one of view.messages) if (one.client_message_id && one.sender_id === this.user?.id) this.known(one.client_message_id);
      this.changed();
      const { stale } = view;
      view.stale = null;
      if (stale) void this.load(chatId, stale.around);
    }
  }

  /** It is there: whoever waits for its end hears it by `committed`, but it isn't shown twice. */
  private known(id: string): void {
    if (this.pending.has(id) && !this.core.unfinished.includes(id)) this.over(id);
  }

  async loadOlder(chatId: string): Promise<void> {
    await this.loadMore(chatId, "older");
  }

  async loadNewer(chatId: string): Promise<void> {
    await this.loadMore(chatId, "newer");
  }

  private async loadMore(chatId: string, side: "older" | "newer"): Promise<void> {
    const view = this.chats?.get(chatId);
    const key = `${side} ${chatId}`;
    const from = side === "older" ? view?.messages[0]?.seq : view?.messages.at(-1)?.seq;
    if (!view || from === undefined || this.asking.has(key)) return;
    this.asking.add(key);
    try {
      const query = { limit: 100, ...(side === "older" ? { before: from } : { after: from }) };
      const page = await this.rest.get<Paged<MessageJson>>(`v1/chats/${chatId}/messages`, query);
      if ((side === "older" ? view.messages[0] : view.messages.at(-1))?.seq !== from) return; // it shows another place by now
      if (side === "older") view.older(page.items.reverse(), page.has_more);
      else view.newer(page.items, page.has_more);
    } catch (error) {
      if (!(error instanceof Unreachable) && !(error instanceof Problem)) throw error;
    } finally {
      this.asking.delete(key);
      this.changed();
    }
  }

  private async reload(chatId: string): Promise<void> {
    const view = this.chats?.get(chatId);
    if (view?.loaded || view?.loading) void this.load(chatId);
    await this.loadChat(chatId).catch(() => setTimeout(() => void this.reload(chatId), 2_000));
  }

  /** A whole list, page by page. */
  async allOf<T>(path: string): Promise<T[]> {
    const all: T[] = [];
    let cursor: string | null = null;
    do {
      const page: Listing<T> = await this.rest.get<Listing<T>>(path, { cursor, limit: 100 });
      all.push(...page.items);
      cursor = page.next_cursor;
    } while (cursor);
    return all;
  }

  async loadMembers(chatId: string): Promise<void> {
    const found = new Map<string, MemberJson>();
    for (const member of await this.allOf<MemberJson>(`v1/chats/${chatId}/members`)) {
      found.set(member.user.id, member);
      this.chats?.meet(member.user);
    }
    const view = this.chats?.get(chatId);
    if (view) {
      view.members = found;
      view.touch();
    }
    this.changed();
  }

  async loadPins(chatId: string): Promise<MessageJson[]> {
    const page = await this.rest.get<Listing<MessageJson>>(`v1/chats/${chatId}/pins`, { limit: 50 });
    const view = this.chats?.get(chatId);
    if (view) {
      view.pins = new Set(page.items.map((one) => one.id));
      view.touch();
    }
    this.changed();
    return page.items;
  }

  /** Who the other one in a direct chat is. */
  private async nameOther(chat: ChatJson | undefined): Promise<void> {
    if (!chat || chat.kind !== "direct" || this.others.has(chat.id) || !this.user) return;
    const known = [chat.created_by, chat.last_message?.sender_id].find((id) => id && id !== this.user!.id);
    if (known) {
      this.others.set(chat.id, known);
      return this.askWho(known);
    }
    if (this.asking.has(`other ${chat.id}`)) return;
    this.asking.add(`other ${chat.id}`);
    try {
      const page = await this.rest.get<Listing<MemberJson>>(`v1/chats/${chat.id}/members`);
      for (const member of page.items) {
        this.chats?.meet(member.user);
        if (member.user.id !== this.user?.id) this.others.set(chat.id, member.user.id);
      }
      this.keepSoon();
      this.changed();
    } catch {
      // it is called "direct" till the next welcome
    } finally {
      this.asking.delete(`other ${chat.id}`);
    }
  }

  /** Who that is, where it is known; asked for else, once. */
  person(userId: string | null | undefined): PersonJson | undefined {
    if (!userId) return undefined;
    const known = this.chats?.people.get(userId);
    if (!known) void this.askWho(userId);
    return known;
  }

  private async askWho(userId: string): Promise<void> {
    if (this.chats?.people.has(userId) || this.asking.has(userId)) return;
    this.asking.add(userId);
    try {
      this.chats?.meet(await this.rest.get<PersonJson>(`v1/users/${userId}`));
      for (const view of this.chats?.views.values() ?? []) view.touch();
      this.changed();
    } catch {
      setTimeout(() => this.asking.delete(userId), 5_000);
      return;
    }
    this.asking.delete(userId);
  }

  // What is kept for a reload without the service

  private keepSoon(): void {
    this.snapshotTimer ??= setTimeout(() => {
      this.snapshotTimer = null;
      void this.keepNow();
    }, SNAPSHOT_MS);
  }

  private async keepNow(): Promise<void> {
    if (!this.user || !this.chats) return;
    const chats = this.chats.list().slice(0, 200).map((view) => view.chat);
    const people = [...this.chats.people.values()].slice(-500);
    const others = [...this.others];
    await this.kept?.keep({ user_id: this.user.id, user: this.user, chats, people, others });
  }

  private pagesToKeep = new Set<string>();
  private keepPageSoon(chatId: string): void {
    if (this.pagesToKeep.has(chatId)) return;
    this.pagesToKeep.add(chatId);
    setTimeout(() => {
      this.pagesToKeep.delete(chatId);
      const view = this.chats?.get(chatId);
      if (this.user && view?.loaded && !view.hasNewer) void this.kept?.keepPage(this.user.id, chatId, view.messages.slice(-PAGE));
    }, SNAPSHOT_MS);
  }
}
