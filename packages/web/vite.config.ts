import { createHash } from "node:crypto";
import { defaultClientConditions, defineConfig, type Plugin } from "vite";

/** With these headers a page may share memory between threads. */
const isolation = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

/** Tells the service worker what the app consists of. The runtime's binaries are kept when first used: they are large. */
function precache(): Plugin {
  return {
    name: "sepc-precache",
    apply: "build",
    generateBundle(_, bundle) {
      const files = Object.keys(bundle).filter((file) => !/\.(wasm|map)$|^service\.js$/.test(file));
      const digest = createHash("sha256");
      for (const file of files.sort()) {
        const part = bundle[file];
        if (part !== undefined) digest.update(file).update(part.type === "chunk" ? part.code : part.source);
      }
      const service = bundle["service.js"];
      if (service?.type !== "chunk") throw new Error("the build has no service.js");
      const list = JSON.stringify({
        version: digest.digest("hex").slice(0, 12),
        files: ["./", ...files, "icon.svg", "app.webmanifest"],
      });
      const code = service.code.replace(/["'`]__PRECACHE__["'`]/, JSON.stringify(list));
      if (code === service.code) throw new Error("service.js has no place for the list of files");
      service.code = code;
    },
  };
}

export default defineConfig({
  // Relative addresses: the app may lie in any folder of a server.
  base: "./",
  appType: "mpa",
  // The runtime's own loader then stays a file by itself, which its threads start from.
  resolve: { conditions: ["onnxruntime-web-use-extern-wasm", ...defaultClientConditions] },
  worker: { format: "es" },
  build: {
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 1000,
    rolldownOptions: {
      input: { index: "index.html", service: "src/service/main.ts" },
      output: {
        entryFileNames: ({ name }) => (name === "service" ? "service.js" : "assets/[name]-[hash].js"),
      },
    },
  },
  server: { headers: isolation, host: "127.0.0.1" },
  preview: { headers: isolation, host: "127.0.0.1", port: 4173 },
  plugins: [precache()],
});
