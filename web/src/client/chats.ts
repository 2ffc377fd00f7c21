/**
 * What is shown of chats: events, signals and pages of history, folded. No I/O. Messages are replaced whole, never changed,
 * so that who shows one sees by its identity whether it is another.
 */
import type { AnyEvent } from "./core";
import type { ChatJson, DurableEvent, MemberJson, MessageJson, PersonJson, ReactionJson, SharedChatJson, Signal } from "./frames";
import { DURABLE_TYPES } from "./frames";
import { Replies } from "./replies";

const WINDOW_MAX = 4_000;
const USERS_SHOWN = 20;

export interface Typing {
  user_id: string;
  until: number;
}

/** A chat, and what is loaded of it: messages without gaps from the first to the last of `messages`. */
export class ChatView {
  messages: MessageJson[] = [];
  loaded = false;
  /** What came while a page was on its way; null while none is. */
  loading: MessageJson[] | null = null;
  /** It has to be loaded once more when that page is there, around this place. */
  stale: { around: number | null } | null = null;
  /** Older ones than the first, or newer ones than the last, are on the service. */
  hasOlder = true;
  hasNewer = false;
  members: Map<string, MemberJson> | null = null;
  pins: Set<string> | null = null;
  /** By answer: what was added to its question since this page heard of it. */
  readonly remarks = new Map<string, string[]>();
  typing: Typing[] = [];
  mentions = 0;
  version = 0;

  constructor(public chat: ChatJson) {}

  touch(): void {
    this.version++;
  }

  find(messageId: string): MessageJson | undefined {
    for (let at = this.messages.length - 1; at >= 0; at--) if (this.messages[at]!.id === messageId) return this.messages[at];
    return undefined;
  }

  /** Instead of what was loaded. items: by seq. */
  show(items: MessageJson[], hasOlder: boolean, hasNewer: boolean): void {
    this.messages = items;
    this.loaded = true;
    this.hasOlder = hasOlder;
    this.hasNewer = hasNewer;
    this.touch();
  }

  older(items: MessageJson[], hasOlder: boolean): void {
    const first = this.messages[0]?.seq ?? Infinity;
    this.messages = [...items.filter((one) => one.seq < first), ...this.messages];
    this.hasOlder = hasOlder;
    if (this.messages.length > WINDOW_MAX) {
      this.messages = this.messages.slice(0, WINDOW_MAX);
      this.hasNewer = true;
    }
    this.touch();
  }

  newer(items: MessageJson[], hasNewer: boolean): void {
    const last = this.messages.at(-1)?.seq ?? 0;
    this.messages = [...this.messages, ...items.filter((one) => one.seq > last)];
    this.hasNewer = hasNewer || (this.chat.last_message?.seq ?? 0) > (this.messages.at(-1)?.seq ?? 0);
    if (this.messages.length > WINDOW_MAX) {
      this.messages = this.messages.slice(-WINDOW_MAX);
      this.hasOlder = true;
    }
    this.touch();
  }

  put(message: MessageJson): void {
    this.loading?.push(message);
    if (!this.loaded) return;
    const last = this.messages.at(-1);
    if (!last || message.seq > last.seq) {
      if (!this.hasNewer) this.messages = [...this.messages, message];
    } else {
      const at = this.messages.findIndex((one) => one.id === message.id);
      if (at >= 0) this.messages = this.messages.with(at, message);
    }
    this.touch();
  }
}

export class Chats {
  readonly views = new Map<string, ChatView>();
  readonly people = new Map<string, PersonJson>();
  readonly replies = new Replies();
  /** Counts what changes the list of chats. */
  version = 0;
  private listed: { version: number; views: ChatView[] } = { version: -1, views: [] };

  constructor(public me: PersonJson) {
    this.meet(me);
  }

  get(chatId: string): ChatView | undefined {
    return this.views.get(chatId);
  }

  /** Latest first; sorted once for each change of the list. */
  list(): readonly ChatView[] {
    if (this.listed.version !== this.version) {
      const views = [...this.views.values()].sort((a, b) => moved(b) - moved(a) || (a.chat.id < b.chat.id ? 1 : -1));
      this.listed = { version: this.version, views };
    }
    return this.listed.views;
  }

