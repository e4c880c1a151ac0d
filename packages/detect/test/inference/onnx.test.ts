// An exported model in use: from files, over streams and videos, and without libtorch.
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { Detector } from "../../src/inference/detector.js";
import { detectStream } from "../../src/inference/stream.js";
import { writeVideo } from "../../src/inference/video.js";
import { bin, node, type Outcome } from "../support/command.js";
import { writeTinyModel } from "../support/tinyModel.js";

const folder = mkdtempSync(join(tmpdir(), "sepc-onnx-"));
const at = (name: string): string => join(folder, name);
const model = at("tiny.onnx");
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const run = (args: readonly string[], env?: NodeJS.ProcessEnv): Promise<Outcome> =>
  node(args, { cwd: folder, env });

const [width, height] = [40, 24];
const pixels = Buffer.from(Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 37) % 256));

beforeAll(async () => {
  await writeTinyModel(model);
  const picture = sharp(pixels, { raw: { width, height, channels: 3 } });
  await picture.png().toFile(at("a.png"));
  await picture.clone().flip().png().toFile(at("b.png"));
  writeFileSync(at("broken.png"), "no picture");
});

test("finds objects in files, bytes and pixels alike, with the classes of the file", async () => {
  const detector = await Detector.load(model, { threads: 1 });
  expect(detector.classes).toEqual(["cat", "dog"]);
  const [fromFile, fromBytes, fromPixels] = [
    await detector.detect(at("a.png"), { scoreThreshold: 0 }),
    await detector.detect(readFileSync(at("a.png")), { scoreThreshold: 0 }),
    await detector.detect({ data: pixels, width, height }, { scoreThreshold: 0 }),
  ];
  expect(fromFile).toHaveLength(5);
  expect(fromBytes).toEqual(fromFile);
  expect(fromPixels).toEqual(fromFile);
  for (const { box, name, label } of fromFile) {
    expect(name).toBe(["cat", "dog"][label]);
    expect(Math.max(box[0], box[2])).toBeLessThanOrEqual(width);
    expect(Math.max(box[1], box[3])).toBeLessThanOrEqual(height);
  }
  detector.close();
});

test("streams any number of pictures, and names those that cannot be read", async () => {
  const detector = await Detector.load(model, { threads: 1 });
  const names = ["a.png", "broken.png", "b.png", "a.png", "b.png"];
  const found: string[] = [];
  const items = names.map((id) => ({ id, source: at(id) }));
  for await (const one of detectStream(detector, items, { batch: 2, postprocess: { scoreThreshold: 0 } }))
    found.push("error" in one ? `${one.id}: ${one.error.code}` : `${one.id}: ${one.objects.length}`);
  expect(found).toEqual(["a.png: 5", "broken.png: FILE", "b.png: 5", "a.png: 5", "b.png: 5"]);
  detector.close();
});

test("a stream that is left early ends its source", async () => {
  const detector = await Detector.load(model, { threads: 1 });
  let ended = false;
  async function* endless() {
    try {
      for (let id = 0; ; id++) yield { id, source: at("a.png") };
    } finally {
      ended = true;
    }
  }
  for await (const { id } of detectStream(detector, endless())) if (id === 3) break;
  expect(ended).toBe(true);
  detector.close();
});

test("no libtorch is loaded, nor needed", async () => {
  const script = `
    const { Detector } = await import(${JSON.stringify(new URL("../../dist/inference/detector.js", import.meta.url).href)});
    const detector = await Detector.load(${JSON.stringify(model)}, { threads: 1 });
    const found = await detector.detect(${JSON.stringify(at("a.png"))}, { scoreThreshold: 0 });
    const torch = process.report.getReport().sharedObjects.filter((name) => /torch/.test(name));
    console.log(JSON.stringify([found.length, torch]));`;
  const { out, err } = await run(["--input-type=module", "-e", script], { LIBTORCH: at("nowhere") });
  expect(err).toBe("");
  expect(JSON.parse(out)).toEqual([5, []]);
});

