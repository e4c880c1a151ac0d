// torch.save since PyTorch 1.6: a zip archive of a pickle, "data.pkl", and one entry per storage, "data/<key>".
import { EngineError } from "../../errors.js";
import { ByteCursor } from "../pickle/cursor.js";
import { largestPickle } from "../pickle/limits.js";
import { PickleMachine } from "../pickle/machine.js";
import { quoted } from "../pickle/objects.js";
import { readBytes, type Source } from "../source.js";
import type { Checkpoint, StoragePlace } from "./checkpoint.js";
import { crc32 } from "./crc32.js";
import { CheckpointHost, type UnknownPolicy } from "./host.js";
import type { PickledStorage } from "./storages.js";
import { dataOffset, readZipDirectory, type ZipEntry } from "./zip.js";

type Entries = ReadonlyMap<string, ZipEntry>;

const pickleName = "data.pkl";
const pieceBytes = 2 ** 20;

function invalid(source: Source, message: string): EngineError {
  return new EngineError("PYTORCH_INVALID", `${source.name}: ${message}`);
}

/** The folder that all entries are in, with its slash: any name, or none. */
function findFolder(source: Source, entries: Entries): string {
  const pickles = [...entries.keys()].filter(
    (name) => name === pickleName || name.endsWith(`/${pickleName}`),
  );
  const [name] = pickles;
  if (name === undefined) {
    const some = [...entries.keys()].slice(0, 5).map(quoted).join(", ");
    throw invalid(
      source,
      `expected an archive of torch.save with a data.pkl, got one of ${some || "nothing"}`,
    );
  }
  if (pickles.length > 1)
    throw invalid(source, `expected one data.pkl, got ${pickles.slice(0, 5).map(quoted).join(", ")}`);
  const folder = name.slice(0, -pickleName.length);
  if (
    entries.has(`${folder}constants.pkl`) ||
    [...entries.keys()].some((one) => one.startsWith(`${folder}code/`))
  )
    throw invalid(
      source,
      "expected a file of torch.save, got a TorchScript program: load it with torch.jit.load and save its state_dict()",
    );
  return folder;
}

function checkByteOrder(source: Source, entry: ZipEntry | undefined): void {
  if (entry === undefined) return; // before PyTorch 2.1
  const bytes = readBytes(source, dataOffset(source, entry), Math.min(entry.bytes, 16));
  const order = Buffer.from(bytes).toString("latin1").trim();
  if (order !== "little")
    throw invalid(
      source,
      `expected byte order "little", got ${quoted(order)}: save it on a little-endian machine`,
    );
}

function checkCrc(source: Source, entry: ZipEntry, offset: number): void {
  if (entry.crc === 0) return; // not computed
  let crc = 0;
  for (let at = 0; at < entry.bytes; at += pieceBytes)
    crc = crc32(readBytes(source, offset + at, Math.min(pieceBytes, entry.bytes - at)), crc);
  if (crc !== entry.crc)
    throw invalid(source, `${quoted(entry.name)} is damaged: expected CRC ${entry.crc}, got ${crc}`);
}

function readPickle(source: Source, entry: ZipEntry, host: CheckpointHost): unknown {
  if (entry.bytes > largestPickle)
    throw invalid(source, `expected a data.pkl of at most ${largestPickle} bytes, got ${entry.bytes}`);
  const offset = dataOffset(source, entry);
  checkCrc(source, entry, offset);
  return new PickleMachine(source.name, new ByteCursor(source, offset, offset + entry.bytes), host).run();
}

function placeOf(source: Source, entry: ZipEntry | undefined, storage: PickledStorage): StoragePlace {
  const shown = `storage ${quoted(storage.key)}`;
  if (entry === undefined) throw invalid(source, `${shown}: the archive has no entry for it`);
  if (entry.bytes < storage.bytes) {
    throw invalid(
      source,
      `${shown}: expected ${storage.bytes} bytes for ${storage.numel} ${storage.elements.name}, got ${entry.bytes}`,
    );
  }
  const whole = entry.bytes === storage.bytes && entry.crc !== 0;
  return { offset: dataOffset(source, entry), crc: whole ? entry.crc : undefined };
}

/** @throws EngineError PYTORCH_INVALID, PYTORCH_UNSAFE or FILE_TRUNCATED. */
export function readZip(source: Source, unknown: UnknownPolicy): Checkpoint {
  const entries = readZipDirectory(source);
  const folder = findFolder(source, entries);
  checkByteOrder(source, entries.get(`${folder}byteorder`));
  const host = new CheckpointHost(source.name, unknown);
  const root = readPickle(source, entries.get(`${folder}${pickleName}`) as ZipEntry, host);
  return {
    root,
    unknown,
    place: (storage) => placeOf(source, entries.get(`${folder}data/${storage.key}`), storage),
  };
}
