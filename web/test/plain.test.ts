import { describe, expect, it } from "vitest";
import { plain } from "../src/ui/plain";

describe("a line of a text, without the marks of Markdown", () => {
  it.each([
    ["**Ben** and `code`", "Ben and code"],
    ["# Tea\n\n- one\n- two", "Tea one two"],
    ["| cup | price |\n|---|---:|\n| small | 2 |", "cup price small 2"],
    ["see [the page](https://example.org/a_b) now", "see the page now"],
    ["```python\nprint(1)\n```", "print(1)"],
    ["2 * 3 * 4, snake_case and a - b", "2 * 3 * 4, snake_case and a - b"],
    ["> said\n\n1. first", "said first"],
    ["<b>stays</b>", "<b>stays</b>"],
  ])("%s", (text, words) => expect(plain(text)).toBe(words));
});