describe("sepc detect", () => {
  test("with an exported model", async () => {
    const args = [
      "detect",
      at("a.png"),
      at("b.png"),
      at("broken.png"),
      "--model",
      model,
      "--score",
      "0",
      "--json",
    ];
    const { code, out, err } = await run([bin, ...args, "--batch", "2"]);
    expect(code).toBe(1);
    expect(err).toMatch(/broken\.png: cannot be read/);
    const results = JSON.parse(out) as { file_name: string; category: string; bbox: number[] }[];
    expect(results).toHaveLength(10);
    expect(new Set(results.map(({ file_name }) => file_name))).toEqual(new Set([at("a.png"), at("b.png")]));
  });

  test.each([
    ["no ONNX", "x.onnx", "text", /x\.onnx: not an ONNX file/],
    ["nothing", "none.onnx", null, /none\.onnx: there is no such file/],
  ])("refuses %s", async (_, name, content, message) => {
    if (content !== null) writeFileSync(at(name), content);
    const { code, err } = await run([bin, "detect", at("a.png"), "--model", at(name)]);
    expect(code).toBe(1);
    expect(err).toMatch(message);
    expect(err).not.toContain("    at ");
  });

  /** Programs in the place of ffmpeg and ffprobe: what is tested is how we speak with them. */
  function standIns(frames: number, end: number): string {
    const write = (name: string, body: string): void => {
      writeFileSync(at(name), `#!${process.execPath}\n${body}`);
      chmodSync(at(name), 0o755);
    };
    const stream = { width, height, r_frame_rate: "10/1", nb_frames: String(frames) };
    write("ffprobe", `console.log(${JSON.stringify(JSON.stringify({ streams: [stream] }))});`);
    write(
      "ffmpeg",
      `const args = process.argv.slice(2);
       if (args.at(-1) === "-") {
         process.stdout.write(Buffer.alloc(${frames * width * height * 3}, 120), () => {
           if (${end}) process.stderr.write("first line\\nthe file ends early\\n");
           process.exitCode = ${end};
         });
       } else {
         let bytes = 0;
         process.stdin.on("data", (part) => { bytes += part.length; });
         process.stdin.on("end", () => require("fs").writeFileSync(args.at(-1), String(bytes)));
       }`,
    );
    return [folder, dirname(process.execPath), "/usr/bin", "/bin"].join(delimiter);
  }

  test("of a video: a line a frame, and a video of as many frames", async () => {
    const PATH = standIns(3, 0);
    const args = ["detect", at("film.mp4"), "--model", model, "--score", "0", "--json", "--out", at("drawn")];
    writeFileSync(at("film.mp4"), "");
    const { code, out, err } = await run([bin, ...args], { PATH });
    expect([code, err]).toEqual([0, expect.stringContaining("15 objects in 3")]);
    const lines = out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { frame: number; seconds: number });
    expect(lines.map(({ frame, seconds }) => [frame, seconds])).toEqual([
      [0, 0],
      [1, 0.1],
      [2, 0.2],
    ]);
    expect(readFileSync(join(at("drawn"), "film.mp4"), "utf8")).toBe(String(3 * width * height * 3));
  });

  test("a long video waits for its writer, and nothing piles up meanwhile", async () => {
    vi.stubEnv("PATH", standIns(1, 0));
    const warnings: string[] = [];
    const note = (warning: Error): unknown => warnings.push(warning.message);
    process.on("warning", note);
    const side = 200;
    const writer = writeVideo(at("long.mp4"), { width: side, height: side, rate: 10, frames: null });
    for (let i = 0; i < 30; i++) await writer.write(new Uint8Array(side * side * 3));
    await writer.close();
    process.off("warning", note);
    vi.unstubAllEnvs();
    expect(warnings).toEqual([]);
    expect(readFileSync(at("long.mp4"), "utf8")).toBe(String(30 * side * side * 3));
  });

  test("of a video that breaks off, or without ffmpeg", async () => {
    const args = ["detect", at("film.mp4"), "--model", model, "--json"];
    writeFileSync(at("film.mp4"), "");
    const broken = await run([bin, ...args], { PATH: standIns(1, 1) });
    expect([broken.code, broken.err]).toEqual([
      1,
      expect.stringMatching(/film\.mp4: ffmpeg: the file ends early/),
    ]);
    const missing = await run([bin, ...args], { PATH: at("empty") });
    expect([missing.code, missing.err]).toEqual([1, expect.stringMatching(/apt install ffmpeg/)]);
  });
});
