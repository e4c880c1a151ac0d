// The data loader against torch's DataLoader with PIL: pictures read, resized, mirrored, normalised and collated.
// npm run bench -- loader [--data FOLDER] [--images 120] [--size 640x480] [--scale 1333x800] [--workers 2] [--rounds 5]
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { DataLoader, type DetectionDataset, openDataset, synthesize } from "sepc";
import { Peer, pythonOfSameLibtorch } from "./peer.js";
import { type Contestant, compare, report } from "./timer.js";

const { values: options } = parseArgs({
  options: {
    data: { type: "string" },
    split: { type: "string", default: "train" },
    images: { type: "string", default: "120" },
    size: { type: "string", default: "640x480" },
    scale: { type: "string", default: "1333x800" },
    batch: { type: "string", default: "4" },
    workers: { type: "string", default: "2" },
    rounds: { type: "string", default: "5" },
  },
});
const [images, batch, workers, rounds] = [options.images, options.batch, options.workers, options.rounds].map(
  Number,
) as [number, number, number, number];
const sides = (text: string): [number, number] => text.split("x").map(Number) as [number, number];
const [long, short] = sides(options.scale);

/** Pictures of the folder named, or made for this run. */
async function pictures(folder: string): Promise<DetectionDataset> {
  if (options.data !== undefined) return openDataset(options.data, { split: options.split });
  const [width, height] = sides(options.size);
  await synthesize({ out: folder, images, width, height, format: "jpeg", splits: { train: 1 } });
  return openDataset(folder, { split: "train" });
}

function contestant(
  name: string,
  dataset: DetectionDataset,
  shrinkOnLoad: boolean,
): Contestant & { close(): void } {
  const loader = new DataLoader(dataset, {
    batchSize: batch,
    workers,
    shuffle: true,
    transforms: {
      scales: [[long, short]],
      draw: "value",
      flip: 0.5,
      crop: 0,
      photometric: 0,
      sizeDivisor: 32,
      mean: [123.675, 116.28, 103.53],
      std: [58.395, 57.12, 57.375],
      channels: "rgb",
      shrinkOnLoad,
    },
  });
  let epoch = 0;
  return {
    name,
    async run(repetitions) {
      const start = performance.now();
      for (let i = 0; i < repetitions; i++) for await (const _ of loader.epoch(epoch++));
      return (performance.now() - start) / 1000;
    },
    close: () => void loader.close(),
  };
}

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "sepc-bench-"));
  try {
    const dataset = await pictures(folder);
    const count = dataset.images.length;
    const own = [contestant("sepc", dataset, false), contestant("sepc, shrinkOnLoad", dataset, true)];
    const python = pythonOfSameLibtorch();
    if (python === null) process.stdout.write("no Python with torch on this libtorch: the loader alone\n");
    const script = new URL("../peers/loader.py", import.meta.url).pathname;
    const args = [dirname(dataset.images[0]?.file ?? folder), ...[workers, long, short, batch].map(String)];
    const peer = python === null ? null : new Peer(python, script, args);
    const peers = peer === null ? [] : [peer.contestant("torch DataLoader, PIL", "epoch")];
    const timings = await compare([...peers, ...own], { rounds, warmup: 1 });
    report(
      `an epoch of ${count} pictures to ${long}x${short}, batches of ${batch}, ${workers} workers`,
      timings,
    );
    for (const { name, median } of timings)
      process.stdout.write(`  ${name}: ${(count / median).toFixed(1)} pictures a second\n`);
    for (const one of own) one.close();
    peer?.stop();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

await main();
