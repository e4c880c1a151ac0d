import { convertDataset } from "../../data/convert/convert.js";
import type { DatasetFormat } from "../../data/open.js";
import { openSplits } from "../../data/splits.js";
import { Progress } from "../progress.js";
import type { SourceArguments } from "./check.js";

export interface ConvertArguments extends SourceArguments {
  readonly to: DatasetFormat;
  readonly out: string;
  readonly link: boolean;
}

/** `sepc data convert` */
export async function convertData(
  path: string,
  { to, out, link, ...source }: ConvertArguments,
): Promise<void> {
  const splits = await openSplits(path, source);
  const total = splits.reduce((sum, { dataset }) => sum + dataset.images.length, 0);
  const bar = new Progress({ total, unit: "images", label: "converting" });
  const pictures = link ? "link" : "copy";
  const { images, objects, losses } = convertDataset(splits, {
    to,
    out,
    pictures,
    onImage: () => bar.advance(),
  });
  bar.finish();
  const lost = [
    [losses.crowds, "crowd regions left out: the format has none"],
    [losses.emptyBoxes, "boxes without area left out"],
    [losses.missingImages, "pictures missing: their labels are written, the files are not there"],
  ] as const;
  process.stdout.write(`${images} images, ${objects} objects in ${out}\n`);
  for (const [count, what] of lost) if (count > 0) process.stdout.write(`${count} ${what}\n`);
}
