import { readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { expect, test } from "vitest";
import { EngineError, io, liveTensors, scope, Tensor } from "../../src/index.js";
import { dataOffset, readZipDirectory } from "../../src/io/pytorch/zip.js";
import { fromMemory } from "../../src/io/source.js";
import { type ZipFile, zip } from "./pickleWriter.js";

const fixtures = new URL("fixtures/", import.meta.url);
const allowed = new Set(["PYTORCH_INVALID", "PYTORCH_UNSAFE", "FILE_TRUNCATED", "FILE"]);
const mebibyte = 2 ** 20;

function seeds(format: string): Buffer[] {
  return readdirSync(fixtures)
    .filter((name) => name.endsWith(`-${format}.pt`))
    .map((name) => readFileSync(new URL(name, fixtures)));
}

type Kind = "bit" | "byte" | "cut" | "drop" | "repeat" | "splice" | "opcodes";

interface Mutation {
  readonly kind: Kind;
  readonly at: number;
  readonly from: number;
  readonly length: number;
  readonly byte: number;
}

// Anywhere in a file; fast-check would favour its beginning.
const anywhere = fc.noBias(fc.nat());

const mutations = fc.array(
  fc.record({
    // Small changes leave most of the file to be read.
    kind: fc.oneof(
      { arbitrary: fc.constantFrom<Kind>("bit", "byte", "opcodes"), weight: 3 },
      { arbitrary: fc.constantFrom<Kind>("cut", "drop", "repeat", "splice"), weight: 1 },
    ),
    at: anywhere,
    from: anywhere,
    length: fc.integer({ min: 1, max: 40 }),
    byte: fc.nat(255),
  }),
  { minLength: 1, maxLength: 3 },
);

/** Whole instructions, which land between others now and then. */
const snippets = [
  "cos\nsystem\n",
  "ccollections\nOrderedDict\n",
  "ctorch._utils\n_rebuild_tensor_v2\n",
  "ctorch\nFloatStorage\n",
  "cnumpy.core.multiarray\n_reconstruct\n",
  "R",
  "b",
  "Q",
  "(",
  "t",
  "]",
  "}",
  "u",
  "e",
  "0",
  "2",
  ".",
  "J\xff\xff\xff\xff",
  "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f",
  "G\x7f\xf0\0\0\0\0\0\0",
  "q\0",
  "h\0",
  "X\xff\xff\xff\x7f",
].map((code) => Buffer.from(code, "latin1"));

function mutate(bytes: Buffer, { kind, at, from, length, byte }: Mutation, other: Buffer): Buffer {
  if (bytes.length === 0) return bytes;
  const here = at % bytes.length;
  const [before, after] = [bytes.subarray(0, here), bytes.subarray(here)];
  const there = from % other.length;
  switch (kind) {
    case "bit":
    case "byte": {
      const changed = Buffer.from(bytes);
      changed[here] = kind === "byte" ? byte : (changed[here] as number) ^ (1 << (byte % 8));
      return changed;
    }
    case "cut":
      return before;
    case "drop":
      return Buffer.concat([before, after.subarray(length)]);
    case "repeat":
      return Buffer.concat([before, after.subarray(0, length), after]);
    case "splice":
      return Buffer.concat([before, other.subarray(there, there + length), after.subarray(byte % 40)]);
    case "opcodes":
      return Buffer.concat([before, snippets[byte % snippets.length] as Buffer, after]);
  }
}

/** Looks at every tensor of a value that is not too large, as a program would. */
function touch(root: unknown): void {
  const seen = new Set<unknown>([root]);
  for (const value of seen) {
    if (value instanceof Tensor) {
      if (value.numel < 10_000) value.toTypedArray();
    } else if (value instanceof Map) {
      for (const [key, one] of value) seen.add(key).add(one);
    } else if (Array.isArray(value) || value instanceof Set) {
      for (const one of value) seen.add(one);
    } else if (value instanceof io.PickledObject) {
      seen.add(value.state).add(value.args).add(value.items);
    }
  }
}

interface Tally {
  read: number;
  readonly codes: Map<string, number>;
}

function attempt(bytes: Uint8Array, unknown: "refuse" | "ignore", tally: Tally): void {
  scope(() => {
    try {
      touch(io.parsePyTorch(bytes, { unknown }));
      tally.read++;
    } catch (error) {
      const code = error instanceof EngineError ? error.code : "";
      if (!allowed.has(code)) throw error;
      tally.codes.set(code, (tally.codes.get(code) ?? 0) + 1);
    }
  });
}

/** Runs 20,000 mutations; `whole` makes the file of one. */
function fuzz(whole: fc.Arbitrary<Uint8Array>): void {
  const tally: Tally = { read: 0, codes: new Map() };
  const before = liveTensors();
  const memory = process.memoryUsage().rss;
  fc.assert(
    fc.property(whole, fc.constantFrom("refuse", "ignore"), (bytes, unknown) =>
      attempt(bytes, unknown, tally),
    ),
    { numRuns: 20_000, seed: 1, endOnFailure: true },
  );
  expect(liveTensors()).toEqual(before);
  expect(process.memoryUsage().rss - memory).toBeLessThan(400 * mebibyte);
  expect(tally.read).toBeGreaterThan(500);
  for (const code of ["PYTORCH_INVALID", "PYTORCH_UNSAFE", "FILE_TRUNCATED"])
    expect([code, tally.codes.get(code) ?? 0]).toEqual([
      code,
      expect.toSatisfy((count: number) => count > 100),
    ]);
}

const mutated = (files: readonly Buffer[]): fc.Arbitrary<Buffer> =>
  fc
    .tuple(fc.constantFrom(...files), fc.constantFrom(...files), mutations)
    .map(([file, other, list]) => list.reduce((bytes, mutation) => mutate(bytes, mutation, other), file));

test("older files: 20,000 mutations give values or an EngineError, and nothing leaks", () => {
  fuzz(mutated(seeds("legacy")));
});

function unzip(archive: Buffer): ZipFile[] {
  const source = fromMemory(archive);
  return [...readZipDirectory(source).values()].map((entry) => {
    const offset = dataOffset(source, entry);
    return { name: entry.name, bytes: archive.subarray(offset, offset + entry.bytes) };
  });
}

/** Archives that are right but for their pickle, so that it is reached. */
function mutatedPickles(archives: readonly ZipFile[][]): fc.Arbitrary<Buffer> {
  const isPickle = ({ name }: ZipFile): boolean => name.endsWith("/data.pkl");
  const pickles = archives.map((files) => files.find(isPickle)?.bytes as Buffer);
  return fc
    .tuple(fc.nat(archives.length - 1), fc.constantFrom(...pickles), mutations)
    .map(([index, other, list]) => {
      const pickle = list.reduce(
        (bytes, mutation) => mutate(bytes, mutation, other),
        pickles[index] as Buffer,
      );
      const files = archives[index] as ZipFile[];
      return zip(files.map((file) => (isPickle(file) ? { name: file.name, bytes: pickle } : file)));
    });
}

test("archives: 20,000 mutations give values or an EngineError, and nothing leaks", () => {
  const files = seeds("zip");
  fuzz(fc.oneof(mutated(files), mutatedPickles(files.map(unzip)), mutatedPickles(files.map(unzip))));
});
