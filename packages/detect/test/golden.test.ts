import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const root = join(import.meta.dirname, "..", "..", "..");
const shared = join(root, "..", "shared", "golden");
const program = join(root, "packages", "detect", "dist", "golden", "main.js");

function replay(...args: string[]): { code: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], { encoding: "utf8" });
  return { code: status, out: stdout, err: stderr };
}

describe.skipIf(!existsSync(shared) && !process.env.CI)("the paper's official code", () => {
  const kinds = [
    "deform_conv_v1",
    "deform_conv_v2",
    "dcn_pack",
    "bn_variants",
    "pconv_module",
    "sepc_neck",
    "backbone",
    "head_forward",
    "elem_losses",
    "atss_loss",
    "reppoints_head_forward",
    "reppoints_loss",
    "reppoints_get_bboxes",
  ];

  test.each(kinds)("%s: outputs, gradients and running statistics agree", (kind) => {
    const { code, out } = replay(shared, kind);
    expect(out).toMatch(/\n?\d+ passed, 0 failed\n$/);
    expect(code).toBe(0);
  });
});

describe("folders that are none", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "golden-"));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test("say what is missing", () => {
    expect(replay(join(folder, "nowhere"))).toMatchObject({
      code: 2,
      err: expect.stringContaining("manifest.json"),
    });
    expect(replay()).toMatchObject({ code: 2, err: expect.stringContaining("usage") });
  });

  test("an unknown kind is named; a case without its file fails", () => {
    const one = { name: "x", kind: "magic", file: "x.safetensors", hyper_parameters: {}, tolerances: {} };
    const two = { ...one, name: "y", kind: "pconv_module" };
    writeFileSync(join(folder, "manifest.json"), JSON.stringify({ cases: [one, two] }));
    const { code, out } = replay(folder);
    expect(out).toContain("not known yet: magic (1 case)");
    expect(out).toMatch(/y +FAILED .*x\.safetensors/);
    expect(out).toMatch(/0 passed, 1 failed\n$/);
    expect(code).toBe(1);
  });
});
