import { mkdirSync } from "node:fs";
import type { Command } from "commander";
import { EngineError } from "../data/errors.js";
import { Detector } from "../inference/detector.js";
import { isVideo } from "../inference/video.js";
import { filesOf } from "./detect/files.js";
import { detectPictures } from "./detect/pictures.js";
import type { Told } from "./detect/told.js";
import { detectVideos } from "./detect/videos.js";

interface DetectArguments {
  readonly model: string;
  readonly out?: string;
  readonly score: number;
  readonly batch: number;
  readonly threads?: number;
  readonly json: boolean;
  readonly device?: string;
}

const examples = `
Examples:
  npx sepc detect photo.jpg --model runs/train               pictures with boxes go to detections/
  npx sepc detect pictures/ --model model.onnx --score 0.5   an exported model: no libtorch
  npx sepc detect "pictures/*.png" --model runs/train --json > results.json
  npx sepc detect film.mp4 --model model.onnx                a video with boxes goes to detections/ (needs ffmpeg)
  cat photo.jpg | npx sepc detect - --model runs/train --json`;

const share = (text: string): number => {
  const value = Number(text);
  if (text !== "" && value >= 0 && value <= 1) return value;
  throw new EngineError("BAD_ARGUMENT", `--score: expected a number from 0 to 1, got "${text}"`);
};

const count =
  (name: string) =>
  (text: string): number => {
    const value = Number(text);
    if (Number.isInteger(value) && value > 0) return value;
    throw new EngineError("BAD_ARGUMENT", `--${name}: expected a positive whole number, got "${text}"`);
  };

export function define(command: Command): void {
  command
    .description("find objects in pictures and videos")
    .argument("<pictures...>", "files, folders, patterns with *, or - for standard input")
    .requiredOption("--model <path>", "exported .onnx, run of sepc train, or a checkpoint")
    .option("--out <folder>", "where drawn pictures go; with --json none are drawn unless told")
    .option("--score <number>", "least score", share, 0.3)
    .option("--batch <number>", "pictures that go through the network together", count("batch"), 1)
    .option("--threads <number>", "of the network; all cores unless told", count("threads"))
    .option("--device <name>", "cpu, cuda or cuda:N")
    .option("--json", "print COCO results with file names; of videos, a line a frame", false)
    .addHelpText("after", examples)
    .action(async (places: string[], options: DetectArguments) => {
      process.exitCode = await detectFiles(places, options);
    });
}

async function detectFiles(places: readonly string[], options: DetectArguments): Promise<number> {
  const { model, json, score, batch, threads, device, out = json ? undefined : "detections" } = options;
  const files = places.flatMap(filesOf);
  const videos = files.filter(isVideo);
  const pictures = files.filter((file) => !isVideo(file));
  const detector = await Detector.load(model, { device: device as "cpu" | undefined, threads });
  if (out !== undefined) mkdirSync(out, { recursive: true });
  const shared = { score, batch, json, out, taken: new Set<string>() };
  const parts: Told[] = [];
  if (pictures.length > 0) parts.push(await detectPictures(detector, pictures, shared));
  if (videos.length > 0) parts.push(await detectVideos(detector, videos, shared));
  detector.close();
  const sum = (name: "objects" | "pictures" | "broken"): number =>
    parts.reduce((total, part) => total + part[name], 0);
  const told =
    out === undefined ? "" : `; ${videos.length > 0 ? "pictures and videos" : "pictures"} in ${out}`;
  const broken = sum("broken");
  process.stderr.write(
    `${sum("objects")} objects in ${sum("pictures")} ${videos.length > 0 ? "pictures and frames" : "pictures"}${told}` +
      `${broken > 0 ? `; ${broken} could not be read` : ""}\n`,
  );
  return broken > 0 ? 1 : 0;
}
