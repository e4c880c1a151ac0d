// torch.save of PyTorch 0.1.10 to 1.5, and later when asked to: pickles of a magic number, a version, facts of the
// machine, the object and the storages' keys; then each storage's number of elements as int64, and its bytes.
import { EngineError } from "../../errors.js";
import { ByteCursor } from "../pickle/cursor.js";
import { type PickleHost, PickleMachine } from "../pickle/machine.js";
import { kindOf, quoted } from "../pickle/objects.js";
import { readBytes, type Source } from "../source.js";
import type { Checkpoint } from "./checkpoint.js";
import { CheckpointHost, type UnknownPolicy } from "./host.js";
import type { PickledStorage } from "./storages.js";

const magicNumber = 0x1950a86a20f9469cfc6cn;
const protocolVersion = 1001;
const countBytes = 8;

function invalid(source: Source, message: string): EngineError {
  return new EngineError("PYTORCH_INVALID", `${source.name}: ${message}`);
}

const refuse = (_one: unknown, _two: unknown, m: PickleMachine): never =>
  m.fail("expected plain values before and after the object");

/** For the pickles around the object, which hold plain values alone. */
const plainHost: PickleHost = {
  global: refuse,
  call: refuse,
  build: refuse,
  persistent: (id, m) => refuse(id, id, m),
};

function checkHead(source: Source, next: () => unknown): void {
  const magic = next();
  if (magic !== magicNumber)
    throw invalid(
      source,
      `expected a file of torch.save, got a pickle of another program: it begins with ${kindOf(magic)}`,
    );
  const version = next();
  if (version !== protocolVersion)
    throw invalid(source, `expected version ${protocolVersion} of PyTorch's format, got ${kindOf(version)}`);
  const machine = next();
  if (!(machine instanceof Map)) throw invalid(source, `expected facts of a machine, got ${kindOf(machine)}`);
  if (machine.get("little_endian") === false)
    throw invalid(source, "expected a file of a little-endian machine, got a big-endian one's");
}

/** Steps over the storages; gives each one's first byte. */
function locate(
  source: Source,
  keys: unknown,
  storages: ReadonlyMap<string, PickledStorage>,
  start: number,
): Map<PickledStorage, number> {
  if (!Array.isArray(keys)) throw invalid(source, `expected a list of storages' keys, got ${kindOf(keys)}`);
  const places = new Map<PickledStorage, number>();
  let at = start;
  for (const key of keys as readonly unknown[]) {
    const storage = typeof key === "string" ? storages.get(key) : undefined;
    if (storage === undefined || places.has(storage))
      throw invalid(source, `expected the key of a storage of the object, each once, got ${kindOf(key)}`);
    const numel = Number(new DataView(readBytes(source, at, countBytes).buffer).getBigInt64(0, true));
    if (numel !== storage.numel)
      throw invalid(
        source,
        `byte ${at}: storage ${quoted(storage.key)}: expected ${storage.numel} elements, got ${numel}`,
      );
    at += countBytes;
    if (at + storage.bytes > source.size) {
      throw new EngineError(
        "FILE_TRUNCATED",
        `${source.name}: byte ${at}: expected the ${storage.bytes} bytes of a storage, but the file ends at ${source.size}`,
      );
    }
    places.set(storage, at);
    at += storage.bytes;
  }
  return places;
}

/** @throws EngineError PYTORCH_INVALID, PYTORCH_UNSAFE or FILE_TRUNCATED. */
export function readLegacy(source: Source, unknown: UnknownPolicy): Checkpoint {
  const cursor = new ByteCursor(source, 0, source.size);
  const host = new CheckpointHost(source.name, unknown);
  const plain = (): unknown => new PickleMachine(source.name, cursor, plainHost).run();
  checkHead(source, plain);
  const root = new PickleMachine(source.name, cursor, host).run();
  const places = locate(source, plain(), host.storages, cursor.position);
  return {
    root,
    unknown,
    place(storage) {
      const offset = places.get(storage);
      if (offset === undefined)
        throw invalid(source, `storage ${quoted(storage.key)}: the file does not hold it`);
      return { offset, crc: undefined };
    },
  };
}
