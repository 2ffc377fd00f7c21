import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";
import { VitePWA } from "vite-plugin-pwa";
import { packed, reached } from "./tools/packed.js";

export default defineConfig({
  base: "./", // the gateway makes the page's links absolute, also under a path; all others are relative to their file
  build: { target: "es2022", assetsInlineLimit: 0, sourcemap: false, chunkSizeWarningLimit: 1_200 },
  plugins: [
    react(),
    VitePWA({
      registerType: "prompt",
      injectRegister: false,
      manifest: {
        name: "Parley", short_name: "Parley", description: "Chat that loses nothing, with an assistant that streams",
        start_url: "./", scope: "./", display: "standalone", background_color: "#14171c", theme_color: "#2456c9",
        icons: [{ src: "icon.svg", sizes: "any", type: "image/svg+xml", purpose: "any" }, { src: "icon-192.png", sizes: "192x192", type: "image/png" }, { src: "icon-512.png", sizes: "512x512", type: "image/png", purpose: "any maskable" }],
      },
      workbox: {
        globPatterns: ["index.html", "icon.svg", "assets/*.{js,css}"],
        manifestTransforms: [
          // The shell alone: what a reload without the service needs, and the app's own pieces that are loaded later.
          (entries) => {
            const shell = new Set(reached("dist", /^(settings|panel|palette|new_chat|keys|emoji|menu|ar|renewed)-/));
            return { manifest: entries.filter((one) => !one.url.endsWith(".js") || shell.has(one.url)), warnings: [] };
          },
        ],
        navigateFallback: "index.html",
        navigateFallbackDenylist: [/\/(v1|docs|about|static|livez|readyz|metrics|openapi\.json|asyncapi\.json)(\/|$)/],
        cleanupOutdatedCaches: true,
        inlineWorkboxRuntime: true,
      },
    }),
    packed(),
  ],
});
