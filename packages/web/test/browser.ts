// Builds the app, serves it as `npm run web` does, and opens it in a real Chromium.
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import { build, type PreviewServer, preview } from "vite";

const root = fileURLToPath(new URL("..", import.meta.url));

const places = [
  process.env.CHROMIUM ?? "",
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

const executable = places.find((path) => path !== "" && existsSync(path));

/** Whether tests must be left out; in CI they fail instead. */
export const noBrowser = executable === undefined && !process.env.CI;

if (noBrowser)
  process.stderr.write(
    "No Chromium: the tests of the browser app are skipped. Install it (apt-get install chromium) or set CHROMIUM.\n",
  );

export interface Bench {
  readonly address: string;
  readonly browser: Browser;
  readonly folder: string;
  close(): Promise<void>;
}

/** The app as it is shipped, in a folder of its own. */
export async function startApp(): Promise<Bench> {
  if (executable === undefined) throw new Error(`expected Chromium in one of ${places.join(", ")}`);
  const folder = mkdtempSync(join(tmpdir(), "sepc-web-"));
  const outDir = join(folder, "app");
  // Vite builds for what this says, and the test runner has set it.
  process.env.NODE_ENV = "production";
  await build({ root, logLevel: "warn", build: { outDir, emptyOutDir: true } });
  const server: PreviewServer = await preview({
    root,
    logLevel: "warn",
    build: { outDir },
    preview: { port: 0, strictPort: false },
  });
  const browser = await chromium.launch({
    executablePath: executable,
    args: [
      "--no-sandbox",
      "--enable-unsafe-webgpu",
      "--use-webgpu-adapter=swiftshader",
      "--use-fake-device-for-media-stream",
      "--use-fake-ui-for-media-stream",
    ],
  });
  return {
    address: server.resolvedUrls?.local[0] ?? "",
    browser,
    folder,
    close: async () => {
      await browser.close();
      await server.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

const types: Readonly<Record<string, string>> = {
  html: "text/html",
  js: "text/javascript",
  mjs: "text/javascript",
  css: "text/css",
  svg: "image/svg+xml",
  json: "application/json",
  wasm: "application/wasm",
  webmanifest: "application/manifest+json",
};

/** The app on a server that knows nothing of it and sends no headers for threads. */
export async function plainServer({ folder }: Bench): Promise<{ address: string; close(): void }> {
  const server = createServer(({ url = "/" }, response) => {
    const path = join(folder, "app", url === "/" ? "index.html" : new URL(url, "http://any").pathname);
    if (!existsSync(path)) response.writeHead(404).end();
    else
      response.setHeader("Content-Type", types[path.split(".").at(-1) ?? ""] ?? "").end(readFileSync(path));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    address: `http://127.0.0.1:${port}/`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** A page with the app; what goes wrong in it without being told is collected. */
export async function openPage(
  { browser, address }: Bench,
  options: Parameters<Browser["newPage"]>[0] = {},
): Promise<{ page: Page; silent: string[] }> {
  const page = await browser.newPage({ viewport: { width: 1300, height: 850 }, ...options });
  page.setDefaultTimeout(30_000);
  const silent: string[] = [];
  page.on("pageerror", (error) => silent.push(error.message));
  page.on("console", (message) => {
    // That a server answers 404 is written there by the browser itself.
    if (!message.text().startsWith("Failed to load resource")) silent.push(message.text());
  });
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (/^http/.test(url.protocol) && url.origin !== new URL(address).origin) silent.push(`asked ${url}`);
  });
  await page.goto(address);
  return { page, silent };
}

/** Waits until the page says something. */
export async function said(page: Page, words: RegExp): Promise<string> {
  const status = page.locator("#status");
  await page.waitForFunction(
    ([source, flags]) =>
      new RegExp(source as string, flags as string).test(
        document.getElementById("status")?.textContent ?? "",
      ),
    [words.source, words.flags],
  );
  return (await status.textContent()) ?? "";
}

export async function loadModel(page: Page, bytes: Uint8Array, name = "model.onnx"): Promise<string> {
  const file = { name, mimeType: "application/octet-stream", buffer: Buffer.from(bytes) };
  await page.setInputFiles("#model-input", file);
  return said(page, new RegExp(`^${name} is loaded|in \\d+ ms`));
}

/** A file as it is dropped. */
export interface DroppedFile {
  readonly name: string;
  readonly type: string;
  readonly bytes: Uint8Array;
}

/** Drops files on the page, as a person does. */
export async function drop(page: Page, files: readonly DroppedFile[]): Promise<void> {
  const plain = files.map(({ name, type, bytes }) => ({
    name,
    type,
    text: Buffer.from(bytes).toString("base64"),
  }));
  await page.evaluate((list) => {
    const dataTransfer = new DataTransfer();
    for (const { name, type, text } of list) {
      const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
      dataTransfer.items.add(new File([bytes], name, { type }));
    }
    window.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
  }, plain);
}

/** What a button gives to save. */
export async function saved(page: Page, button: string): Promise<Buffer> {
  const coming = page.waitForEvent("download");
  await page.click(button);
  return readFileSync(await (await coming).path());
}

/** Where a person keeps pictures of the pages: set SEPC_SHOTS to a folder to look at them. */
export async function shot(page: Page, name: string, fullPage = false): Promise<void> {
  const folder = process.env.SEPC_SHOTS;
  if (folder) await page.screenshot({ path: join(folder, `${name}.png`), fullPage });
}
