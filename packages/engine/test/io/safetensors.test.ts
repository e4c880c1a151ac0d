import { execFileSync } from "node:child_process";
import {
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  EngineError,
  io,
  liveTensors,
  ones,
  scope,
  type Tensor,
  tensor,
  tensorOp,
  zeros,
} from "../../src/index.js";

const DTYPES = [
  "float32",
  "float64",
  "float16",
  "bfloat16",
  "int64",
  "int32",
  "int16",
  "int8",
  "uint8",
  "bool",
] as const;
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "safetensors-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

function file(header: unknown, data: Uint8Array | number = 0, length?: number): Uint8Array {
  const text = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const body = typeof data === "number" ? new Uint8Array(data) : data;
  const bytes = new Uint8Array(8 + text.length + body.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length ?? text.length), true);
  bytes.set(text, 8);
  bytes.set(body, 8 + text.length);
  return bytes;
}

const entry = (dtype: string, shape: number[], begin: number, end: number): object => ({
  dtype,
  shape,
  data_offsets: [begin, end],
});

describe("round trips", () => {
  test("every dtype, empty and without dimensions, names and metadata kept", () => {
    const path = join(folder, "all.safetensors");
    const tensors = new Map<string, Tensor>();
    for (const dtype of DTYPES) {
      tensors.set(
        `${dtype}.matrix`,
        tensor(
          [
            [0, 1],
            [1, 1],
            [1, 0],
          ],
          { dtype },
        ),
      );
      tensors.set(`${dtype}.scalar`, tensor(1, { dtype }));
      tensors.set(`${dtype}.empty`, zeros([0, 3], { dtype }));
    }
    tensors.set("__proto__", ones([1]));
    tensors.set('a "quoted" \\ näme:', ones([2]));
    io.writeSafetensors(path, tensors, new Map([["epoch", "3"]]));
    const read = io.readSafetensors(path);
    expect(new Set(read.tensors.keys())).toEqual(new Set(tensors.keys()));
    expect([...read.metadata]).toEqual([["epoch", "3"]]);
    for (const [name, want] of tensors) {
      const got = read.tensors.get(name) as Tensor;
      expect([got.dtype, got.shape, got.tolist()]).toEqual([want.dtype, want.shape, want.tolist()]);
    }
    expect(readdirSync(folder).filter((name) => name.includes("part"))).toEqual([]);
  });

  test("what is not contiguous is written in its own order", () => {
    const path = join(folder, "t.safetensors");
    io.writeSafetensors(
      path,
      new Map([
        [
          "x",
          tensorOp("aten::t")(
            tensor([
              [1, 2],
              [3, 4],
            ]),
          ),
        ],
      ]),
    );
    expect(io.readSafetensors(path).tensors.get("x")?.tolist()).toEqual([
      [1, 3],
      [2, 4],
    ]);
  });

  test("some tensors alone, and the header alone", () => {
    const path = join(folder, "two.safetensors");
    io.writeSafetensors(
      path,
      new Map([
        ["a", ones([2])],
        ["b", zeros([3])],
      ]),
    );
    expect([...io.readSafetensors(path, { names: ["b"] }).tensors.keys()]).toEqual(["b"]);
    expect(() => io.readSafetensors(path, { names: ["c"] })).toThrow(/no tensor "c"/);
    expect(io.inspectSafetensors(path).entries.get("b")).toMatchObject({
      dtype: "float32",
      shape: [3],
      bytes: 12,
    });
  });

  test("a tensor beyond 2 GB of a file is read without the rest", () => {
    const path = join(folder, "large.safetensors");
    const far = 2 ** 31 + 8;
    const header = file({ big: entry("U8", [far], 0, far), small: entry("F32", [2], far, far + 8) });
    writeFileSync(path, header);
    truncateSync(path, header.length + far + 8);
    expect(
      io
        .readSafetensors(path, { names: ["small"] })
        .tensors.get("small")
        ?.tolist(),
    ).toEqual([0, 0]);
    rmSync(path);
  });

  test("a write that fails leaves the file that was there", () => {
    const path = join(folder, "kept.safetensors");
    io.writeSafetensors(path, new Map([["x", ones([1])]]));
    const freed = ones([1]);
    freed.free();
    expect(() => io.writeSafetensors(path, new Map([["x", freed]]))).toThrow(EngineError);
    expect(io.readSafetensors(path).tensors.get("x")?.tolist()).toEqual([1]);
    expect(() => io.writeSafetensors(join(folder, "no", "such", "x"), new Map())).toThrow(
      expect.objectContaining({ code: "FILE" }),
    );
    expect(existsSync(join(folder, "no"))).toBe(false);
  });
});

