import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { type DType, fromTypedArray, grad, scope, Tensor, tensor } from "../../src/index.js";
import * as ops from "../../src/ops/index.js";

interface Packed {
  readonly dtype: DType;
  readonly shape: number[];
  readonly data: number[];
}
interface Case {
  readonly name: string;
  readonly function: string;
  readonly inputs: number[];
  readonly rest: unknown[];
  readonly outputs: Packed[];
  readonly gradients: (Packed | null)[];
}

const { inputs, cases } = JSON.parse(
  readFileSync(new URL("./fixtures/goldens.json", import.meta.url), "utf8"),
) as { inputs: (Packed | null)[]; cases: Case[] };

const functions: Readonly<Record<string, unknown>> = { ...ops };
const plain = (value: unknown): number => (value === "NaN" ? Number.NaN : Number(value));

function unpack({ dtype, shape, data }: Packed): Tensor {
  return fromTypedArray(Float64Array.from(data, plain), shape, { dtype });
}

function argument(value: unknown): unknown {
  const packed = (value as { $tensor?: Packed })?.$tensor;
  return packed ? unpack(packed) : value;
}

function expectClose(seen: Tensor, want: Packed, what: string): void {
  expect(seen.shape, `${what}: shape`).toEqual(want.shape);
  expect(seen.dtype, `${what}: dtype`).toBe(want.dtype);
  const values = Array.from(seen.toTypedArray(), Number);
  values.forEach((value, i) => {
    const wanted = plain(want.data[i]);
    expect(Math.abs(value - wanted), `${what}[${i}]: ${value}, expected ${wanted}`).toBeLessThanOrEqual(
      1e-8 * (1 + Math.abs(wanted)),
    );
  });
}

/** The weights by which the script adds up outputs before it differentiates: cos 0, cos 1, ... */
function weighted(outputs: readonly Tensor[]): Tensor {
  const sums = outputs
    .filter((output) => output.requiresGrad)
    .map((output) =>
      output
        .reshape([-1])
        .mul(tensor(Float64Array.from({ length: output.numel }, (_, i) => Math.cos(i))))
        .sum(),
    );
  return sums.reduce((total, sum) => total.add(sum));
}

test.each(cases.map((golden) => [golden.name, golden] as const))("%s is as in PyTorch", (_, golden) => {
  scope(() => {
    const tensors = golden.inputs.map((place) => unpack(inputs[place] as Packed));
    golden.gradients.forEach((gradient, i) => {
      if (gradient !== null) (tensors[i] as Tensor).requiresGrad = true;
    });
    const call = functions[golden.function] as (...values: unknown[]) => Tensor | Tensor[];
    const result = call(...tensors, ...golden.rest.map(argument));
    const outputs = result instanceof Tensor ? [result] : result;
    expect(outputs.length).toBe(golden.outputs.length);
    outputs.forEach((output, i) => {
      expectClose(output, golden.outputs[i] as Packed, `result ${i}`);
    });
    const leaves = tensors.filter((leaf) => leaf.requiresGrad);
    if (leaves.length === 0) return;
    const gradients = grad([weighted(outputs)], leaves);
    const wanted = golden.gradients.filter((gradient) => gradient !== null);
    gradients.forEach((gradient, i) => {
      expectClose(gradient as Tensor, wanted[i] as Packed, `gradient ${i}`);
    });
  });
});

test("every function that the script names exists, and there are many", () => {
  expect(cases.length).toBeGreaterThan(150);
  expect(cases.filter(({ function: name }) => !(name in functions))).toEqual([]);
});
