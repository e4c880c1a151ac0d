// A SEPC model on a photograph: the page and the command line find the same.
import { execFile } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Bench, loadModel, noBrowser, openPage, said, saved, shot, startApp } from "./browser.js";
import { randomModel } from "./model.js";

const photograph = fileURLToPath(
  new URL("../../../../shared/data/coco-mini/val2017/000000000139.jpg", import.meta.url),
);
const sepc = fileURLToPath(new URL("../../detect/bin/sepc.mjs", import.meta.url));
const here = existsSync(photograph);
if (!here && process.env.CI) throw new Error(`CI needs ${photograph}`);

type Found = { readonly category: string; readonly score: number; readonly bbox: readonly number[] };
type Saved = readonly [{ objects: readonly { name: string; score: number; box: readonly number[] }[] }];

describe.skipIf(noBrowser || !here)("a photograph (needs ../shared/data/coco-mini)", () => {
  let bench: Bench;

  beforeAll(async () => {
    bench = await startApp();
  });
  afterAll(() => bench?.close());

  test("SEPC with eighty classes at 512 pixels finds what the command line finds", async () => {
    const classes = Array.from({ length: 80 }, (_, i) => `class ${i + 1}`);
    const model = await randomModel({ tower: "sepc", classes, scale: [512, 320] });
    const file = join(bench.folder, "sepc.onnx");
    writeFileSync(file, model);
    const { page, silent } = await openPage(bench);
    await loadModel(page, model);
    await page.setInputFiles("#pictures-input", photograph);
    await said(page, /^000000000139\.jpg: /);
    await page.fill("#score", "0.05");
    const [found] = JSON.parse((await saved(page, "#save-objects")).toString()) as Saved;
    const { stdout } = await promisify(execFile)(process.execPath, [
      ...[sepc, "detect", photograph, "--model", file, "--score", "0.05", "--json"],
    ]);
    const wanted = JSON.parse(stdout) as Found[];
    expect(wanted.length).toBeGreaterThan(10);
    // Decoders of JPEG may differ by one in a pixel: near-equal scores may change places.
    const fits = wanted.filter(({ category, score, bbox: [x = 0, y = 0] }) =>
      found.objects.some(
        ({ name, score: own, box: [left = 0, top = 0] }) =>
          name === category && Math.abs(own - score) < 0.02 && Math.hypot(left - x, top - y) < 4,
      ),
    );
    expect(fits.length).toBeGreaterThanOrEqual(0.9 * wanted.length);
    await page.click("#inside > summary");
    await page.waitForSelector("#heat-maps button:visible");
    await page.selectOption("#taps-kernel", { label: "pyramid convolution 1" });
    await page.selectOption("#taps-level", "p5");
    await page.locator("#heat-maps button").first().click();
    await page.locator("#stage").click({ position: { x: 300, y: 300 } });
    await expect.poll(() => page.locator("#taps-legend li").count()).toBe(3);
    await shot(page, "photograph", true);

    // Asked anew, and stopped while it works.
    await page.setInputFiles("#pictures-input", photograph);
    await page.click("#stop");
    await said(page, /^Stopped/);
    expect(await page.locator("#stop").isVisible()).toBe(false);
    await page.setInputFiles("#pictures-input", photograph);
    await said(page, /^000000000139\.jpg: .* in \d+ ms/);
    expect(silent).toEqual([]);
  });
});