  meet(person: PersonJson): void {
    this.people.set(person.id, person);
  }

  addChat(chat: ChatJson): ChatView {
    const had = this.views.get(chat.id);
    if (had) had.chat = chat;
    const view = had ?? new ChatView(chat);
    this.views.set(chat.id, view);
    view.touch();
    this.version++;
    return view;
  }

  drop(chatId: string): void {
    this.views.delete(chatId);
    this.version++;
  }

  readUpTo(chatId: string, seq: number, unread: number): void {
    const view = this.views.get(chatId);
    if (!view) return;
    view.chat = { ...view.chat, read_seq: Math.max(seq, view.chat.read_seq), unread };
    if (!unread) view.mentions = 0;
    view.touch();
    this.version++;
  }

  take(event: AnyEvent): void {
    const view = this.views.get(event.chat_id);
    if (!view) return;
    const fresh = event.seq > view.chat.head;
    view.chat = { ...view.chat, head: Math.max(view.chat.head, event.seq) };
    this.version++;
    view.touch();
    if (!isKnown(event)) return;
    switch (event.type) {
      case "message.created":
        this.takeNew(view, event.message, fresh);
        break;
      case "message.edited":
      case "message.deleted":
      case "message.completed":
        if (event.type !== "message.edited") this.replies.end(event.message.id);
        this.replace(view, event.message);
        break;
      case "reaction.added":
      case "reaction.removed":
        this.react(view, event.message_id, event.emoji, event.user_id, event.type === "reaction.added");
        break;
      case "message.pinned":
        view.pins?.add(event.message_id);
        break;
      case "message.unpinned":
        view.pins?.delete(event.message_id);
        break;
      case "reply.steered":
        view.remarks.set(event.message_id, event.text ? [...(view.remarks.get(event.message_id) ?? []), event.text] : []);
        break;
      case "chat.created":
        for (const member of event.members) this.addMember(view, member);
        this.update(view, event.chat);
        break;
      case "chat.updated":
        this.update(view, event.chat);
        break;
      case "member.added":
        view.chat = { ...view.chat, members_count: view.chat.members_count + (view.members?.has(event.member.user.id) ? 0 : 1) };
        this.addMember(view, event.member);
        break;
      case "member.updated":
        this.addMember(view, event.member);
        break;
      case "member.removed":
        view.members?.delete(event.user_id);
        view.chat = { ...view.chat, members_count: Math.max(0, view.chat.members_count - 1) };
        break;
      case "member.unbanned":
    }
  }

  /** fresh: not counted yet; what was missed, the welcome's chat has counted. */
  private takeNew(view: ChatView, message: MessageJson, fresh: boolean): void {
    view.put(message);
    view.typing = view.typing.filter((one) => one.user_id !== message.sender_id);
    if (!fresh) return;
    const mine = message.sender_id === this.me.id;
    const unread = mine || message.kind === "system" || message.seq <= view.chat.read_seq ? view.chat.unread : view.chat.unread + 1;
    view.chat = { ...view.chat, last_message: message, unread: mine ? 0 : unread, hidden: false, ...(mine ? { read_seq: message.seq } : {}) };
    if (mine) view.mentions = 0;
    else if (message.body && mentionsMe(message.body, this.me.username)) view.mentions++;
  }

  private replace(view: ChatView, message: MessageJson): void {
    const had = view.find(message.id);
    const same = had ?? (view.chat.last_message?.id === message.id ? view.chat.last_message : undefined);
    view.put(message);
    if (view.chat.last_message?.id === message.id) view.chat = { ...view.chat, last_message: message };
    const counted = message.sender_id !== this.me.id && message.seq > view.chat.read_seq;
    if (message.deleted_at && (!same || !same.deleted_at) && counted) {
      view.chat = { ...view.chat, unread: Math.max(0, view.chat.unread - 1) };
    }
  }

