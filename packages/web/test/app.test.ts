// A picture in, boxes out; filters, zoom, maps and sampling points; what people read when something is wrong.
import { readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  type DetectedObject,
  ModelDetector,
  openSession,
  readModelSpec,
  samplingPoints,
} from "@sepc/core/runtime";
import * as ort from "onnxruntime-node";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ExportModelOptions } from "../../detect/src/export/exportModel.js";
import { type Bench, drop, loadModel, noBrowser, openPage, said, saved, shot, startApp } from "./browser.js";
import { randomModel } from "./model.js";
import { drawnPicture, encodeBmp } from "./picture.js";

const classes = ["circle", "square", "star"];
const picture = drawnPicture(240, 160);
const bmp = { name: "boxes.bmp", type: "image/bmp", bytes: encodeBmp(picture) };

type Saved = readonly [{ readonly file: string; readonly objects: readonly DetectedObject[] }];

describe.skipIf(noBrowser)("the app in Chromium", () => {
  let model: Uint8Array;
  let bench: Bench;
  let page: Page;
  let silent: string[];
  let node: ModelDetector;

  beforeAll(async () => {
    bench = await startApp();
    model = await randomModel({ tower: "sepc", classes, scale: [192, 192] });
    node = new ModelDetector(readModelSpec(model), await openSession(ort, model));
    ({ page, silent } = await openPage(bench));
  });
  afterAll(() => bench?.close());

  const rows = (): Promise<number> => page.locator("#objects tr").count();

  test("finds what Node finds in a dropped picture, with as many threads as there are cores", async () => {
    expect(await loadModel(page, model)).toContain("3 classes");
    const threads = await page.evaluate(() =>
      crossOriginIsolated ? Math.min(navigator.hardwareConcurrency, 8) : 0,
    );
    expect(threads).toBeGreaterThan(0);
    expect(await page.textContent("#places")).toMatch(new RegExp(`wasm, ${threads} threads?, in a worker`));
    await drop(page, [bmp]);
    expect(await said(page, /in \d+ ms/)).toMatch(/^boxes\.bmp: \d+ objects?/);
    await page.fill("#score", "0.05");
    const [found] = JSON.parse((await saved(page, "#save-objects")).toString()) as Saved;
    const wanted = await node.detect(picture);
    expect(wanted.length).toBeGreaterThan(3);
    expect(found.file).toBe("boxes.bmp");
    expect(found.objects.map(({ name }) => name)).toEqual(wanted.map(({ name }) => name));
    for (const [i, { score, box }] of wanted.entries()) {
      expect(found.objects[i]?.score).toBeCloseTo(score, 3);
      for (const [k, side] of box.entries()) expect(found.objects[i]?.box[k]).toBeCloseTo(side, 0);
    }
    expect(await page.locator("#times tr").count()).toBe(5);
    await shot(page, "picture-light");
  });

  test("the page goes on while the network runs", async () => {
    await page.evaluate(() => {
      const seen = { last: performance.now(), longest: 0, ticks: 0 };
      Object.assign(window, { seen });
      setInterval(() => {
        const now = performance.now();
        seen.longest = Math.max(seen.longest, now - seen.last);
        seen.last = now;
        seen.ticks++;
      }, 5);
    });
    const large = join(bench.folder, "large.bmp");
    writeFileSync(large, encodeBmp(drawnPicture(1600, 1200)));
    await page.setInputFiles("#pictures-input", large);
    await said(page, /^large\.bmp: .* in \d+ ms/);
    const { longest, ticks } = await page.evaluate(
      () => (window as unknown as { seen: { longest: number; ticks: number } }).seen,
    );
    expect(ticks).toBeGreaterThan(5);
    expect(longest).toBeLessThan(400);
    await drop(page, [bmp]);
    await said(page, /^boxes\.bmp: .* in \d+ ms/);
  });

  test("filters by score and class, from the keyboard", async () => {
    await page.fill("#score", "0.05");
    const all = await rows();
    await page.focus("#score");
    await page.keyboard.press("End");
    expect(await page.textContent("#score-value")).toBe("100%");
    expect(await page.textContent("#objects-caption")).toBe("No objects with these filters");
    await page.keyboard.press("Home");
    expect(await rows()).toBe(all);
    await page.click("#classes-summary");
    const name = (await page.locator("#objects button").first().textContent()) ?? "";
    const label = page.locator("#classes label").filter({ hasText: name });
    const count = Number(await label.locator(".count").textContent());
    expect(count).toBeGreaterThan(0);
    await label.locator("input").focus();
    await page.keyboard.press("Space");
    expect(await rows()).toBe(all - count);
    expect(await page.textContent("#classes-summary")).toBe("Classes: 2 of 3 shown");
    await page.click("#classes-all");
    expect(await rows()).toBe(all);
  });

  test("zooms by keys, buttons, wheel and to an object", async () => {
    const level = async (): Promise<number> =>
      Number.parseInt((await page.textContent("#zoom-level")) ?? "", 10);
    const fit = await level();
    await page.focus("#stage");
    await page.keyboard.press("+");
    const zoomed = await level();
    expect(zoomed).toBeGreaterThan(fit);
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("0");
    expect(await level()).toBe(fit);
    await page.click("#zoom-in");
    expect(await level()).toBeGreaterThan(fit);
    await page.click("#zoom-fit");
    await page.hover("#stage");
    await page.mouse.wheel(0, -300);
    await expect.poll(level).toBeGreaterThan(fit);
    await page.click("#zoom-fit");
    const boxes = await page.locator("#objects td:last-child").allTextContents();
    const sides = boxes.map((text) => Math.max(...text.split(", ").slice(2).map(Number)));
    await page
      .locator("#objects button")
      .nth(sides.indexOf(Math.min(...sides)))
      .focus();
    await page.keyboard.press("Enter");
    expect(await level()).toBeGreaterThan(fit);
    await page.click("#zoom-fit");
  });

  test("shows the maps of the levels and where kernels read", async () => {
    await page.click("#inside > summary");
    await page.waitForSelector("#heat-maps button:visible");
    expect(await page.locator("#heat-maps button").count()).toBe(15);
    expect(await page.locator("#heat-maps button").first().textContent()).toContain(
      "16×24 cells of 8 pixels",
    );
    await page.locator("#heat-maps button").nth(1).click();
    expect(await page.locator("#heat-maps button").nth(1).getAttribute("aria-pressed")).toBe("true");
    await page.selectOption("#taps-kernel", { label: "pyramid convolution 1" });
    await page.selectOption("#taps-level", "p4");
    await page.fill("#taps-x", "100");
    await page.fill("#taps-y", "80");
    await page.keyboard.press("Tab");
    await expect.poll(() => page.locator("#taps-legend li").count()).toBe(3);
    const legend = await page.locator("#taps-legend li").allTextContents();
    expect(legend.map((line) => /reads p\d/.exec(line)?.[0])).toEqual(["reads p3", "reads p4", "reads p5"]);
    await shot(page, "inside-light", true);

    const { outputs } = await node.run([picture]);
    const view = node.spec.views?.offsets.find(
      ({ kernel, level }) => /pconvs\.0\.kernels\.1$/.test(kernel) && level === "p4",
    );
    if (view === undefined) throw new Error("the model has no such kernel");
    const [row, column] = [Math.floor((80.5 * 0.8) / 16), Math.floor((100.5 * 0.8) / 16)];
    const offsets = outputs[view.output];
    if (offsets === undefined) throw new Error("the network gave no offsets");
    const ways = samplingPoints(view, offsets, { row, column }, [128, 192]).map(
      ({ regular, moved }) => Math.hypot(moved.x - regular.x, moved.y - regular.y) / 16,
    );
    const mean = ways.reduce((sum, way) => sum + way, 0) / ways.length;
    expect(mean).toBeGreaterThan(0.01);
    expect(legend[1]).toContain(`the cell in row ${row}, column ${column} of 8×12`);
    expect(legend[1]).toContain(
      `${mean.toFixed(2)} cells in the mean, ${Math.max(...ways).toFixed(2)} at most`,
    );
  });

  test("a click in the picture chooses the place", async () => {
    const before = await page.inputValue("#taps-x");
    const stage = await page.locator("#stage").boundingBox();
    if (stage === null) throw new Error("there is no stage");
    await page.mouse.click(stage.x + stage.width * 0.3, stage.y + stage.height * 0.5);
    await expect.poll(() => page.inputValue("#taps-x")).not.toBe(before);
    await page.click("#inside > summary");
  });

  const faults: readonly (readonly [string, string, Uint8Array, RegExp])[] = [
    ["notes.txt", "text/plain", Buffer.from("hello"), /expected a model \(\.onnx\), pictures .* or a video/],
    ["broken.jpg", "image/jpeg", Buffer.from("no JPEG"), /broken\.jpg cannot be read as a picture/],
    ["text.onnx", "", Buffer.from("no model at all"), /text\.onnx: not an ONNX file/],
    ["foreign.onnx", "", Buffer.from([0x08, 9, 0x3a, 0]), /not of sepc export/],
    ["broken.mp4", "video/mp4", Buffer.from("no video"), /cannot be played by this browser/],
  ];

  test.each(faults)("says what is wrong with %s", async (name, type, bytes, words) => {
    await drop(page, [{ name, type, bytes }]);
    await expect.poll(() => page.textContent("#alert"), { timeout: 10_000 }).toMatch(words);
  });

  test("says when a model cannot be fetched", async () => {
    await page.evaluate(() => {
      (document.getElementById("model-more") as HTMLDetailsElement).open = true;
    });
    await page.fill("#model-url", `${bench.address}nowhere.onnx`);
    await page.keyboard.press("Enter");
    await expect.poll(() => page.textContent("#alert")).toMatch(/nowhere\.onnx: the server answered 404/);
    await page.click("#alert button");
    expect(await page.textContent("#alert")).toBe("");
  });

  test("after a fault the earlier model is still there", async () => {
    await drop(page, [bmp]);
    expect(await said(page, /^boxes\.bmp: .* in \d+ ms/)).toContain("objects");
  });

  const exports: readonly (readonly [string, ExportModelOptions])[] = [
    ["with suppression in the graph", { suppress: true }],
    ["in float16", { precision: "float16" }],
    ["with portable deformable kernels", { portable: true }],
  ];

  test.each(exports)("a model %s finds what it finds in Node", async (_, options) => {
    const bytes = await randomModel({ tower: "sepc-lite", classes, scale: [128, 128], options });
    const own = new ModelDetector(readModelSpec(bytes), await openSession(ort, bytes));
    await loadModel(page, bytes, "other.onnx");
    await said(page, /^boxes\.bmp: .* in \d+ ms/);
    await page.fill("#score", "0.05");
    const [found] = JSON.parse((await saved(page, "#save-objects")).toString()) as Saved;
    const wanted = await own.detect(picture);
    expect(wanted.length).toBeGreaterThan(0);
    // Half precision rounds otherwise on another processor: those at the threshold may differ.
    expect(Math.abs(found.objects.length - wanted.length)).toBeLessThanOrEqual(options.precision ? 3 : 0);
    expect(found.objects[0]?.name).toBe(wanted[0]?.name);
    expect(found.objects[0]?.score).toBeCloseTo(wanted[0]?.score ?? 0, 2);
  });

  test("the app without the runtime is 100 kB at most", () => {
    const app = join(bench.folder, "app");
    const own = [
      "index.html",
      ...readdirSync(join(app, "assets")).map((name) => join("assets", name)),
    ].filter((name) => !/assets.ort/.test(name));
    const size = own.reduce((sum, name) => sum + statSync(join(app, name)).size, 0);
    expect(own.length).toBeGreaterThan(3);
    expect(size).toBeLessThan(100_000);
  });

  test("nothing failed in silence, nobody else was asked, and the console is quiet", () => {
    expect(silent).toEqual([]);
  });
});
