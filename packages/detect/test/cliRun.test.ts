// The main job from the command line: data, training, evaluation, detection, report.
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Tensor } from "@sepc/engine";
import { afterAll, describe, expect, test } from "vitest";
import { loadCheckpoint } from "../src/train/checkpoint.js";
import { sepc } from "./support/command.js";

const folder = mkdtempSync(join(tmpdir(), "sepc-cli-"));
const at = (...parts: string[]): string => join(folder, ...parts);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const small = [
  ["model.backbone.width", "8"],
  ["model.neck.channels", "16"],
  ["model.tower.depth", "1"],
  ["input.scales", "[[64,64]]"],
  ["schedule.epochs", "2"],
  ["schedule.batchSize", "4"],
  ["evaluateEvery", "1"],
].flatMap(([path, value]) => ["--set", `${path}=${value}`]);

describe("the main job", () => {
  test("from made data to a report", async () => {
    const synth = [
      "--images",
      "16",
      "--size",
      "64x64",
      "--min",
      "12",
      "--max",
      "40",
      "--splits",
      "train=0.75,val=0.25",
    ];
    expect(await sepc("data", "synth", "--out", at("data"), ...synth)).toMatchObject({ code: 0 });
    expect(await sepc("data", "check", at("data"))).toMatchObject({
      code: 0,
      out: expect.stringContaining("0 errors"),
    });
    const stats = JSON.parse((await sepc("data", "stats", at("data"), "--json")).out) as { images: number }[];
    expect(stats.map(({ images }) => images)).toEqual([12, 4]);

    const trained = await sepc(
      "train",
      "--preset",
      "retinanet_small_sepc-lite",
      "--data",
      at("data"),
      "--out",
      at("run"),
      ...small,
    );
    expect(trained, trained.err).toMatchObject({ code: 0 });
    expect(readdirSync(at("run"))).toEqual(
      expect.arrayContaining(["best.safetensors", "config.json", "last.safetensors", "log.jsonl"]),
    );

    const evaluated = await sepc("eval", at("run"), "--data", at("data"), "--json");
    expect((JSON.parse(evaluated.out) as { stats: number[] }).stats).toHaveLength(12);

    const exported = await sepc("export", at("run"), "--precision", "int8", "--calibrate", at("data"));
    // Libraries of libtorch and of the picture decoder must not meet in one process.
    expect([exported.code, exported.err]).toEqual([0, expect.not.stringContaining("CRITICAL")]);
    expect(await sepc("export", at("run"), "--out", at("whole.onnx"))).toMatchObject({ code: 0 });
    const figures = (out: string): number[] => (JSON.parse(out) as { stats: number[] }).stats;
    const again = await sepc("eval", at("whole.onnx"), "--data", at("data"), "--json");
    for (const [i, value] of figures(again.out).entries())
      expect(value).toBeCloseTo(figures(evaluated.out)[i] as number, 2);
    expect(await sepc("eval", at("run", "model.onnx"), "--data", at("data"))).toMatchObject({ code: 0 });

    const picture = at("data", "val", "000013.png");
    writeFileSync(at("broken.jpg"), "no picture");
    const detected = await sepc(
      "detect",
      picture,
      at("broken.jpg"),
      "--model",
      at("run"),
      "--out",
      at("found"),
      "--score",
      "0",
      "--json",
    );
    expect(detected.code).toBe(1);
    expect(detected.err).toContain("broken.jpg");
    const objects = JSON.parse(detected.out) as { file_name: string; bbox: number[]; score: number }[];
    expect(objects.every(({ file_name, bbox }) => file_name === picture && bbox.length === 4)).toBe(true);
    expect(existsSync(at("found", "000013.jpg"))).toBe(true);

    expect(await sepc("report", at("run"), "--data", at("data"))).toMatchObject({ code: 0 });
    const html = readFileSync(at("run", "report.html"), "utf8");
    for (const part of ["AP50", "<svg", "data:image/jpeg;base64,", "Worst pictures"])
      expect(html).toContain(part);
    expect(html).not.toMatch(/(src|href)="https?:/);
  }, 300_000);
});

test("--overfit trains and validates on the same few pictures", async () => {
  const data = ["--data", at("data"), "--out", at("few"), "--overfit", "4"];
  const run = await sepc("train", "--preset", "retinanet_small_fpn", ...data, ...small, "--no-report");
  expect(run, run.err).toMatchObject({ code: 0, err: expect.stringContaining("2 steps") });
  const again = await sepc("train", "--preset", "retinanet_small_fpn", ...data, ...small, "--no-report");
  expect([again.code, again.err]).toEqual([1, expect.stringMatching(/run already; .*--resume.*--overwrite/)]);
  const much = await sepc(
    ...["train", "--preset", "retinanet_small_fpn", ...data.slice(0, -1), "99", ...small, "--overwrite"],
  );
  expect([much.code, much.err]).toEqual([1, expect.stringMatching(/--overfit: expected up to \d+/)]);
}, 300_000);

test("the seed rules initial weights", async () => {
  const weights = async (out: string, seed: string): Promise<Tensor> => {
    const still = [`seed=${seed}`, "schedule.lr=1e-12", "schedule.epochs=1"].flatMap((one) => ["--set", one]);
    const where = ["--train", at("data"), "--out", at(out), "--no-report"];
    const run = await sepc("train", "--preset", "retinanet_small_fpn", ...where, ...small, ...still);
    expect(run, run.err).toMatchObject({ code: 0 });
    const { model } = loadCheckpoint(at(out, "last.safetensors"));
    return model.get("head.cls.weight") as Tensor;
  };
  const [one, same, other] = [
    await weights("seed 1", "1"),
    await weights("seed 1 again", "1"),
    await weights("seed 2", "2"),
  ];
  const apart = (a: Tensor, b: Tensor): number => a.sub(b).abs().max().item();
  expect(apart(one, same)).toBe(0);
  expect(apart(one, other)).toBeGreaterThan(1e-3);
}, 120_000);

describe("validation data", () => {
  const fpn = ["train", "--preset", "retinanet_small_fpn", ...small, "--no-report"];

  test("without them the last checkpoint is kept, and that is said", async () => {
    const { code, err } = await sepc(...fpn, "--train", at("data"), "--out", at("unmeasured"));
    expect([code, err]).toEqual([0, expect.stringContaining("only the last checkpoint is kept")]);
    expect(readdirSync(at("unmeasured"))).not.toContain("best.safetensors");
  });

  test.each([
    [
      "of other classes",
      (text: string) => text.replaceAll(/"name":"(\w+)"/g, '"name":"newt $1"'),
      /newt.*none of them/,
    ],
    ["that cannot be read", () => '{"images": [', /val\.json/],
  ])("%s end the run before its first step", async (name, spoil, message) => {
    cpSync(at("data"), at(name), { recursive: true });
    const file = at(name, "annotations", "val.json");
    writeFileSync(file, spoil(readFileSync(file, "utf8")));
    const { code, err } = await sepc(...fpn, "--data", at(name), "--out", at(`run ${name}`));
    expect([code, err]).toEqual([1, expect.stringMatching(message)]);
    expect(err).not.toContain("    at ");
    expect(existsSync(at(`run ${name}`, "log.jsonl"))).toBe(false);
  });
}, 120_000);

describe("wrong use is told what to do", () => {
  test.each([
    [["train", "--preset", "retinanet_small_fpn"], /expected --data/],
    [["train", "--preset", "nothing", "--data", "x"], /nearest/],
    [["train", "--data", "no-such-folder"], /there is no such data set/],
    [["train", "--resume", "--out", "no-such-run"], /last\.safetensors/],
    [["detect", "x.jpg", "--model", "no-such-run"], /there is no such file/],
    [["eval", "no-such-run", "--data", "x"], /expected a run of sepc train/],
  ])(
    "%j",
    async (args, message) => {
      const { code, err } = await sepc(...args);
      expect(code).not.toBe(0);
      expect(err).toMatch(message);
      expect(err).not.toContain("    at ");
    },
    30_000,
  );
});
