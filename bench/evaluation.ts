// COCO's metrics of boxes, from typed columns and from the JSON files; against pycocotools where a Python has it, with
// the 12 figures compared.
// npm run bench -- evaluation [--images 5000] [--objects 36000] [--detections 500000] [--rounds 5] [--peer-rounds 1]
//   [--python python3] [--no-peer]
import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import {
  type ByteSource,
  columnsOfResults,
  columnsOfTruth,
  evaluateCoco,
  type GroundTruth,
  type Result,
  readResults,
  readTruth,
} from "@sepc/core/eval";
import { Peer } from "./peer.js";
import { compare, here, report } from "./timer.js";

const { values: options } = parseArgs({
  allowNegative: true,
  options: {
    images: { type: "string", default: "5000" },
    objects: { type: "string", default: "36000" },
    detections: { type: "string", default: "500000" },
    rounds: { type: "string", default: "5" },
    "peer-rounds": { type: "string", default: "1" },
    python: { type: "string", default: "python3" },
    peer: { type: "boolean", default: true },
  },
});
const [images, objects, detections] = [options.images, options.objects, options.detections].map(Number) as [
  number,
  number,
  number,
];
const classes = 80;

/** Uniform numbers of 0-1, the same in every run (xorshift, 32 bits). */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

/** Objects of frequent and rare classes; detections near them (one in ten of another class) and anywhere. */
function generate(): { truth: GroundTruth; results: Result[] } {
  const random = randomNumbers(20200614);
  const round = (value: number): number => Math.round(100 * value) / 100;
  const label = (): number => 1 + Math.floor(classes * random() * random());
  const box = (): number[] => {
    const [w, h] = [8 + 300 * random() * random(), 8 + 300 * random() * random()];
    return [random() * (640 - w), random() * (480 - h), w, h].map(round);
  };
  const ids = (count: number) => Array.from({ length: count }, (_, i) => i + 1);
  const annotations = ids(objects).map((id) => {
    const bbox = box();
    const area = round((bbox[2] as number) * (bbox[3] as number) * (0.4 + 0.6 * random()));
    const iscrowd = random() < 0.01 ? 1 : 0;
    return { id, image_id: 1 + Math.floor(random() * images), category_id: label(), bbox, area, iscrowd };
  });
  const results = ids(detections).map((): Result => {
    const near = random() < 0.1 ? annotations[Math.floor(random() * objects)] : undefined;
    if (near === undefined)
      return {
        image_id: 1 + Math.floor(random() * images),
        category_id: label(),
        bbox: box(),
        score: random() * random() * 0.6,
      };
    const [x, y, w, h] = near.bbox as [number, number, number, number];
    const off = (size: number): number => (random() - 0.5) * 0.3 * size;
    const bbox = [x + off(w), y + off(h), w + off(w), h + off(h)].map(round);
    const category_id = random() < 0.1 ? label() : near.category_id;
    return { image_id: near.image_id, category_id, bbox, score: 0.2 + 0.8 * random() };
  });
  return {
    truth: {
      images: ids(images).map((id) => ({ id, width: 640, height: 480 })),
      annotations,
      categories: ids(classes).map((id) => ({ id, name: `class ${id}` })),
    },
    results,
  };
}

function readWith<T>(path: string, read: (source: ByteSource) => T): T {
  const file = openSync(path, "r");
  try {
    return read((into) => readSync(file, into, 0, into.length, null));
  } finally {
    closeSync(file);
  }
}

const hasPycocotools = (): boolean =>
  spawnSync(options.python, ["-c", "import pycocotools.cocoeval"], { stdio: "ignore" }).status === 0;

async function againstPycocotools(files: readonly string[], stats: readonly number[]): Promise<void> {
  const peer = new Peer(options.python, new URL("../peers/evaluation.py", import.meta.url).pathname, files);
  const timings = await compare(
    [
      peer.contestant("pycocotools, from what it has read", "evaluate"),
      peer.contestant("pycocotools, from the files", "files"),
    ],
    { rounds: Number(options["peer-rounds"]), warmup: 0 },
  );
  report("pycocotools: evaluate, accumulate and summarize", timings);
  const theirs = JSON.parse(await peer.ask("stats 1")) as number[];
  const worst = Math.max(...stats.map((value, i) => Math.abs(value - (theirs[i] as number))));
  process.stdout.write(`  largest difference of the 12 figures: ${worst.toExponential(1)}\n`);
  peer.stop();
}

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "sepc-bench-"));
  try {
    const { truth, results } = generate();
    const files = [join(folder, "truth.json"), join(folder, "results.json")] as const;
    writeFileSync(files[0], JSON.stringify(truth));
    writeFileSync(files[1], JSON.stringify(results));
    const columns = [columnsOfTruth(truth), columnsOfResults(results)] as const;
    const title = `COCO's metrics: ${images} images, ${objects} objects, ${detections} detections`;
    const timings = await compare(
      [
        here("typed columns", () => void evaluateCoco(...columns)),
        here("objects as JSON.parse makes them", () => void evaluateCoco(truth, results)),
        here("reading the JSON files alone", () => {
          readWith(files[0], (source) => readTruth(source, { masks: false }));
          readWith(files[1], readResults);
        }),
        here("from the JSON files", () => {
          const given = readWith(files[0], (source) => readTruth(source, { masks: false }));
          evaluateCoco(given, readWith(files[1], readResults));
        }),
      ],
      { rounds: Number(options.rounds), warmup: 1 },
    );
    report(title, timings);
    if (options.peer && hasPycocotools()) await againstPycocotools(files, evaluateCoco(...columns).stats);
    else process.stdout.write(`without pycocotools: ${options.python} has none, or --no-peer\n`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

await main();
