import { readFileSync } from "node:fs";
import { describe, expect, expectTypeOf, test } from "vitest";
import { aten, type Overloads, operators } from "../../src/aten/index.js";
import { arange, hasOp, ones, op, type Schema, type Tensor, tensor } from "../../src/index.js";
import { usedSchemas } from "../../src/ops/index.js";

describe("every operator by its name", () => {
  test("an overload by name, the default one, and the first that fits", () => {
    const x = tensor([1, 2]);
    expect(aten.add.Tensor(x, x, { alpha: 2 }).tolist()).toEqual([3, 6]);
    expect(aten.relu(x).tolist()).toEqual([1, 2]);
    expect(aten.relu.default(x).tolist()).toEqual([1, 2]);
    expect(aten.add(x, x).tolist()).toEqual([2, 4]);
    expect(aten.add(x, 2).tolist()).toEqual([3, 4]);
    expect(aten.sum(x).item()).toBe(3);
    expect(aten.sum(x, 0, true).tolist()).toEqual([3]);
    expect(aten.sum(x, []).item()).toBe(3);
    expect(aten.max(x, tensor([2, 0])).tolist()).toEqual([2, 2]);
    expect(aten.max(x, 0)[1].item()).toBe(1);
    expect(aten.pow(2, x).tolist()).toEqual([2, 4]);
    expect(aten.conv2d(ones([1, 1, 3, 3]), ones([1, 1, 3, 3]), null, 1, "same").shape).toEqual([1, 1, 3, 3]);
    expect(aten.max_pool2d(ones([1, 1, 4, 4]), 3, { ceil_mode: true }).shape).toEqual([1, 1, 2, 2]);
    expect(aten.split(arange(3), [1, 2]).map((part) => part.shape)).toEqual([[1], [2]]);
    expect(aten.zeros([2], { dtype: "int32", device: "cpu" }).dtype).toBe("int32");
    const out = ones([2]);
    aten.add(x, x, { out });
    expect(out.tolist()).toEqual([2, 4]);
    expect(aten.add_(x, 1)).toBe(x);
    expect(aten.size.int(x, 0)).toBe(2);
    expect(aten._foreach_add_([x], 1)).toBeNull();
  });

  test("no overload that fits: the message lists them", () => {
    const x = ones([1]);
    expect(() => aten.add(x, "a" as never)).toThrow(
      /^aten::add: expected arguments that fit one of its overloads, got \(Tensor, "a"\)\. There are:\n {2}aten::add\.Scalar\([\s\S]*aten::add\.Tensor\(Tensor self, Tensor other/,
    );
    expect(() => aten.add(x, x, { beta: 2 } as never)).toThrow(/got \(Tensor, Tensor, \{ beta \}\)/);
    expect(() => (aten as unknown as { nonsense: () => void }).nonsense).toThrow(
      /has no operator "aten::nonsense"/,
    );
    expect(() => (aten.add as unknown as { Tensors: () => void }).Tensors).toThrow(
      /"aten::add.Tensors"; it has/,
    );
  });

  test("behaves as an object: names, `in`, and it is no promise", async () => {
    expect("add" in aten).toBe(true);
    expect("nonsense" in aten).toBe(false);
    expect("Tensor" in aten.add).toBe(true);
    expect(Object.keys(aten).length).toBeGreaterThan(1000);
    expect(await Promise.resolve(aten)).toBe(aten);
    expect(Object.keys(operators("nothing"))).toEqual([]);
    expect(() => operators("nothing").of).toThrow(/no operator "nothing::of"/);
  });

  test("types follow the schemas", () => {
    expectTypeOf(aten.relu).returns.toEqualTypeOf<Tensor>();
    expectTypeOf(aten.topk.default).returns.toEqualTypeOf<[Tensor, Tensor]>();
    expectTypeOf(aten.equal.default).returns.toEqualTypeOf<boolean>();
    expectTypeOf<Parameters<Overloads["add.Tensor"]>[1]>().toEqualTypeOf<Tensor>();
    expectTypeOf(aten.max(ones([1, 1]), 0)).toEqualTypeOf<[Tensor, Tensor]>();
    expectTypeOf(aten.max(ones([1, 1]))).toEqualTypeOf<Tensor>();
    // @ts-expect-error a string is no tensor
    expect(() => aten.add(ones([1]), "a")).toThrow();
    // @ts-expect-error no such dtype
    expect(() => aten.sum(ones([1]), [0], true, { dtype: "float31" })).toThrow();
  });

  test("the types have every operator of the libtorch that they were made from", () => {
    const text = readFileSync(new URL("../../src/aten/schemas.generated.ts", import.meta.url), "utf8");
    const packets = text.slice(text.indexOf("export interface Aten")).match(/^\w+:P</gm) ?? [];
    expect(packets.length).toBeGreaterThan(1400);
    const present = packets.filter((line) => line.slice(0, -3) in aten);
    // Newer versions drop a few, all of them internal.
    expect(present.length / packets.length).toBeGreaterThan(0.9);
  });
});

describe("schemas of the operators that ops/ calls", () => {
  const file = new URL("./fixtures/schemas.json", import.meta.url);
  const snapshot = JSON.parse(readFileSync(file, "utf8")) as {
    version: string;
    schemas: Record<string, string>;
  };
  const names = Object.keys(snapshot.schemas).sort();

  test("all of them are in the snapshot", () => {
    expect(names.length).toBeGreaterThan(300);
    expect([...usedSchemas().keys()].filter((name) => !(name in snapshot.schemas))).toEqual([]);
  });

  test("this libtorch has them all, with the arguments that they had in the oldest supported", () => {
    expect(names.filter((name) => !hasOp(name))).toEqual([]);
    for (const name of names) expect(argumentNames(op(name).schema), name).toEqual(oldNames(name));
  });

  /** Their first arguments: newer versions may add some with defaults. */
  function argumentNames(schema: Schema): string[] {
    const old = oldNames(schema.overload === "" ? schema.name : `${schema.name}.${schema.overload}`);
    const added = schema.arguments.slice(old.length);
    expect(added.filter((argument) => !argument.hasDefault)).toEqual([]);
    return schema.arguments.slice(0, old.length).map((argument) => argument.name);
  }

  function oldNames(name: string): string[] {
    const text = snapshot.schemas[name] as string;
    const inside = text.slice(text.indexOf("(") + 1, text.lastIndexOf(") ->"));
    return [...inside.matchAll(/ (\w+)(?:=(?:\[[^\]]*\]|[^,]*))?(?:,|$)/g)].map(
      (found) => found[1] as string,
    );
  }

  test("on the version of the snapshot they are the same to the letter", async () => {
    const { native } = await import("../../src/native.js");
    const same = native.version() === snapshot.version;
    const differing = names.find((name) => op(name).schema.schema !== snapshot.schemas[name]);
    expect(same ? differing : undefined).toBeUndefined();
  });
});
