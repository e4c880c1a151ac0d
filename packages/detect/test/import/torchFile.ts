import { writeFileSync } from "node:fs";
import type { Tensor } from "@sepc/engine";
import { type Code, p, pickle, storage, tensorCode, zip } from "../../../engine/test/io/pickleWriter.js";

/** A plain value of a checkpoint. */
export type Plain = string | number | readonly Plain[];

const valueCode = (value: Plain): Code => {
  if (typeof value === "string") return p.text(value);
  return typeof value === "number" ? p.integer(value) : p.tuple(...value.map(valueCode));
};

const strides = (shape: readonly number[]): number[] =>
  shape.map((_, i) => shape.slice(i + 1).reduce((product, size) => product * size, 1));

/** Writes what mmdetection's runner saves: `meta`, `state_dict` in an ordered dict. */
export function saveTorch(
  path: string,
  state: ReadonlyMap<string, Tensor>,
  meta: Readonly<Record<string, Plain>> = {},
): void {
  const entries = [...state].map(
    ([name, tensor], i): { pair: [Code, Code]; file: { name: string; bytes: Buffer } } => {
      const whole = tensor.dtype === "int64";
      const type = whole ? "LongStorage" : "FloatStorage";
      const over = storage({ type, key: String(i), numel: tensor.numel });
      const code = tensorCode({ over, size: tensor.shape, stride: strides(tensor.shape) });
      const bytes = Buffer.from(tensor.detach().contiguous().shareBytes());
      return { pair: [p.text(name), code], file: { name: `archive/data/${i}`, bytes } };
    },
  );
  const ordered: Code = [
    p.reduce(p.global("collections", "OrderedDict")),
    "(",
    ...entries.flatMap(({ pair }) => pair),
    "u",
  ];
  const about = Object.entries(meta).map(([key, value]): [Code, Code] => [p.text(key), valueCode(value)]);
  const root = p.dict([p.text("meta"), p.dict(...about)], [p.text("state_dict"), ordered]);
  writeFileSync(
    path,
    zip([{ name: "archive/data.pkl", bytes: pickle(root) }, ...entries.map(({ file }) => file)]),
  );
}
