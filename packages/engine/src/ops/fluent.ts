// Every function of the files spread below takes a tensor first, and is a method of tensors by the same name.
import { type BackwardOptions, backward } from "../autograd.js";
import { Tensor } from "../tensor.js";
import * as activation from "./activation.js";
import * as at from "./at.js";
import { where } from "./combine.js";
import * as compare from "./compare.js";
import * as conv from "./conv.js";
import * as convert from "./convert.js";
import * as elementwise from "./elementwise.js";
import * as like from "./like.js";
import * as linear from "./linear.js";
import * as loss from "./loss.js";
import * as norm from "./norm.js";
import type { Operand } from "./operand.js";
import * as random from "./random.js";
import * as reduce from "./reduce.js";
import * as sampling from "./sampling.js";
import * as select from "./select.js";
import * as shape from "./shape.js";
import * as sort from "./sort.js";

const functions = {
  ...activation,
  ...at,
  ...compare,
  ...conv,
  ...convert,
  ...elementwise,
  ...like,
  ...linear,
  ...loss,
  ...norm,
  ...random,
  ...reduce,
  ...sampling,
  ...select,
  ...shape,
  ...sort,
};

type Functions = typeof functions;
/** With results that depend on the arguments, which a mapped type would lose. */
type Overloaded = "max" | "min" | "median";
type Methods = {
  [K in Exclude<keyof Functions, Overloaded>]: Functions[K] extends (x: Tensor, ...rest: infer A) => infer R
    ? (...rest: A) => R
    : never;
};
type Extreme = [values: Tensor, indices: Tensor];

declare module "../tensor.js" {
  interface Tensor extends Methods {
    /** The largest element; along `dim`, the largest of each row and where they are. */
    max(): Tensor;
    max(dim: number, options?: reduce.KeepdimOptions): Extreme;
    /** The smallest element; along `dim`, the smallest of each row and where they are. */
    min(): Tensor;
    min(dim: number, options?: reduce.KeepdimOptions): Extreme;
    /** The middle element, the lower of two; along `dim`, those of each row and where they are. */
    median(): Tensor;
    median(dim: number, options?: reduce.KeepdimOptions): Extreme;
    /** These elements where `condition` holds, those of `other` elsewhere. */
    where(condition: Tensor, other: Operand): Tensor;
    /** Adds the gradient of this with respect to every leaf to the leaf's `grad`. */
    backward(options?: BackwardOptions): void;
  }
}

function define(name: string, method: (this: Tensor, ...values: never[]) => unknown): void {
  Object.defineProperty(Tensor.prototype, name, { value: method, writable: true, configurable: true });
}

for (const [name, call] of Object.entries(functions) as [string, (...values: unknown[]) => unknown][]) {
  define(name, function (this: Tensor, ...values: unknown[]) {
    return call(this, ...values);
  });
}

define("where", function (this: Tensor, condition: Tensor, other: Operand) {
  return where(condition, this, other);
});
define("backward", function (this: Tensor, options?: BackwardOptions) {
  backward(this, options);
});
