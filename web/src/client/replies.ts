/** The texts of answers that are being written: pieces by attempt and index. Twin of `parley_client/replies.py`. */
import type { ReplyDelta, ReplySnapshot } from "./frames";

export interface Writing {
  attempt: number;
  next: number;
  text: string;
}

export class Replies {
  private writing = new Map<string, Writing>();

  get(messageId: string): Writing | undefined {
    return this.writing.get(messageId);
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
  }
}
