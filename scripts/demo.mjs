// `npm run demo`: sets up, then does the software's main job once: makes data, trains a detector, measures it, detects.
// `npm run demo -- --fresh` starts over; otherwise the data of an earlier run is used again.
import { spawn } from "node:child_process";
import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { root, runMain, say, setup } from "./setup.mjs";

const folder = join(root, "runs", "demo");
const data = join(folder, "data");
const run = join(folder, "run");
const found = join(folder, "detections");

/** Runs `sepc` with these arguments. @param {string[]} args */
function sepc(args) {
  return new Promise((resolve, reject) => {
    const main = join(root, "packages", "detect", "bin", "sepc.mjs");
    const child = spawn(process.execPath, [main, ...args], { stdio: "inherit" });
    child.on("close", (code) =>
      code === 0 ? resolve(undefined) : reject(new Error(`sepc ${args[0]} ended with code ${code}`)),
    );
  });
}

runMain(async () => {
  if (process.argv.includes("--fresh")) rmSync(folder, { recursive: true, force: true });
  await setup();
  say("\n1. Data: pictures of shapes, from 20 to 120 pixels, over clutter and each other");
  if (!existsSync(join(data, "annotations", "val.json"))) {
    const size = ["--size", "192x192", "--min", "20", "--max", "120"];
    const kinds = ["--classes", "circle,triangle,star", "--splits", "train=0.95,val=0.05"];
    await sepc(["data", "synth", "--out", data, "--images", "2900", ...size, ...kinds]);
  }
  say("\n2. Training: RetinaNet with SEPC-lite, small, about three minutes on two cores");
  await sepc(["train", "--preset", "retinanet_demo_sepc-lite", "--data", data, "--out", run, "--overwrite"]);
  say("\n3. Detection on pictures that it has not seen");
  const pictures = readdirSync(join(data, "val"))
    .slice(0, 12)
    .map((name) => join(data, "val", name));
  await sepc(["detect", ...pictures, "--model", run, "--out", found]);
  say("\n4. Report");
  await sepc(["report", run, "--data", data]);
  say("\n5. Export: one ONNX file, for Node without libtorch, the browser and servers");
  await sepc(["export", run, "--out", join(run, "model.onnx")]);
  say(`
All of it lies in ${folder}:
  run/report.html     curves, metrics, best and worst pictures: open it in a browser
  detections/         pictures with what was found
  run/model.onnx      npx sepc detect PICTURES --model runs/demo/run/model.onnx; npm run web shows it in the browser
  run/best.safetensors, run/config.json, run/log.jsonl

Next: your own pictures (COCO, Pascal VOC or YOLO labels)
  npx sepc data check my-pictures
  npx sepc train --preset retinanet_small_sepc-lite --data my-pictures --out runs/mine`);
});
