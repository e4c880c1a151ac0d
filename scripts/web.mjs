// `npm run web`: builds the browser app and serves it with the headers that threads need. `-- --port 8080` chooses the port.
// After `npm run demo` its model and one of its pictures lie ready in the page.
import { copyFileSync, existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { root, run, runMain, SetupError, say, setupWeb } from "./setup.mjs";

const web = join(root, "packages", "web");
const demo = join(root, "runs", "demo");

/** Exports the demo's model with its maps, when there is one. @returns {Promise<string | undefined>} the file */
async function exportDemo() {
  const checkpoint = join(demo, "run", "best.safetensors");
  if (!existsSync(checkpoint)) return undefined;
  const model = join(demo, "model.onnx");
  if (existsSync(model) && statSync(model).mtimeMs > statSync(checkpoint).mtimeMs) return model;
  const main = join(root, "packages", "detect", "bin", "sepc.mjs");
  await run(process.execPath, [main, "export", join(demo, "run"), "--out", model, "--views"]);
  return model;
}

/** Puts the demo's model and a picture beside the app. @param {string} folder of the built app */
async function addSample(folder) {
  const model = await exportDemo();
  const pictures = join(demo, "data", "val");
  if (model === undefined || !existsSync(pictures)) {
    say("  (npm run demo makes a model that the page then offers)");
    return;
  }
  const picture = readdirSync(pictures).filter((name) => /\.(png|jpe?g)$/.test(name))[0];
  if (picture === undefined) return;
  const samples = join(folder, "samples");
  mkdirSync(samples, { recursive: true });
  copyFileSync(model, join(samples, "demo.onnx"));
  copyFileSync(join(pictures, picture), join(samples, picture));
  writeFileSync(join(samples, "sample.json"), JSON.stringify({ model: "demo.onnx", picture }));
}

/** @returns {number} */
function portAsked() {
  const { values } = parseArgs({ options: { port: { type: "string", default: "4173" } } });
  const port = Number(values.port);
  if (Number.isInteger(port) && port >= 0 && port < 65536) return port;
  throw new SetupError(`--port: expected a number below 65536, got "${values.port}"`);
}

runMain(async () => {
  const port = portAsked();
  await setupWeb();
  const { build, preview } = await import("vite");
  await build({ root: web, logLevel: "warn" });
  await addSample(join(web, "dist"));
  const server = await preview({ root: web, logLevel: "warn", preview: { port } });
  say(`\nThe app is at ${server.resolvedUrls?.local[0] ?? `http://127.0.0.1:${port}/`} (Ctrl-C ends it)`);
});
