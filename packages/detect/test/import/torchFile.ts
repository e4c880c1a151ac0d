import { writeFileSync } from "node:fs";
import type { Tensor } from "@sepc/engine";
import {
  type Code,
  legacy,
  p,
  pickle,
  storage,
  tensorCode,
  zip,
} from "../../../engine/test/io/pickleWriter.js";

/** A plain value of a checkpoint. */
export type Plain = string | number | readonly Plain[];

export interface TorchFile {
  readonly meta?: Readonly<Record<string, Plain>>;
  /** Of PyTorch before 1.6, which the paper's authors used, or the one since. */
  readonly format?: "legacy" | "zip";
}

const valueCode = (value: Plain): Code => {
  if (typeof value === "string") return p.text(value);
  return typeof value === "number" ? p.integer(value) : p.tuple(...value.map(valueCode));
};

const strides = (shape: readonly number[]): number[] =>
  shape.map((_, i) => shape.slice(i + 1).reduce((product, size) => product * size, 1));

function tensorOver(tensor: Tensor, key: string, isLegacy: boolean): Code {
  const type = tensor.dtype === "int64" ? "LongStorage" : "FloatStorage";
  const over = storage({ type, key, numel: tensor.numel, ...(isLegacy ? { view: p.none } : {}) });
  return tensorCode({ over, size: tensor.shape, stride: strides(tensor.shape) });
}

/** Writes what mmdetection's runner saves: `meta`, and `state_dict` in an ordered dict. */
export function saveTorch(path: string, state: ReadonlyMap<string, Tensor>, options: TorchFile = {}): void {
  const { meta = {}, format = "legacy" } = options;
  const bytes = [...state.values()].map((tensor) => Buffer.from(tensor.detach().contiguous().shareBytes()));
  const pairs = [...state].map(([name, tensor], i): [Code, Code] => [
    p.text(name),
    tensorOver(tensor, String(i), format === "legacy"),
  ]);
  const ordered: Code = [p.reduce(p.global("collections", "OrderedDict")), "(", ...pairs.flat(), "u"];
  const about = Object.entries(meta).map(([key, value]): [Code, Code] => [p.text(key), valueCode(value)]);
  const root = p.dict([p.text("meta"), p.dict(...about)], [p.text("state_dict"), ordered]);
  if (format === "zip") {
    const storages = bytes.map((one, i) => ({ name: `archive/data/${i}`, bytes: one }));
    writeFileSync(path, zip([{ name: "archive/data.pkl", bytes: pickle(root) }, ...storages]));
    return;
  }
  const keys = p.list(...bytes.map((_, i) => p.text(String(i))));
  const storages = [...state.values()].map((tensor, i) => [tensor.numel, bytes[i] as Buffer] as const);
  writeFileSync(path, legacy(root, { keys, storages }));
}
