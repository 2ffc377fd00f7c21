/** The core does what the golden transcripts say; parley_client runs the same (tests/unit/test_transcripts.py). */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Core, Replies, type ReplyDelta } from "../src/client";

const FOLDER = join(import.meta.dirname, "../../tests/transcripts");
const TICK_MS = 50;
type Line = Record<string, any>;

class Play {
  now = 1_000_000;
  core = new Core({ random: () => 1 });
  wanted = false;
  said: Line[] = [];
  refs = new Map<string, string>();
  applied: [string, number, string][] = [];
  over: string[] = [];
  rejected: Record<string, string> = {};
  replies = new Replies();
  writing = new Set<string>();

  flush(): void {
    for (const effect of this.core.drain()) {
      if (effect.do === "connect") this.wanted = true;
      if (effect.do === "send") this.said.push(...effect.text.split("\n").map((line) => JSON.parse(line) as Line));
      if (effect.do === "event") {
        this.applied.push([effect.event.chat_id, effect.event.seq, effect.event.type]);
        if ("message" in effect.event && effect.event.type === "message.completed") this.replies.end((effect.event as Line).message.id);
      }
      if (effect.do === "signal" && effect.frame.type.startsWith("reply.")) {
        this.writing.add((effect.frame as ReplyDelta).message_id);
        this.replies.take(effect.frame as ReplyDelta);
      }
      if (effect.do === "over") this.over.push(effect.id);
      if (effect.do === "rejected") this.rejected[effect.id] = effect.refusal.code;
    }
  }

  play(line: Line): void {
    if ("open" in line) {
      expect(this.wanted).toBe(true);
      this.wanted = false;
      this.core.opened(this.now, { token: "an access token" });
    } else if ("quiet" in line) {
      expect([this.wanted, this.said]).toEqual([false, []]);
    } else if ("client" in line) {
      const said = this.said.shift();
      expect(said).toMatchObject(line.client);
      for (const name of line.without ?? []) expect(said).not.toHaveProperty(name);
      if (line.ref) this.refs.set(`$${line.ref}`, said!.ref);
    } else if ("service" in line) {
      const frame = { ...line.service };
      if (frame.ref) frame.ref = this.refs.get(frame.ref);
      this.core.received(this.now, JSON.stringify(frame));
    } else if (line.do?.send) {
      this.core.send(this.now, line.do.send.chat_id, line.do.send.body, line.do.send.id);
    } else if (line.do?.command) {
      const { type, chat_id, id, ...fields } = line.do.command;
      this.core.command(this.now, type, chat_id, id, fields);
    } else if ("close" in line) {
      this.core.closed(line.close, this.now);
    } else if ("wait_ms" in line) {
      for (const end = this.now + line.wait_ms; this.now < end; ) {
        this.now += TICK_MS;
        this.core.tick(this.now);
        this.flush();
      }
    } else if ("end" in line) {
      const replies = Object.fromEntries([...this.writing].flatMap((id) => (this.replies.get(id) ? [[id, this.replies.get(id)!.text]] : [])));
      expect(this.said).toEqual([]);
      expect({ status: this.core.status, cursors: this.core.cursors, applied: this.applied, over: this.over, rejected: this.rejected, unfinished: this.core.unfinished, replies }).toEqual(line.end);
    } else throw new Error(`no such line: ${JSON.stringify(line)}`);
    this.flush();
  }
}

describe("transcripts", () => {
  for (const name of readdirSync(FOLDER).filter((one) => one.endsWith(".jsonl"))) {
    it(name, () => {
      const play = new Play();
      play.core.start();
      play.flush();
      for (const [at, line] of readFileSync(join(FOLDER, name), "utf8").trim().split("\n").entries()) {
        try {
          play.play(JSON.parse(line) as Line);
        } catch (error) {
          throw new Error(`line ${at + 1}: ${line}`, { cause: error });
        }
      }
    });
  }
});
