// The paper's official code, whole: its networks imported from a checkpoint give its losses.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ops, scope } from "@sepc/engine";
import { afterAll, describe, expect, test, vi } from "vitest";
import { run } from "../../src/cli/main.js";
import { Case, type CaseEntry, readManifest } from "../../src/golden/case.js";
import { expectLosses } from "../../src/golden/lossSettings.js";
import { truthsOf } from "../../src/golden/retinanet.js";
import { loadRun } from "../../src/train/loadRun.js";
import { saveTorch } from "./torchFile.js";

const shared = join(import.meta.dirname, "..", "..", "..", "..", "..", "shared", "golden");
const there = existsSync(shared);
const entries = there ? readManifest(shared).filter(({ name }) => name.startsWith("e2e_")) : [];

const folder = mkdtempSync(join(tmpdir(), "sepc-import-golden-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Neck {
  readonly pconv_deform?: boolean;
  readonly lcconv_deform?: boolean;
  readonly iBN?: boolean;
}

function presetOf({ hyper_parameters: hyper }: CaseEntry): string {
  const heads = { SepcRetinaHead: "retinanet", SepcFreeAnchorRetinaHead: "freeanchor", FSAFHead: "fsaf" };
  const { pconv_deform: all, lcconv_deform: extra, iBN } = hyper.sepc as Neck;
  const tower = all ? "sepc" : extra ? "sepc-lite" : iBN ? "pconv-ibn" : "pconv";
  return `${heads[hyper.cls as keyof typeof heads]}_r18_${tower}_1x`;
}

async function importCase(golden: Case, out: string): Promise<void> {
  const { entry } = golden;
  const file = join(folder, `${entry.name}.pth`);
  const state = new Map(golden.names("param/").map((name) => [name, golden.tensor(`param/${name}`)]));
  const config = `bbox_head=dict(type='${golden.text("cls")}')`;
  saveTorch(file, state, { meta: { config } });
  const names = join(folder, "names.json");
  const classes = Array.from({ length: golden.number("num_classes") - 1 }, (_, i) => `class ${i}`);
  writeFileSync(names, JSON.stringify(classes));
  const settings = [
    `model.backbone.width=${golden.number("base")}`,
    `model.neck.channels=${golden.number("C")}`,
    `model.tower.depth=${golden.number("Pconv_num")}`,
    `model.tower.extraPadding=${golden.number("lc_padding")}`,
    `model.tower.norm=${(entry.hyper_parameters.sepc as Neck).iBN ? "integrated" : "none"}`,
  ].flatMap((setting) => ["--set", setting]);
  const args = ["--preset", presetOf(entry), "--classes", names, "--out", out, ...settings];
  expect(await run(["import", file, ...args])).toBe(0);
}

describe.skipIf(!there && !process.env.CI)("the paper's official networks", () => {
  test("are among the cases", () => expect(entries.length).toBeGreaterThan(3));

  test.each(
    entries.map((entry) => [entry.name, entry] as const),
  )("%s: losses agree after import", async (_, entry) => {
    vi.spyOn(process.stdout, "write").mockReturnValue(true);
    const golden = new Case(shared, entry);
    const out = join(folder, entry.name);
    await importCase(golden, out).finally(() => vi.restoreAllMocks());
    const { detector } = loadRun(out);
    scope(() => {
      const times = golden.number("img_up");
      const image = ops.interpolate(golden.tensor("in/img"), {
        scaleFactor: [times, times],
        mode: "nearest",
      });
      expectLosses(golden, detector.train().losses(detector.train().forward(image), truthsOf(golden)));
    });
    expect(golden.shares.size).toBeGreaterThan(1);
    expect(Math.max(...golden.shares.values())).toBeLessThanOrEqual(1);
  });
});