  private react(view: ChatView, messageId: string, emoji: string, userId: string, added: boolean): void {
    const message = view.find(messageId);
    if (!message) return;
    const had = message.reactions.find((one) => one.emoji === emoji);
    const users = (had?.user_ids ?? []).filter((id) => id !== userId);
    const knew = users.length !== (had?.user_ids.length ?? 0);
    const count = (had?.count ?? 0) + (added ? (knew ? 0 : 1) : -1);
    const made: ReactionJson = { emoji, count, user_ids: added && users.length < USERS_SHOWN ? [...users, userId] : users };
    const reactions = had
      ? message.reactions.map((one) => (one === had ? made : one)).filter((one) => one.count > 0)
      : [...message.reactions, ...(added ? [made] : [])];
    view.put({ ...message, reactions });
  }

  private addMember(view: ChatView, member: MemberJson): void {
    this.meet(member.user);
    view.members?.set(member.user.id, member);
    if (member.user.id === this.me.id) view.chat = { ...view.chat, my_role: member.role };
  }

  private update(view: ChatView, shared: SharedChatJson): void {
    view.chat = { ...view.chat, ...shared, head: Math.max(view.chat.head, shared.head) };
  }

  /** Whether something is shown otherwise. */
  signal(frame: Signal, now: number): boolean {
    switch (frame.type) {
      case "reply.delta":
      case "reply.snapshot": {
        const changed = this.replies.take(frame);
        if (changed) this.views.get(frame.chat_id)?.touch();
        return changed;
      }
      case "reply.thinking":
      case "reply.waiting": {
        const view = this.views.get(frame.chat_id);
        if (!view) return false;
        this.replies.heed(frame, now);
        view.touch();
        return true;
      }
      case "typing": {
        const view = this.views.get(frame.chat_id);
        if (!view || frame.user_id === this.me.id) return false;
        view.typing = [...view.typing.filter((one) => one.user_id !== frame.user_id), { user_id: frame.user_id, until: now + frame.expires_in_ms }];
        view.touch();
        this.version++;
        return true;
      }
      case "read.marked": {
        const view = this.views.get(frame.chat_id);
        if (!view || frame.user_id !== this.me.id) return false;
        const unread = view.loaded && !view.hasNewer ? unreadIn(view, frame.read_seq, this.me.id) : frame.read_seq >= (view.chat.last_message?.seq ?? 0) ? 0 : view.chat.unread;
        this.readUpTo(frame.chat_id, frame.read_seq, unread);
        return true;
      }
      case "user.updated":
        this.meet(frame.user);
        if (frame.user.id === this.me.id) this.me = { ...this.me, ...frame.user };
        for (const view of this.views.values()) {
          const member = view.members?.get(frame.user.id);
          if (member) view.members!.set(frame.user.id, { ...member, user: frame.user });
          view.touch();
        }
        this.version++;
        return true;
      case "chat.hidden": {
        const view = this.views.get(frame.chat_id);
        if (view) view.chat = { ...view.chat, hidden: frame.hidden };
        this.version++;
        return true;
      }
      default:
        return false;
    }
  }

  /** Who has stopped typing. */
  tick(now: number): boolean {
    let changed = false;
    for (const view of this.views.values()) {
      if (!view.typing.length) continue;
      const left = view.typing.filter((one) => one.until > now);
      if (left.length !== view.typing.length) {
        view.typing = left;
        view.touch();
        changed = true;
      }
    }
    if (changed) this.version++;
    return changed;
  }
}

const KNOWN = new Set<string>(DURABLE_TYPES);

/** Not, where a server that doesn't know its form tells its place alone. */
function isKnown(event: AnyEvent): event is DurableEvent {
  return KNOWN.has(event.type) && Object.keys(event).length > 5;
}

function unreadIn(view: ChatView, readSeq: number, me: string): number {
  return view.messages.filter((one) => one.seq > readSeq && one.sender_id !== me && !one.deleted_at && one.kind !== "system").length;
}

function moved(view: ChatView): number {
  return Date.parse(view.chat.last_message?.created_at ?? view.chat.created_at);
}

/** `@name` as a word of its own. */
export function mentionsMe(body: string, username: string): boolean {
  const name = username.replace(/[.-]/g, "\\$&");
  return new RegExp(`(^|[^\\w@/.-])@${name}(?![\\w-])`, "i").test(body);
}
