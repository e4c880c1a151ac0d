import { EngineError } from "../../errors.js";
import type { Source } from "../source.js";
import type { UnknownPolicy } from "./host.js";
import { readLegacy } from "./legacyFormat.js";
import type { PickledStorage } from "./storages.js";
import { readZip } from "./zipFormat.js";

/** Where a storage's bytes are in the file, in little-endian order; all of them are inside of it. */
export interface StoragePlace {
  readonly offset: number;
  /** CRC-32 of the bytes; undefined when the file does not say. */
  readonly crc: number | undefined;
}

/** A checkpoint of which only the pickle has been read. */
export interface Checkpoint {
  /** Plain values, with a PickledTensor for each tensor. */
  readonly root: unknown;
  readonly unknown: UnknownPolicy;
  /** @throws EngineError when the file has no such storage, or another than the pickle says. */
  place(storage: PickledStorage): StoragePlace;
}

const pickleStart = 0x80;
const tarMagic = { text: "ustar", at: 257 };
const safetensorsHeaderAt = 8;

function textAt(head: Uint8Array, at: number, length: number): string {
  return Buffer.from(head.subarray(at, at + length)).toString("latin1");
}

function refuse(source: Source, head: Uint8Array): EngineError {
  const expected = `${source.name}: expected a file of torch.save, got`;
  if (textAt(head, tarMagic.at, tarMagic.text.length) === tarMagic.text) {
    return new EngineError(
      "PYTORCH_INVALID",
      `${expected} a tar archive; PyTorch before 0.1.10 wrote those: load and save it again with a newer one`,
    );
  }
  if (textAt(head, safetensorsHeaderAt, 1) === "{")
    return new EngineError(
      "PYTORCH_INVALID",
      `${expected} what may be a safetensors file: use readSafetensors`,
    );
  const start = JSON.stringify(textAt(head, 0, 16));
  return new EngineError(
    "PYTORCH_INVALID",
    `${expected} neither a zip archive nor a pickle; it begins ${start}`,
  );
}

/** Reads what the checkpoint is made of, in either of PyTorch's two formats, without its tensors' memory. */
export function readCheckpoint(source: Source, unknown: UnknownPolicy): Checkpoint {
  const head = new Uint8Array(Math.min(source.size, 512));
  source.readInto(head, 0);
  if (head.length < 4)
    throw new EngineError(
      "FILE_TRUNCATED",
      `${source.name}: expected a checkpoint, got ${head.length} bytes`,
    );
  if (textAt(head, 0, 2) === "PK") return readZip(source, unknown);
  if (head[0] === pickleStart) return readLegacy(source, unknown);
  throw refuse(source, head);
}
