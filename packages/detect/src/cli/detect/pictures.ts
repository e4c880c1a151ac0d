import { writeFileSync } from "node:fs";
import { basename, extname, join } from "node:path";
import type { DetectedObject, Detector } from "../../inference/detector.js";
import { drawDetections } from "../../inference/draw.js";
import { detectStream } from "../../inference/stream.js";
import { Progress } from "../progress.js";
import type { Told } from "./told.js";

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

/** A JSON list that is written as it grows. */
class JsonList {
  #begun = false;

  add(values: readonly unknown[]): void {
    for (const value of values) {
      process.stdout.write(`${this.#begun ? "," : "["}\n${JSON.stringify(value)}`);
      this.#begun = true;
    }
  }

  end(): void {
    process.stdout.write(this.#begun ? "\n]\n" : "[]\n");
  }
}

/** Two pictures of one name in different folders do not overwrite each other. */
export function freeName(file: string, ending: string, taken: Set<string>): string {
  const stem = file === "-" ? "stdin" : basename(file, extname(file));
  let name = stem;
  for (let i = 2; taken.has(`${name}${ending}`); i++) name = `${stem}-${i}`;
  taken.add(`${name}${ending}`);
  return `${name}${ending}`;
}

export interface PictureOptions {
  readonly score: number;
  readonly batch: number;
  readonly json: boolean;
  /** Folder for drawn pictures; none are drawn without. */
  readonly out: string | undefined;
  readonly taken: Set<string>;
}

const plural = (count: number): string => `${count} ${count === 1 ? "object" : "objects"}`;

/** Detects in files one after the other, told as they come. */
export async function detectPictures(
  detector: Detector,
  files: readonly string[],
  { score, batch, json, out, taken }: PictureOptions,
): Promise<Told> {
  const bar = new Progress({ total: files.length, unit: "images", label: "detecting" });
  const list = json ? new JsonList() : null;
  const items = files.map((file) => ({ id: file, source: file === "-" ? standardInput : file }));
  const told = { objects: 0, pictures: 0, broken: 0 };
  for await (const one of detectStream(detector, items, { batch, postprocess: { scoreThreshold: score } })) {
    if ("error" in one) {
      told.broken++;
      process.stderr.write(`${one.error.message}\n`);
      bar.advance(1);
      continue;
    }
    const { id, picture, objects } = one;
    told.pictures++;
    told.objects += objects.length;
    list?.add(objects.map(resultOf(id)));
    if (out !== undefined) {
      const drawn = await drawDetections(picture, objects, { classes: detector.classes });
      writeFileSync(join(out, freeName(id, ".jpg", taken)), drawn);
    }
    bar.advance(1, `${basename(id)}: ${plural(objects.length)}`);
  }
  bar.finish();
  list?.end();
  return told;
}
