/** Messages as HTML that can do nothing: no HTML of theirs, links of three kinds, images as links. */
import DOMPurify from "dompurify";
import MarkdownIt from "markdown-it";
import remend from "remend";
import { t } from "./i18n";

type Katex = typeof import("katex").default;
type Highlight = typeof import("highlight.js/lib/common").default;

const HIGHLIGHT_MAX = 20_000;
const SCHEMES = /^(https?|mailto):/i;

let katex: Katex | null = null;
let highlight: Highlight | null = null;
let wantsMath = false;
let wantsColours = false;
const diagrams = new Map<string, string>();
const listeners = new Set<() => void>();
let version = 0;

export const late = {
  subscribe(listener: () => void): () => void {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },
  version: () => version,
};

function came(): void {
  version++;
  for (const listener of listeners) listener();
}

const md = new MarkdownIt({ html: false, linkify: true, breaks: true, typographer: false });
md.validateLink = (url) => SCHEMES.test(url.trim());
md.linkify.set({ fuzzyEmail: false, fuzzyLink: false });

const escape = md.utils.escapeHtml;

md.renderer.rules.link_open = (tokens, at, options, _env, self) => {
  const token = tokens[at]!;
  token.attrSet("target", "_blank");
  token.attrSet("rel", "noopener noreferrer nofollow");
  token.attrSet("title", String(token.attrGet("href") ?? ""));
  return self.renderToken(tokens, at, options);
};
md.renderer.rules.link_close = (tokens, at) => {
  let from = at;
  while (from >= 0 && tokens[from]!.type !== "link_open") from--;
  const href = String(tokens[from]?.attrGet("href") ?? "");
  const words = tokens.slice(from + 1, at).map((one) => one.content).join("");
  const host = hostOf(href);
  return `</a>${host && !words.startsWith(`${new URL(href).protocol}//${host}`) ? `<span class="host" dir="ltr">${escape(host)}</span>` : ""}`;
};
md.renderer.rules.image = (tokens, at) => {
  const token = tokens[at]!;
  const src = String(token.attrGet("src") ?? "");
  const words = token.content || t("image");
  if (!SCHEMES.test(src)) return escape(words);
  return `<a class="image" href="${escape(src)}" target="_blank" rel="noopener noreferrer nofollow" title="${escape(src)}">${escape(words)}</a><span class="host" dir="ltr">${escape(hostOf(src))}</span>`;
};
md.renderer.rules.fence = (tokens, at) => {
  const token = tokens[at]!;
  return code(token.content, token.info.trim().split(/\s+/)[0] ?? "");
};
md.renderer.rules.code_block = (tokens, at) => code(tokens[at]!.content, "");
md.renderer.rules.table_open = () =>
  `<div class="table"><div class="tools"><button type="button" data-act="csv">${escape(t("Copy as CSV"))}</button></div><div class="scroll" tabindex="0" role="region" aria-label="${escape(t("Table"))}"><table>`;
md.renderer.rules.table_close = () => "</table></div></div>";

function hostOf(url: string): string {
  try {
    return new URL(url).host;
  } catch {
    return "";
  }
}

function code(text: string, language: string): string {
  if (language === "mermaid") return diagram(text);
  let inner = escape(text);
  if (language && text.length < HIGHLIGHT_MAX) {
    if (!highlight) wantsColours = true;
    else if (highlight.getLanguage(language)) inner = highlight.highlight(text, { language, ignoreIllegals: true }).value;
  }
  const tools = `<span class="language">${escape(language.slice(0, 30))}</span><button type="button" data-act="wrap">${escape(t("Wrap"))}</button><button type="button" data-act="copy">${escape(t("Copy"))}</button>`;
  return `<div class="code" dir="ltr"><div class="tools">${tools}</div><pre tabindex="0"><code>${inner}</code></pre></div>`;
}

function diagram(text: string): string {
  const drawn = diagrams.get(text);
  const source = `<pre tabindex="0"><code>${escape(text)}</code></pre>`;
  const shown = drawn?.startsWith("data:") ? `<img alt="${escape(t("Diagram"))}" src="${drawn}">` : drawn ? `<p class="bad">${escape(drawn)}</p>${source}` : source;
  const draw = drawn ? "" : `<button type="button" data-act="draw">${escape(t("Show the diagram"))}</button>`;
  return `<div class="code" dir="ltr"><div class="tools"><span class="language">mermaid</span>${draw}<button type="button" data-act="copy">${escape(t("Copy"))}</button></div>${shown}</div>`;
}

// Math: $…$, $$…$$, \(…\), \[…\]

