// Archives and older files that no PyTorch would write, and large ones.
import {
  closeSync,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { io, liveTensors, scope, type Tensor } from "../../src/index.js";
import { slowCrc32 } from "../../src/io/pytorch/crc32.js";
import { describeValue } from "./describe.js";
import {
  type Code,
  checkpoint,
  fourFloats,
  type LegacyCode,
  legacy,
  magic,
  p,
  pickle,
  storage,
  tensorCode,
  type ZipFile,
  type ZipOptions,
  zip,
} from "./pickleWriter.js";
import { refusal } from "./refusal.js";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "pytorch-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe("the writer of these tests makes what is read", () => {
  test.each([
    ["zip", checkpoint(tensorCode())],
    ["legacy", legacy(tensorCode())],
    ["zip64", zip64Of()],
    [
      "no folder",
      zip([
        { name: "data.pkl", bytes: pickle(tensorCode()) },
        { name: "data/0", bytes: fourFloats },
      ]),
    ],
    [
      "a comment that looks like an end",
      zip(parts(), { comment: "PK\x05\x06 and so on, longer than a record" }),
    ],
  ])("%s", (_name, bytes) => {
    scope(() => expect((io.parsePyTorch(bytes) as Tensor).tolist()).toEqual([0, 1, 2, 3]));
  });
});

function parts(object: Code = tensorCode()): ZipFile[] {
  return [
    { name: "a/data.pkl", bytes: pickle(object) },
    { name: "a/data/0", bytes: fourFloats },
  ];
}

function zip64Of(options: ZipOptions = {}): Buffer {
  return zip(parts(), { ...options, zip64: true });
}

describe("malformed archives", () => {
  const [object, floats] = parts() as [ZipFile, ZipFile];
  const cases: [string, Uint8Array, RegExp][] = [
    ["nothing in it", zip([]), /with a data\.pkl, got one of nothing/],
    [
      "something else in it",
      zip([{ name: "word/document.xml", bytes: fourFloats }]),
      /got one of "word\/document/,
    ],
    ["two pickles", zip([object, { ...object, name: "b/data.pkl" }]), /expected one data\.pkl/],
    ["a name twice", zip([object, floats, floats]), /the name "a\/data\/0" stands twice/],
    ["compressed", zip([{ ...object, method: 8 }, floats]), /"a\/data.pkl" is compressed/],
    ["compressed storages", zip([object, { ...floats, method: 8 }]), /"a\/data\/0" is compressed/],
    ["encrypted", zip([{ ...object, flags: 1 }, floats]), /"a\/data.pkl" is encrypted/],
    ["one header for two", zip([object, { ...floats, header: 0 }]), /passes byte 0/],
    ["a header inside another's", zip([object, { ...floats, header: 40 }]), /passes byte 40/],
    [
      "a header that is none",
      zip([{ ...object, header: 1 }, floats]),
      /expected the header of "a\/data.pkl"/,
    ],
    ["a header past the end", zip([object, { ...floats, header: 2 ** 31 }]), /passes byte/],
    ["a size past the end", zip([object, { ...floats, size: 2 ** 31 }]), /passes byte/],
    [
      "another name in its header",
      zip([{ ...object, localName: "a/data.pkx" }, floats]),
      /got "a\/data.pkx"/,
    ],
    [
      "a longer name in its header",
      zip([object, { ...floats, localName: "x".repeat(9999) }]),
      /passes byte|got "x/,
    ],
    [
      "a damaged pickle",
      zip([{ ...object, crc: 1 }, floats]),
      /"a\/data.pkl" is damaged: expected CRC 1, got/,
    ],
    [
      "a damaged storage",
      zip([object, { ...floats, crc: 1 }]),
      /storage "0" is damaged: expected CRC 1, got/,
    ],
    ["a directory elsewhere", zip(parts(), { shift: 1 }), /expected its directory to end at/],
    ["a directory before the file", zip64Of({ shift: -(2 ** 40) }), /directory/],
    [
      "entries too many",
      zip(parts(), { more: 1 }),
      /record at byte \d+ of its directory|directory of 3 entries/,
    ],
    ["entries too few", zip(parts(), { more: -1 }), /more than its 1 entries/],
    ["entries by the billion", zip64Of({ more: 2 ** 40 }), /directory of \d+ entries/],
    [
      "of a big-endian machine",
      zip([...parts(), { name: "a/byteorder", bytes: Buffer.from("big") }]),
      /expected byte order "little", got "big"/,
    ],
    [
      "a TorchScript program",
      zip([...parts(), { name: "a/constants.pkl", bytes: fourFloats }]),
      /TorchScript/,
    ],
  ];
  test.each(cases)("%s", (_name, bytes, message) => {
    expect(refusal(bytes)).toMatch(/^PYTORCH_INVALID: memory: /);
    expect(refusal(bytes)).toMatch(message);
  });

  test("cut off anywhere, it is truncated or invalid", () => {
    for (const whole of [zip(parts()), zip64Of()]) {
      for (let length = 0; length < whole.length; length++)
        expect(refusal(whole.subarray(0, length))).toMatch(/^FILE_TRUNCATED: /);
    }
  });

  test("the checksum does not depend on the version of Node", () => {
    expect(slowCrc32(Buffer.from("123456789"))).toBe(0xcbf43926);
    expect(slowCrc32(Buffer.from("6789"), slowCrc32(Buffer.from("12345")))).toBe(0xcbf43926);
  });
});

