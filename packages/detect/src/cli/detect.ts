import { mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { basename, extname, join } from "node:path";
import type { Command } from "commander";
import { decodeImage } from "../data/decode.js";
import { EngineError } from "../data/errors.js";
import { type DetectedObject, Detector } from "../inference/detector.js";
import { drawDetections } from "../inference/draw.js";
import { Progress } from "./progress.js";

interface DetectArguments {
  readonly model: string;
  readonly out?: string;
  readonly score: number;
  readonly json: boolean;
  readonly device?: string;
}

const examples = `
Examples:
  npx sepc detect photo.jpg --model runs/train               pictures with boxes go to detections/
  npx sepc detect pictures/ --model runs/train --score 0.5
  npx sepc detect "pictures/*.png" --model runs/train --json > results.json
  cat photo.jpg | npx sepc detect - --model runs/train --json`;

const share = (text: string): number => {
  const value = Number(text);
  if (text !== "" && value >= 0 && value <= 1) return value;
  throw new EngineError("BAD_ARGUMENT", `--score: expected a number from 0 to 1, got "${text}"`);
};

export function define(command: Command): void {
  command
    .description("find objects in pictures")
    .argument("<pictures...>", "files, folders, patterns with *, or - for standard input")
    .requiredOption("--model <path>", "run of sepc train, or a checkpoint")
    .option("--out <folder>", "where drawn pictures go; with --json none are drawn unless told")
    .option("--score <number>", "least score", share, 0.3)
    .option("--device <name>", "cpu, cuda or cuda:N")
    .option("--json", "print COCO results with file names", false)
    .addHelpText("after", examples)
    .action(async (pictures: string[], options: DetectArguments) => {
      process.exitCode = await detectFiles(pictures, options);
    });
}

const endings = /\.(jpe?g|png|webp|bmp|tiff?|gif|avif)$/i;

/** Files of a pattern whose last part holds * or ?. */
function matching(pattern: string): string[] {
  const folder = join(pattern, "..");
  const test = new RegExp(
    `^${basename(pattern)
      .replace(/[.+^$(){}|[\]\\]/g, "\\$&")
      .replace(/\*/g, ".*")
      .replace(/\?/g, ".")}$`,
  );
  return readdirSync(folder)
    .filter((name) => test.test(name))
    .sort()
    .map((name) => join(folder, name));
}

function filesOf(place: string): string[] {
  if (place === "-") return [place];
  if (/[*?]/.test(basename(place))) {
    const found = matching(place);
    if (found.length === 0) throw new EngineError("FILE", `${place}: no file fits this pattern`);
    return found;
  }
  const stat = statSync(place, { throwIfNoEntry: false });
  if (stat === undefined) throw new EngineError("FILE", `${place}: there is no such file or folder`);
  if (!stat.isDirectory()) return [place];
  const found = readdirSync(place, { recursive: true, encoding: "utf8" })
    .filter((name) => endings.test(name))
    .sort();
  if (found.length === 0) throw new EngineError("FILE", `${place}: there are no pictures in this folder`);
  return found.map((name) => join(place, name));
}

async function standardInput(): Promise<Uint8Array> {
  const parts: Buffer[] = [];
  for await (const part of process.stdin) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

/** One entry a detection, as a COCO result file with the file's name. */
const resultOf =
  (file: string) =>
  ({ box: [x1, y1, x2, y2], label, name, score }: DetectedObject): unknown => ({
    file_name: file,
    category_id: label + 1,
    category: name,
    bbox: [x1, y1, x2 - x1, y2 - y1],
    score,
  });

/** Two pictures of one name in different folders do not overwrite each other. */
function freeName(file: string, taken: Set<string>): string {
  const stem = file === "-" ? "stdin" : basename(file, extname(file));
  let name = stem;
  for (let i = 2; taken.has(name); i++) name = `${stem}-${i}`;
  taken.add(name);
  return `${name}.jpg`;
}

async function detectFiles(places: readonly string[], options: DetectArguments): Promise<number> {
  const { model, json, score, device, out = json ? undefined : "detections" } = options;
  const files = places.flatMap(filesOf);
  const detector = await Detector.load(model, { device: device as "cpu" | undefined });
  const results: unknown[] = [];
  const taken = new Set<string>();
  if (out !== undefined) mkdirSync(out, { recursive: true });
  const bar = new Progress({ total: files.length, unit: "images", label: "detecting" });
  let broken = 0;
  for (const file of files) {
    try {
      const image = await decodeImage(file === "-" ? await standardInput() : file);
      const objects = await detector.detect(image, { scoreThreshold: score });
      results.push(...objects.map(resultOf(file)));
      if (out !== undefined) {
        const drawn = await drawDetections(image, objects, { classes: detector.classes });
        writeFileSync(join(out, freeName(file, taken)), drawn);
      }
      bar.advance(1, `${basename(file)}: ${objects.length} ${objects.length === 1 ? "object" : "objects"}`);
    } catch (error) {
      if (!(error instanceof EngineError) || error.code !== "FILE") throw error;
      broken++;
      process.stderr.write(`${error.message}\n`);
      bar.advance(1);
    }
  }
  bar.finish();
  detector.close();
  if (json) process.stdout.write(`${JSON.stringify(results)}\n`);
  const told = out === undefined ? "" : `; pictures in ${out}`;
  process.stderr.write(
    `${results.length} objects in ${files.length - broken} pictures${told}${broken > 0 ? `; ${broken} could not be read` : ""}\n`,
  );
  return broken > 0 ? 1 : 0;
}
