/** What this browser keeps, by person: what waits to be sent, drafts, and the last page of what was open. IndexedDB. */
import { openDB, type DBSchema, type IDBPDatabase } from "idb";
import type { ChatJson, MessageJson, PersonJson, UserJson } from "./frames";

export interface Waiting {
  id: string;
  user_id: string;
  chat_id: string;
  body: string;
  reply_to: string | null;
  /** What it continues, where that isn't the chat's newest message; null for nothing. */
  parent_id?: string | null;
  written_at: number;
}

export interface Snapshot {
  user_id: string;
  user: UserJson;
  chats: ChatJson[];
  people: PersonJson[];
  others: [string, string][];
}

interface Shape extends DBSchema {
  waiting: { key: string; value: Waiting; indexes: { user: string } };
  drafts: { key: [string, string]; value: { user_id: string; chat_id: string; text: string } };
  snapshots: { key: string; value: Snapshot };
  pages: { key: [string, string]; value: { user_id: string; chat_id: string; items: MessageJson[] } };
  last: { key: string; value: string };
}

/** Where IndexedDB can't be had, it is kept as long as the page lives. */
export class Kept {
  private db: Promise<IDBPDatabase<Shape> | null>;
  private memory = new Map<string, Waiting>();

  constructor(name = "parley") {
    this.db = openDB<Shape>(name, 1, {
      upgrade(db) {
        db.createObjectStore("waiting", { keyPath: "id" }).createIndex("user", "user_id");
        db.createObjectStore("drafts", { keyPath: ["user_id", "chat_id"] });
        db.createObjectStore("snapshots", { keyPath: "user_id" });
        db.createObjectStore("pages", { keyPath: ["user_id", "chat_id"] });
        db.createObjectStore("last");
      },
    }).catch(() => null);
  }

  private async with<T>(work: (db: IDBPDatabase<Shape>) => Promise<T>, without: T): Promise<T> {
    const db = await this.db;
    try {
      return db ? await work(db) : without;
    } catch {
      return without;
    }
  }

  /** Whether anything is kept beyond this page's life. */
  async works(): Promise<boolean> {
    return (await this.db) !== null;
  }

  async put(one: Waiting): Promise<void> {
    this.memory.set(one.id, one);
    await this.with((db) => db.put("waiting", one).then(() => undefined), undefined);
  }

  async over(id: string): Promise<void> {
    this.memory.delete(id);
    await this.with((db) => db.delete("waiting", id), undefined);
  }

  /** In the order written. */
  async waiting(userId: string): Promise<Waiting[]> {
    const own = [...this.memory.values()].filter((one) => one.user_id === userId);
    const found = await this.with((db) => db.getAllFromIndex("waiting", "user", userId), own);
    return found.sort((a, b) => a.written_at - b.written_at);
  }

  async draft(userId: string, chatId: string): Promise<string> {
    return this.with(async (db) => (await db.get("drafts", [userId, chatId]))?.text ?? "", "");
  }

  async keepDraft(userId: string, chatId: string, text: string): Promise<void> {
    await this.with(async (db) => {
      if (text) await db.put("drafts", { user_id: userId, chat_id: chatId, text });
      else await db.delete("drafts", [userId, chatId]);
    }, undefined);
  }

  async keep(snapshot: Snapshot): Promise<void> {
    await this.with(async (db) => {
      await db.put("snapshots", snapshot);
      await db.put("last", snapshot.user_id, "user");
    }, undefined);
  }

  async page(userId: string, chatId: string): Promise<MessageJson[] | null> {
    return this.with(async (db) => (await db.get("pages", [userId, chatId]))?.items ?? null, null);
  }

  async keepPage(userId: string, chatId: string, items: MessageJson[]): Promise<void> {
    await this.with((db) => db.put("pages", { user_id: userId, chat_id: chatId, items }).then(() => undefined), undefined);
  }

  async dropPage(userId: string, chatId: string): Promise<void> {
    await this.with((db) => db.delete("pages", [userId, chatId]), undefined);
  }

  /** Who was signed in here last, to show while the service can't be reached. */
  async last(): Promise<Snapshot | null> {
    return this.with(async (db) => {
      const userId = await db.get("last", "user");
      return (userId && (await db.get("snapshots", userId))) || null;
    }, null);
  }

  /** The session has ended: texts go; what waits stays for the one who wrote it, unless dropped. */
  async forget(userId: string, waitingToo: boolean): Promise<void> {
    await this.with(async (db) => {
      await db.delete("last", "user");
      await db.delete("snapshots", userId);
      for (const key of await db.getAllKeys("pages")) if (key[0] === userId) await db.delete("pages", key);
      if (waitingToo) {
        for (const key of await db.getAllKeysFromIndex("waiting", "user", userId)) await db.delete("waiting", key);
        for (const key of await db.getAllKeys("drafts")) if (key[0] === userId) await db.delete("drafts", key);
      }
    }, undefined);
    if (waitingToo) for (const one of [...this.memory.values()]) if (one.user_id === userId) this.memory.delete(one.id);
  }
}
