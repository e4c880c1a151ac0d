// Prints one line of JSON: the instruction set in use, and what the operators compute with it.
import { backward, fromTypedArray, nn } from "@sepc/engine";
import { cpuCapability } from "../dist/ops/capability.js";
import { deformConv2d } from "../dist/ops/deformConv.js";
import { pyramidBatchNormRelu } from "../dist/ops/pyramidBatchNorm.js";
import { upsampleAdd } from "../dist/ops/upsampleAdd.js";

/** @param {number[]} shape @param {number} seed */
function wave(shape, seed) {
  const count = shape.reduce((product, size) => product * size, 1);
  const values = Float32Array.from({ length: count }, (_, i) => Math.sin((i + 1) * 0.7 + seed) * 1.5);
  const made = fromTypedArray(values, shape);
  made.requiresGrad = true;
  return made;
}

const [input, weight, offset] = [wave([2, 20, 9, 11], 1), wave([36, 10, 3, 3], 2), wave([2, 36, 9, 11], 3)];
const [mask, bias, base] = [wave([2, 18, 9, 11], 4), wave([36], 5), wave([2, 36, 17, 21], 6)];
const options = { mask, bias, padding: 1, groups: 2, offsetGroups: 2 };
const sum = upsampleAdd(base, deformConv2d(input, weight, offset, options));
const [output, coarse] = pyramidBatchNormRelu(
  [sum, wave([2, 36, 5, 7], 7)],
  new nn.BatchNorm2d({ numFeatures: 36 }),
);
backward(output.mul(output.detach()).sum());
const results = [output, coarse, ...[input, weight, offset, mask, bias, base].map(({ grad }) => grad)];
process.stdout.write(
  `${JSON.stringify({ capability: cpuCapability(), values: results.flatMap((result) => Array.from(result?.toTypedArray() ?? [])) })}\n`,
);
