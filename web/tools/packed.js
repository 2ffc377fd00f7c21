/** Packs what was built, and holds the first load to its size. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

export const FIRST_LOAD_MAX = 200 * 1024;

/**
 * The scripts of the page, those of assets that are named so, and all that they import by themselves.
 * @param {string} folder
 * @param {RegExp} [too]
 * @returns {string[]}
 */
export function reached(folder, too) {
  const html = readFileSync(join(folder, "index.html"), "utf8");
  const todo = [...html.matchAll(/(?:src|href)="\.\/(assets\/[^"]+\.js)"/g)].map((found) => found[1]);
  if (too) todo.push(...readdirSync(join(folder, "assets")).filter((name) => name.endsWith(".js") && too.test(name)).map((name) => `assets/${name}`));
  const names = /** @type {Set<string>} */ (new Set());
  while (todo.length) {
    const name = /** @type {string} */ (todo.pop());
    if (names.has(name)) continue;
    names.add(name);
    const text = readFileSync(join(folder, name), "utf8");
    for (const found of text.matchAll(/(?:from|import)\s*"\.\/([^"]+\.js)"/g)) todo.push(`assets/${found[1]}`);
  }
  return [...names].sort();
}

/**
 * What a signed-in reload of an ordinary text chat loads, in bytes as they travel.
 * @param {string} folder
 */
export function firstLoad(folder) {
  const names = reached(folder);
  return { names, bytes: names.reduce((sum, name) => sum + gzipSync(readFileSync(join(folder, name)), { level: 9 }).length, 0) };
}

/** @returns {import("vite").Plugin} */
export function packed() {
  return {
    name: "packed",
    apply: "build",
    closeBundle: {
      sequential: true,
      order: "post",
      handler() {
        for (const name of /** @type {string[]} */ (readdirSync("dist", { recursive: true }))) {
          if (!/\.(js|css|html|svg|webmanifest|json)$/.test(name) || name === "index.html") continue;
          const path = join("dist", name);
          const content = readFileSync(path);
          if (content.length < 1024) continue;
          writeFileSync(`${path}.gz`, gzipSync(content, { level: 9 }));
          writeFileSync(`${path}.br`, brotliCompressSync(content, { params: { [constants.BROTLI_PARAM_QUALITY]: content.length > 300_000 ? 6 : 9 } }));
        }
      },
    },
  };
}
