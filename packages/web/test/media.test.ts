// Folders, videos, the webcam, use without a network, WebGPU, and what people need who see or handle things differently.
import { mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type Bench,
  drop,
  loadModel,
  noBrowser,
  openPage,
  plainServer,
  said,
  saved,
  shot,
  startApp,
} from "./browser.js";
import { randomModel } from "./model.js";
import { drawnPicture, encodeBmp } from "./picture.js";
import { tinyModel } from "./tinyModel.js";

const classes = ["circle", "square", "star"];
const bmp = { name: "boxes.bmp", type: "image/bmp", bytes: encodeBmp(drawnPicture(240, 160)) };

/** A second of a moving box, recorded by the browser itself. */
async function recordVideo(page: Page): Promise<Buffer> {
  const text = await page.evaluate(async () => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [240, 160];
    const pen = canvas.getContext("2d");
    const recorder = new MediaRecorder(canvas.captureStream(25), { mimeType: "video/webm" });
    const parts: Blob[] = [];
    recorder.ondataavailable = ({ data }) => parts.push(data);
    const done = new Promise((resolve) => {
      recorder.onstop = resolve;
    });
    recorder.start();
    for (let i = 0; i < 30 && pen; i++) {
      pen.fillStyle = "teal";
      pen.fillRect(0, 0, 240, 160);
      pen.fillStyle = "orange";
      pen.fillRect(4 * i, 40, 60, 60);
      await new Promise((resolve) => setTimeout(resolve, 40));
    }
    recorder.stop();
    await done;
    const bytes = new Uint8Array(await new Blob(parts).arrayBuffer());
    return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
  });
  return Buffer.from(text, "base64");
}

