/** Lines of a chat with an assistant, and answers written anew elsewhere. */
import { describe, expect, it } from "vitest";
import { continued, kept, shownOf, type Chosen } from "../src/client/branches";
import type { MessageJson } from "../src/client";

let seq = 0;
function said(id: string, parent: string | null = null, more: Partial<MessageJson> = {}): MessageJson {
  const kind = id.startsWith("a") ? "assistant" : "user";
  return { id, seq: ++seq, kind, parent_id: parent, reply_to: kind === "assistant" ? parent : null, regenerates: null, ...more } as MessageJson;
}
const ids = (messages: MessageJson[], chosen: Chosen = {}, wanted: number | null = null, kind: "assistant" | "group" = "assistant") =>
  shownOf(kind, messages, chosen, wanted).map((one) => (one.siblings.length > 1 ? `${one.message.id} ${one.siblings.indexOf(one.message) + 1}/${one.siblings.length}` : one.message.id));

const q1 = said("q1"), a1 = said("a1", "q1"), q2 = said("q2", "a1"), a2 = said("a2", "q2");
const q3 = said("q3", "a2"), a3 = said("a3", "q3"), again = said("q2 again", "a1"), a4 = said("a4", "q2 again");
const tree = [q1, a1, q2, a2, q3, a3, again, a4];

describe("a chat with an assistant", () => {
  it("shows the line of the newest message, and siblings where they stand", () => {
    expect(ids(tree)).toEqual(["q1", "a1", "q2 again 2/2", "a4"]);
    expect(ids([...tree, said("q4", "a3")])).toEqual(["q1", "a1", "q2 1/2", "a2", "q3", "a3", "q4"]);
    expect(ids([...tree, said("a5", "q2 again", { regenerates: "a4" })]).at(-1)).toBe("a5 2/2");
  });
  it("shows what was chosen, until another one comes there", () => {
    expect(ids(tree, { a1: { id: "q2", newest: "q2 again" } })).toEqual(["q1", "a1", "q2 1/2", "a2", "q3", "a3"]);
    expect(ids(tree, { a1: { id: "q2", newest: "q2" } })).toEqual(["q1", "a1", "q2 again 2/2", "a4"]);
    expect(ids(tree, {}, a2.seq)).toEqual(["q1", "a1", "q2 1/2", "a2", "q3", "a3"]);
  });
  it("stays on its line when another's message comes on another one, and not when it is one's own", () => {
    const mine = tree.slice(0, 6).map((one) => ({ ...one, sender_id: one.kind === "user" ? "anna" : "assistant" }) as MessageJson);
    const before = shownOf("assistant", mine, {}, null);
    for (const [who, stays] of [["ben", true], ["anna", false]] as const) {
      const all = [...mine, { ...again, sender_id: who } as MessageJson, { ...a4, sender_id: "assistant" } as MessageJson];
      const chosen = kept(before, shownOf("assistant", all, {}, null), all, "anna");
      expect(chosen).toEqual(stays ? { a1: { id: "q2", newest: "q2 again" } } : null);
      expect(ids(all, chosen ?? {})).toEqual(stays ? ["q1", "a1", "q2 1/2", "a2", "q3", "a3"] : ["q1", "a1", "q2 again 2/2", "a4"]);
    }
  });
  it("keeps what was chosen when older ones are loaded", () => {
    const third = said("q2 third", "a1");
    expect(ids([again, a4, third], { a1: { id: "q2 again", newest: "q2 third" } })).toEqual(["q2 again 1/2", "a4"]);
    expect(ids([...tree, third], { a1: { id: "q2 again", newest: "q2 third" } })).toEqual(["q1", "a1", "q2 again 2/3", "a4"]);
  });
  it("says what is continued where that isn't the newest", () => {
    const shown = shownOf("assistant", tree, { a1: { id: "q2", newest: "q2 again" } }, null);
    expect(continued(shown, tree)).toBe("a3");
    expect(continued(shownOf("assistant", tree, {}, null), tree)).toBeUndefined();
    expect(continued([], [])).toBeUndefined();
  });
  it("knows a first question that was asked anew from what an older version stored", () => {
    const anew = [...tree, said("q1 again"), said("a9", "q1 again")];
    expect(ids(anew)).toEqual(["q1 again 2/2", "a9"]);
    expect(ids(anew, { "": { id: "q1", newest: "q1 again" } })).toEqual(["q1 1/2", "a1", "q2 again 2/2", "a4"]);
    const old = [said("q1"), said("a1", null, { reply_to: "q1" }), said("q2"), said("a2", null, { reply_to: "q2" }), said("a2 again", "q2", { regenerates: "a2" })];
    expect(ids(old)).toEqual(["q1", "a1", "q2", "a2 again 2/2"]);
  });
  it("begins where what is loaded does, and keeps what the service says", () => {
    const service = { ...said("s"), kind: "system" } as MessageJson;
    expect(ids([...tree.slice(4), service])).toEqual(["q2 again", "a4", "s"]);
    expect(ids([service])).toEqual(["s"]);
    expect(ids([])).toEqual([]);
  });
});

describe("elsewhere", () => {
  it("shows all, and of answers written anew the newest or the chosen one where the first stands", () => {
    const all = [said("q1"), said("a1", null, { reply_to: "q1" }), said("q2"), said("a1 anew", null, { regenerates: "a1" }), said("a1 once more", null, { regenerates: "a1 anew" })];
    expect(ids(all, {}, null, "group")).toEqual(["q1", "a1 once more 3/3", "q2"]);
    expect(ids(all, { a1: { id: "a1 anew", newest: "a1 once more" } }, null, "group")).toEqual(["q1", "a1 anew 2/3", "q2"]);
    expect(ids(all, {}, all[1]!.seq, "group")).toEqual(["q1", "a1 1/3", "q2"]);
    expect(ids(all.slice(3), {}, null, "group")).toEqual(["a1 once more 2/2"]);
  });
});