describe("malformed files are refused, and the message says why", () => {
  const cases: [string, Uint8Array, RegExp][] = [
    ["no header", new Uint8Array(3), /at least 8 bytes/],
    ["a header past the end", file("{}", 0, 100), /passes the file's end/],
    ["a giant header", file("{}", 0, 2 ** 40), /at most 100000000 bytes.*is it a safetensors file/],
    ["no JSON", file("{nope"), /header:/],
    ["an array", file("[]"), /expected a JSON object/],
    ["bad UTF-8", file('{"a\xff', 0), /header|UTF-8/],
    [
      "a name twice",
      file(
        `{"a":${JSON.stringify(entry("U8", [1], 0, 1))},"a":${JSON.stringify(entry("U8", [1], 0, 1))}}`,
        1,
      ),
      /stands twice/,
    ],
    ["an unknown dtype", file({ a: entry("F4", [1], 0, 1) }, 1), /expected a dtype of .*got "F4"/],
    ["a negative size", file({ a: entry("U8", [-1], 0, 1) }, 1), /non-negative integers/],
    ["a fractional size", file({ a: entry("U8", [0.5], 0, 1) }, 1), /non-negative integers/],
    ["sizes that overflow", file({ a: entry("U8", [2 ** 40, 2 ** 40], 0, 1) }, 1), /less than 2\^53 bytes/],
    [
      "a wrong length",
      file({ a: entry("F32", [2], 0, 4) }, 4),
      /expected 8 bytes for F32 \[2\], data_offsets span 4/,
    ],
    ["overlapping ranges", file({ a: entry("U8", [4], 0, 4), b: entry("U8", [4], 2, 6) }, 6), /overlap/],
    ["a hole", file({ a: entry("U8", [2], 0, 2), b: entry("U8", [2], 4, 6) }, 6), /belong to none/],
    ["bytes too many", file({ a: entry("U8", [2], 0, 2) }, 5), /3 bytes after the last tensor/],
    ["bytes too few", file({ a: entry("U8", [9], 0, 9) }, 5), /expected \d+ bytes by its header/],
    ["reversed offsets", file({ a: entry("U8", [2], 2, 0) }, 2), /span -2/],
    ["no entry object", file({ a: 3 }, 2), /expected an object/],
    ["metadata of numbers", file({ __metadata__: { a: 1 } }), /object of strings/],
  ];

  test.each(cases)("%s", (_name, bytes, message) => {
    expect(() => io.parseSafetensors(bytes)).toThrow(message);
    expect(() => io.parseSafetensors(bytes)).toThrow(EngineError);
  });

  test("a missing file and a folder", () => {
    expect(() => io.readSafetensors(join(folder, "none"))).toThrow(expect.objectContaining({ code: "FILE" }));
    expect(() => io.readSafetensors(folder)).toThrow(/expected a file/);
  });
});

describe("a write is refused, and nothing is left", () => {
  const one = (): Map<string, Tensor> => new Map([["a", ones([1])]]);

  test.each([
    [
      "metadata that is no text",
      () => [one(), new Map([["epoch", 3]])],
      /metadata of text, got number for "epoch"/,
    ],
    ["metadata that is no Map", () => [one(), { epoch: "3" }], /a Map of metadata/],
    ["tensors that are no Map", () => [{ a: ones([1]) }], /expected a Map of tensors/],
    ["a name that is no text", () => [new Map([[1, ones([1])]])], /names of text, got 1/],
    ["a value that is no tensor", () => [new Map([["a", [1, 2]]])], /"a": expected a Tensor, got Array/],
  ] as const)("of %s", (_name, given, message) => {
    const path = join(folder, "refused");
    const write = io.writeSafetensors as (path: string, ...given: readonly unknown[]) => void;
    expect(() => write(path, ...given())).toThrow(expect.objectContaining({ code: "BAD_ARGUMENT" }));
    expect(() => write(path, ...given())).toThrow(message);
    expect(existsSync(path)).toBe(false);
  });

  test.runIf(process.platform !== "win32")("over what is no file, which stays what it is", () => {
    const pipe = join(folder, "pipe");
    execFileSync("mkfifo", [pipe]);
    for (const path of [pipe, folder])
      expect(() => io.writeSafetensors(path, one())).toThrow(/expected a file, got a folder, device or pipe/);
    expect(lstatSync(pipe).isFIFO()).toBe(true);
  });
});

test("bytes in memory that are no Uint8Array are refused", () => {
  const wrong = new ArrayBuffer(8) as never;
  for (const parse of [io.parseSafetensors, io.parsePyTorch])
    expect(() => parse(wrong)).toThrow(/bytes as a Uint8Array, got ArrayBuffer/);
});

test("20,000 mutations give the tensors or an EngineError, and nothing leaks", () => {
  const path = join(folder, "seed.safetensors");
  const seeds = new Map([
    ["w", ones([2, 3])],
    ["b", tensor([1, 2], { dtype: "int64" })],
    ["h", ones([3], { dtype: "float16" })],
  ]);
  io.writeSafetensors(path, seeds, new Map([["k", "v"]]));
  const original = readFileSync(path);
  const before = liveTensors().tensors;
  const mutation = fc.record({
    at: fc.nat(original.length - 1),
    kind: fc.constantFrom("flip", "insert", "delete", "digit"),
    byte: fc.nat(255),
  });
  const apply = (bytes: number[], { at, kind, byte }: { at: number; kind: string; byte: number }): void => {
    if (kind === "flip") bytes[at] = byte;
    else if (kind === "digit") bytes[at] = 48 + (byte % 10);
    else if (kind === "insert") bytes.splice(at, 0, byte);
    else bytes.splice(at, 1);
  };
  let refused = 0;
  fc.assert(
    fc.property(fc.array(mutation, { minLength: 1, maxLength: 4 }), (mutations) => {
      const bytes = [...original];
      for (const one of mutations) apply(bytes, one);
      scope(() => {
        try {
          io.parseSafetensors(Uint8Array.from(bytes));
        } catch (error) {
          refused++;
          expect(error).toBeInstanceOf(EngineError);
        }
      });
    }),
    { numRuns: 20_000, seed: 1 },
  );
  expect(refused).toBeGreaterThan(1000);
  expect(liveTensors().tensors).toBe(before);
});
