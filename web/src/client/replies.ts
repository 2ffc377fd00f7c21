/** The texts of answers that are being written: pieces by attempt and index. Twin of `parley_client/replies.py`. */
import type { ReplyDelta, ReplySnapshot, ReplyThinking, ReplyWaiting } from "./frames";

export interface Writing {
  attempt: number;
  next: number;
  text: string;
}

/** Before the first word: how much was thought, or why it is waited for and until when. */
export interface Progress {
  attempt: number;
  chars: number;
  waits: { code: string; until: number } | null;
  /** The provider that is asked instead of the assistant's own. */
  instead: string | null;
}

export class Replies {
  private writing = new Map<string, Writing>();
  private progress = new Map<string, Progress>();

  get(messageId: string): Writing | undefined {
    return this.writing.get(messageId);
  }

  progressOf(messageId: string): Progress | undefined {
    return this.progress.get(messageId);
  }

  heed(frame: ReplyThinking | ReplyWaiting, now: number): void {
    const waits = frame.type === "reply.waiting" ? { code: frame.code, until: now + frame.retry_in_ms } : null;
    const chars = frame.type === "reply.thinking" ? frame.chars : (this.progress.get(frame.message_id)?.chars ?? 0);
    const had = this.progress.get(frame.message_id);
    const instead = (frame.type === "reply.waiting" ? frame.instead : null) ?? (had?.attempt === frame.attempt ? had.instead : null);
    this.progress.set(frame.message_id, { attempt: frame.attempt, chars, waits, instead });
  }

  /** Whether the text changed. A piece out of its turn is passed by: a snapshot follows it. */
  take(frame: ReplyDelta | ReplySnapshot): boolean {
    const had = this.writing.get(frame.message_id);
    if (had && frame.attempt < had.attempt) return false;
    if (frame.type === "reply.snapshot") {
      if (had && had.attempt === frame.attempt && had.next > frame.next_index) return false;
      this.writing.set(frame.message_id, { attempt: frame.attempt, next: frame.next_index, text: frame.text });
      return true;
    }
    const same = had && had.attempt === frame.attempt ? had : { attempt: frame.attempt, next: 0, text: "" };
    if (frame.index !== same.next) {
      if (same !== had) this.writing.set(frame.message_id, same);
      return same !== had;
    }
    this.writing.set(frame.message_id, { attempt: frame.attempt, next: frame.index + 1, text: same.text + frame.text });
    return true;
  }

  /** It has ended: the message says how. */
  end(messageId: string): void {
    this.writing.delete(messageId);
    this.progress.delete(messageId);
  }
}
