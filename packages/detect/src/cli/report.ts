import type { Command } from "commander";
import { openDataset } from "../data/open.js";
import { withClasses } from "../data/withClasses.js";
import { writeReport } from "../report/report.js";
import { detectAll } from "../train/detectAll.js";
import { deviceOf } from "../train/device.js";
import { loadRun } from "../train/loadRun.js";
import { Progress } from "./progress.js";

export function define(command: Command): void {
  command
    .description("write report.html of a run: curves, metrics, confusions, best and worst pictures")
    .argument("<run>", "folder of sepc train")
    .requiredOption("--data <path>", "data set")
    .option("--split <name>", "split of --data", "val")
    .option("--device <name>", "cpu, cuda or cuda:N")
    .addHelpText("after", "\nExample:\n  npx sepc report runs/train --data my-pictures --split test")
    .action(async (run: string, options: { data: string; split: string; device?: string }) => {
      const device = deviceOf(options.device);
      const { detector, config, classes } = loadRun(run, device);
      const dataset = withClasses(await openDataset(options.data, { split: options.split }), classes);
      const bar = new Progress({ total: dataset.images.length, unit: "images", label: "detecting" });
      const found = await detectAll(detector, dataset, config, {
        device,
        onBatch: (images) => bar.advance(images),
      });
      bar.finish();
      const { path, evaluation } = await writeReport({ folder: run, dataset, found });
      process.stdout.write(
        `AP ${evaluation.ap.toFixed(3)}, AP50 ${evaluation.stats[1]?.toFixed(3)}; ${path}\n`,
      );
    });
}