describe("malformed older files, and files of other kinds", () => {
  const of = (options: LegacyCode): Buffer => legacy(tensorCode(), options);
  const tar = Buffer.alloc(1024);
  tar.write("storages", 0);
  tar.write("ustar", 257);
  const cases: [string, Uint8Array, RegExp][] = [
    [
      "another magic number",
      of({ magic: p.integer(7) }),
      /a pickle of another program: it begins with number 7/,
    ],
    ["another version", of({ version: 1002 }), /expected version 1001 .* got number 1002/],
    ["a big-endian machine", of({ littleEndian: false }), /little-endian machine/],
    ["keys that are none", of({ keys: p.integer(1) }), /expected a list of storages' keys/],
    ["a key twice", of({ keys: p.list(p.text("0"), p.text("0")) }), /each once, got string "0"/],
    ["a key of nothing", of({ keys: p.list(p.text("0"), p.text("1")) }), /got string "1"/],
    ["a key left out", of({ keys: p.list() }), /storage "0": the file does not hold it/],
    ["another count", of({ storages: [[3, fourFloats]] }), /storage "0": expected 4 elements, got 3/],
    ["a negative count", of({ storages: [[-1, fourFloats]] }), /expected 4 elements, got -1/],
    ["tar", tar, /tar archive; PyTorch before 0\.1\.10/],
    ["safetensors", Buffer.from("\x02\0\0\0\0\0\0\0{}", "latin1"), /use readSafetensors/],
    [
      "text",
      Buffer.from("<html><body>Not found</body>"),
      /neither a zip archive nor a pickle; it begins "<html><body>Not/,
    ],
  ];
  test.each(cases)("%s", (_name, bytes, message) => {
    expect(refusal(bytes)).toMatch(/^PYTORCH_INVALID: memory: /);
    expect(refusal(bytes)).toMatch(message);
  });

  test("cut off anywhere, it is truncated", () => {
    const whole = of({});
    for (let length = 0; length < whole.length; length++)
      expect(refusal(whole.subarray(0, length))).toMatch(/^FILE_TRUNCATED: /);
  });

  test("what is claimed and not there is not allocated", () => {
    const numel = 2 ** 40;
    const bytes = legacy(tensorCode({ over: storage({ numel }) }), { storages: [[numel, fourFloats]] });
    expect(refusal(bytes)).toMatch(/^FILE_TRUNCATED: .*expected the 4398046511104 bytes of a storage/);
  });

  test("the magic number is the one of PyTorch", () => {
    expect(describeValue(io.parsePyTorch(checkpoint(magic)))).toEqual({
      $integer: "119547037146038801333356",
    });
  });
});

describe("files beyond 2 GB", () => {
  const far = 2 ** 31 + 2 ** 20;

  function sparse(
    name: string,
    pieces: readonly (readonly [at: number, bytes: Uint8Array])[],
    size: number,
  ): string {
    const path = join(folder, name);
    const fd = openSync(path, "w");
    for (const [at, bytes] of pieces) writeSync(fd, bytes, 0, bytes.length, at);
    closeSync(fd);
    truncateSync(path, size);
    return path;
  }

  const object = p.dict(
    [p.text("model"), p.dict([p.text("small"), tensorCode({ over: storage({ key: "1" }) })])],
    [p.text("ema"), tensorCode({ over: storage({ type: "CharStorage", numel: far }), size: [far] })],
  );

  test.each([
    ["older", sparseLegacy],
    ["zip64", sparseZip],
  ])("%s: what lies behind is read, at its place, and what is not wanted is not", (name, write) => {
    const path = write(`${name}.pt`);
    expect(statSync(path).size).toBeGreaterThan(far);
    scope(() => {
      const before = liveTensors().bytes;
      expect(io.readStateDict(path).get("small")?.tolist()).toEqual([0, 1, 2, 3]);
      expect(liveTensors().bytes - before).toBe(16);
      const ema = (io.readPyTorch(path) as Map<string, Tensor>).get("ema") as Tensor;
      expect(ema.shape).toEqual([far]);
      expect(ema.slice(0, far - 2, far).tolist()).toEqual([5, 6]);
    });
    rmSync(path);
  });

  function sparseLegacy(name: string): string {
    const head = legacy(object, {
      keys: p.list(p.text("0"), p.text("1")),
      storages: [[far, new Uint8Array(0)]],
    });
    const behind = head.length + far;
    const count = Buffer.alloc(8);
    count.writeBigInt64LE(4n);
    return sparse(
      name,
      [
        [0, head],
        [behind - 2, Uint8Array.of(5, 6)],
        [behind, count],
        [behind + 8, fourFloats],
      ],
      behind + 24,
    );
  }

  /** Moves the parts of a small archive apart. */
  function sparseZip(name: string): string {
    const small = [
      { name: "a/data.pkl", bytes: pickle(object) },
      { name: "a/data/0", bytes: new Uint8Array(0), size: far, crc: 0 },
    ];
    const front = zip(small, { zip64: true });
    const frontEnd = front.indexOf("PK\x01\x02", "latin1");
    const behind = frontEnd + far;
    const last = { name: "a/data/1", bytes: fourFloats, header: behind };
    const local = zip([last]);
    const directory = zip([...small, last], { zip64: true, shift: far });
    const from = directory.indexOf("PK\x01\x02", "latin1");
    const tail = directory.subarray(from);
    const locator = tail.indexOf("PK\x06\x07", "latin1");
    tail.writeBigUInt64LE(tail.readBigUInt64LE(locator + 8) + BigInt(far), locator + 8);
    return sparse(
      name,
      [
        [0, front.subarray(0, frontEnd)],
        [behind - 2, Uint8Array.of(5, 6)],
        [behind, local.subarray(0, local.indexOf("PK\x01\x02", "latin1"))],
        [from + far, tail],
      ],
      from + far + tail.length,
    );
  }
});

test("a file that is refused is named in the message, and closed", () => {
  const path = join(folder, "broken.pt");
  writeFileSync(path, checkpoint(p.global("os", "system")));
  const nextDescriptor = (): number => {
    const fd = openSync(path, "r");
    closeSync(fd);
    return fd;
  };
  const before = nextDescriptor();
  expect(() => io.readPyTorch(path)).toThrow(expect.objectContaining({ code: "PYTORCH_UNSAFE" }));
  expect(() => io.readStateDict(path)).toThrow(path);
  expect(nextDescriptor()).toBe(before);
  rmSync(path);
});