function math(tex: string, display: boolean): string {
  if (!katex) {
    wantsMath = true;
    return `<span class="math" dir="ltr">${escape(tex)}</span>`;
  }
  return `<span class="math" dir="ltr">${katex.renderToString(tex, { displayMode: display, throwOnError: false, trust: false, maxSize: 20, maxExpand: 200 })}</span>`;
}

md.inline.ruler.before("escape", "math", (state, silent) => {
  const rest = state.src.slice(state.pos);
  const found = /^\$\$([^$]+?)\$\$/.exec(rest) ?? /^\\\((.+?)\\\)/s.exec(rest) ?? /^\\\[(.+?)\\\]/s.exec(rest) ?? /^\$(?=[^\s$])((?:[^$\\\n]|\\.)*?[^\s$\\])\$(?!\d)/.exec(rest);
  if (!found) return false;
  if (!silent) {
    const token = state.push("math", "", 0);
    token.content = found[1]!;
    token.meta = { display: found[0].startsWith("$$") || found[0].startsWith("\\[") };
  }
  state.pos += found[0].length;
  return true;
});
md.renderer.rules.math = (tokens, at) => math(tokens[at]!.content, Boolean(tokens[at]!.meta?.display));

const CLEAN = {
  USE_PROFILES: { html: true, mathMl: true, svg: true },
  ADD_ATTR: ["target", "data-act"],
  FORBID_TAGS: ["form", "input", "textarea", "select", "video", "audio", "iframe", "image"],
  RETURN_DOM_FRAGMENT: true as const,
};

DOMPurify.addHook("uponSanitizeElement", (node, data) => {
  if (data.tagName === "img" && !(node as Element).getAttribute("src")?.startsWith("data:image/svg+xml")) node.parentNode?.removeChild(node);
});

/** streaming: it isn't whole yet, and what is open is closed for now. */
export function rendered(body: string, streaming: boolean): DocumentFragment {
  const html = md.render(streaming ? remend(body) : body);
  const clean = DOMPurify.sanitize(html, CLEAN);
  if (wantsMath && !katex) {
    wantsMath = false;
    void Promise.all([import("katex"), import("katex/dist/katex.min.css")]).then(([made]) => {
      katex = made.default;
      came();
    }, () => undefined);
  }
  if (wantsColours && !highlight) {
    wantsColours = false;
    void import("highlight.js/lib/common").then((made) => {
      highlight = made.default;
      came();
    }, () => undefined);
  }
  return clean;
}

/** The source of a diagram is drawn once, as a picture that can run nothing. */
export async function draw(text: string): Promise<void> {
  const { default: mermaid } = await import("mermaid");
  try {
    mermaid.initialize({ startOnLoad: false, suppressErrorRendering: true, securityLevel: "strict", theme: matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "default", htmlLabels: false, flowchart: { htmlLabels: false } });
    const { svg } = await mermaid.render(`d${diagrams.size}`, text);
    diagrams.set(text, `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`);
  } catch (error) {
    diagrams.set(text, t("This diagram can't be drawn: {why}", { why: String(error instanceof Error ? error.message : error).slice(0, 200) }));
  }
  came();
}

/** Makes `into` like `from`, and touches only what differs, so that a selection stays while text grows. */
export function morph(into: Node, from: Node): void {
  let had = into.firstChild;
  let wanted = from.firstChild;
  while (wanted) {
    const next: ChildNode | null = wanted.nextSibling;
    if (!had) into.appendChild(wanted);
    else if (had.nodeType === 3 && wanted.nodeType === 3) {
      const old = (had as Text).data;
      const now = (wanted as Text).data;
      if (now !== old) {
        if (now.startsWith(old)) (had as Text).appendData(now.slice(old.length));
        else (had as Text).data = now;
      }
      had = had.nextSibling;
    } else if (had.nodeType === 1 && wanted.nodeType === 1 && had.nodeName === wanted.nodeName) {
      const [a, b] = [had as Element, wanted as Element];
      for (const name of a.getAttributeNames()) if (!b.hasAttribute(name) && name !== "data-state") a.removeAttribute(name);
      for (const name of b.getAttributeNames()) if (a.getAttribute(name) !== b.getAttribute(name)) a.setAttribute(name, b.getAttribute(name)!);
      morph(had, wanted);
      had = had.nextSibling;
    } else {
      const after: ChildNode | null = had.nextSibling;
      into.replaceChild(wanted, had);
      had = after;
    }
    wanted = next;
  }
  while (had) {
    const after: ChildNode | null = had.nextSibling;
    had.remove();
    had = after;
  }
}

export function csv(table: HTMLTableElement): string {
  const quoted = (text: string) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  return [...table.rows].map((row) => [...row.cells].map((cell) => quoted(cell.textContent ?? "")).join(",")).join("\n");
}