describe.skipIf(noBrowser)("the app with more than one picture", () => {
  let model: Uint8Array;
  let bench: Bench;

  beforeAll(async () => {
    bench = await startApp();
    model = await randomModel({ tower: "sepc-lite", classes, scale: [128, 128] });
  });
  afterAll(() => bench?.close());

  const seenPictures = async (page: Page): Promise<number> =>
    Number(/(\d+) pictures?;/.exec((await page.textContent("#times-caption")) ?? "")?.[1] ?? 0);

  test("a folder: every picture, in order, with results to save", async () => {
    const { page, silent } = await openPage(bench);
    const folder = join(bench.folder, "holiday");
    mkdirSync(join(folder, "second"), { recursive: true });
    for (const [name, seed] of [
      ["10.bmp", 10],
      ["2.bmp", 2],
      ["second/1.bmp", 3],
    ] as const)
      writeFileSync(join(folder, name), encodeBmp(drawnPicture(200, 150, seed)));
    writeFileSync(join(folder, "notes.txt"), "no picture");
    writeFileSync(join(folder, "broken.png"), "no picture either");
    await loadModel(page, model);
    await page.setInputFiles("#folder-input", folder);
    await said(page, /^holiday\/2\.bmp: /);
    const names = await page.locator("#pictures button span:first-child").allTextContents();
    expect(names).toEqual(["holiday/2.bmp", "holiday/10.bmp", "holiday/broken.png", "holiday/second/1.bmp"]);
    await page.click("#detect-all");
    await said(page, /^All 4 pictures are done/);
    expect(await page.locator("#pictures").textContent()).toContain("unreadable");
    const results = JSON.parse((await saved(page, "#save-results")).toString()) as { file: string }[];
    expect(results.map(({ file }) => file)).toEqual([
      "holiday/2.bmp",
      "holiday/10.bmp",
      "holiday/second/1.bmp",
    ]);
    await page.click("#next");
    await said(page, /^holiday\/10\.bmp: /);
    expect(await page.locator("#pictures [aria-current]").textContent()).toContain("holiday/10.bmp");
    const png = await saved(page, "#save-picture");
    expect(png.subarray(1, 4).toString()).toBe("PNG");
    await shot(page, "folder");
    expect(silent).toEqual([]);
    await page.close();
  });

  test("a video plays, stands still, and is left", async () => {
    const { page, silent } = await openPage(bench);
    await loadModel(page, model);
    const film = join(bench.folder, "film.webm");
    writeFileSync(film, await recordVideo(page));
    await page.setInputFiles("#video-input", film);
    await expect.poll(() => seenPictures(page), { timeout: 15_000 }).toBeGreaterThan(3);
    await page.waitForFunction(() => document.getElementById("live-play")?.textContent === "Play again");
    await page.click("#live-play");
    await expect.poll(() => page.textContent("#live-play")).toBe("Pause");
    await page.click("#live-play");
    await expect.poll(() => page.textContent("#live-play")).toMatch(/^Play/);
    await shot(page, "video");
    await page.click("#live-close");
    expect(await page.locator("#live").isVisible()).toBe(false);
    expect(silent).toEqual([]);
    await page.close();
  });

  test("the webcam", async () => {
    const { page, silent } = await openPage(bench, { permissions: ["camera"] });
    await loadModel(page, model);
    await page.click("#open-webcam");
    await expect.poll(() => seenPictures(page), { timeout: 15_000 }).toBeGreaterThan(2);
    expect(await page.getAttribute("#stage", "aria-label")).toMatch(/^webcam, \d+ by \d+ pixels; \d+ object/);
    // Another model takes over while it runs.
    await page.setInputFiles("#model-input", {
      name: "tiny.onnx",
      mimeType: "application/octet-stream",
      buffer: Buffer.from(tinyModel()),
    });
    await expect.poll(() => page.textContent("#model-facts"), { timeout: 15_000 }).toContain("tiny.onnx");
    await expect.poll(() => seenPictures(page), { timeout: 15_000 }).toBeGreaterThan(3);
    await page.click("#live-close");
    expect(silent).toEqual([]);
    await page.close();
  });

  test("a model and a picture by address, and those that lie beside the app", async () => {
    const beside = join(bench.folder, "app", "samples");
    writeFileSync(join(beside, "demo.onnx"), model);
    writeFileSync(join(beside, "one.bmp"), bmp.bytes);
    writeFileSync(join(beside, "sample.json"), JSON.stringify({ model: "demo.onnx", picture: "one.bmp" }));
    const { page, silent } = await openPage(bench);
    await page.click("#try-sample");
    await said(page, /^one\.bmp: .* in \d+ ms/);
    await page.goto(`${bench.address}?model=./samples/demo.onnx&picture=./samples/one.bmp`);
    await said(page, /^one\.bmp: .* in \d+ ms/);
    expect(await page.textContent("#model-facts")).toContain("demo.onnx");
    await page.goto(`${bench.address}?model=ftp://somewhere/demo.onnx`);
    await expect
      .poll(() => page.textContent("#alert"))
      .toContain("expected an address that begins with https");
    expect(silent).toEqual([]);
    await page.close();
  });

  test("without a network, once loaded: the app, the runtime and the last model", async () => {
    const { page } = await openPage(bench);
    const context: BrowserContext = page.context();
    await loadModel(page, model, "kept.onnx");
    await drop(page, [bmp]);
    const before = await said(page, /^boxes\.bmp: /);
    await page.waitForFunction(() => navigator.serviceWorker.controller !== null);
    await context.setOffline(true);
    await page.reload();
    await said(page, /^kept\.onnx is loaded/);
    await drop(page, [bmp]);
    const after = await said(page, /^boxes\.bmp: /);
    const objects = (words: string): string => words.replace(/, in .*/, "");
    expect(objects(after)).toBe(objects(before));
    await context.close();
  });

  test("on a server without headers threads come with the second visit", async () => {
    const server = await plainServer(bench);
    const { page, silent } = await openPage({ ...bench, address: server.address });
    await loadModel(page, tinyModel());
    expect(await page.textContent("#places")).toContain("wasm, 1 thread, in a worker");
    expect(await page.textContent("#places")).toContain("load the page again for more");
    await page.waitForFunction(() => navigator.serviceWorker.controller !== null);
    await page.reload();
    await said(page, /^model\.onnx is loaded/);
    const threads = await page.evaluate(() =>
      crossOriginIsolated ? Math.min(navigator.hardwareConcurrency, 8) : 0,
    );
    expect(await page.textContent("#places")).toMatch(new RegExp(`wasm, ${threads} threads?, in a worker`));
    expect(silent).toEqual([]);
    await page.close();
    server.close();
  });

  test("WebGPU gives the same, and the page says what runs where", async () => {
    const { page } = await openPage(bench);
    await loadModel(page, tinyModel());
    expect(await page.textContent("#places")).toMatch(/WebGPU is only emulated here|there is no WebGPU here/);
    const tiny = { ...bmp, bytes: encodeBmp(drawnPicture(64, 64)) };
    await drop(page, [tiny]);
    const onWasm = await said(page, /^boxes\.bmp: [1-9]/);
    await page.click("#model-more > summary");
    await page.selectOption("#backend", "webgpu");
    await page.waitForFunction(() =>
      /WebGPU was asked for/.test(document.getElementById("places")?.textContent ?? ""),
    );
    const onGpu = await said(page, /^boxes\.bmp: /);
    expect(onGpu.replace(/, in .*/, "")).toBe(onWasm.replace(/, in .*/, ""));
    const places = (await page.textContent("#places")) ?? "";
    expect(places).toMatch(/Operators on wasm\d+: .*DeformConv 1/);
    expect(places).toMatch(/Operators on WebGPU\d+: .*Conv \d+/);
    expect(places).toContain("sepc export --portable");
    await page.close();
  });

  test.each([
    "light",
    "dark",
  ] as const)("%s, wide and narrow: no fault that axe finds", async (colorScheme) => {
    const { page, silent } = await openPage(bench, { colorScheme, bypassCSP: true });
    await shot(page, `empty-${colorScheme}`);
    await loadModel(page, model);
    await drop(page, [bmp, { ...bmp, name: "again.bmp" }]);
    await said(page, /^again\.bmp: /);
    await page.click("#inside > summary");
    await page.waitForSelector("#heat-maps button:visible");
    await page.fill("#taps-x", "100");
    await page.fill("#taps-y", "80");
    await page.keyboard.press("Tab");
    await page.locator("#heat-maps button").nth(1).click();
    await page.addScriptTag({ path: createRequire(import.meta.url).resolve("axe-core/axe.min.js") });
    const faults = (): Promise<string[]> =>
      page.evaluate(async () => {
        const { axe } = window as unknown as {
          axe: { run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> };
        };
        const { violations } = await axe.run();
        return violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`);
      });
    expect(await faults()).toEqual([]);
    await shot(page, `wide-${colorScheme}`, true);
    await page.setViewportSize({ width: 375, height: 740 });
    expect(await faults()).toEqual([]);
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    expect(overflow).toBeLessThanOrEqual(0);
    await shot(page, `narrow-${colorScheme}`, true);
    expect(silent).toEqual([]);
    await page.close();
  });
});
