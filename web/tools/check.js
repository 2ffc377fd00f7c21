/** What the first load weighs, and whether each catalogue has all words. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { FIRST_LOAD_MAX, firstLoad } from "./packed.js";

const { names, bytes } = firstLoad("dist");
if (bytes > FIRST_LOAD_MAX) {
  console.error(`the first load is ${bytes} bytes of script, more than ${FIRST_LOAD_MAX}: ${names.join(", ")}`);
  process.exit(1);
}

const used = /** @type {Set<string>} */ (new Set());
for (const name of /** @type {string[]} */ (readdirSync("src", { recursive: true }))) {
  if (!/\.tsx?$/.test(name)) continue;
  for (const found of readFileSync(join("src", name), "utf8").matchAll(/\bt\("((?:[^"\\]|\\.)*)"/g)) used.add(JSON.parse(`"${found[1]}"`));
}
for (const file of readdirSync("src/catalogues")) {
  const words = /** @type {Record<string, string>} */ (JSON.parse(readFileSync(join("src/catalogues", file), "utf8")));
  const missing = [...used].filter((one) => !words[one]);
  const left = Object.keys(words).filter((one) => !used.has(one));
  if (missing.length || left.length) {
    console.error(`${file} lacks ${JSON.stringify(missing, null, 1)}\nand has what nobody says: ${JSON.stringify(left)}`);
    process.exit(1);
  }
}
console.error(`web: the first load is ${Math.round(bytes / 1024)} KiB of script, ${used.size} texts in ${readdirSync("src/catalogues").length + 1} languages`);
