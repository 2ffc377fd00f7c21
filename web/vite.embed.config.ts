/** /embed.js: one classic script, for other people's pages. */
import { defineConfig } from "vite";

export default defineConfig({
  publicDir: false,
  build: {
    target: "es2022",
    emptyOutDir: false,
    lib: { entry: "src/embed.ts", formats: ["iife"], name: "parley_embed", fileName: () => "embed.js" },
  },
});
