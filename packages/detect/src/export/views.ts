import type { MapView, OffsetView } from "@sepc/core";
import type { nn, Tensor } from "@sepc/engine";
import { Fpn } from "../models/necks/fpn.js";
import { Tower } from "../models/necks/towers/index.js";
import { isRef, type Trace } from "./trace.js";

export interface Views {
  readonly features: readonly MapView[];
  readonly offsets: readonly OffsetView[];
}

/** Runs a network and keeps what its pyramid and its tower gave, by names of outputs. */
export function watched<T>(network: nn.Module, run: () => T): { result: T; maps: Map<string, Tensor> } {
  const maps = new Map<string, Tensor>();
  const undo: (() => void)[] = [];
  const keep = (name: string, levels: readonly Tensor[]): void => {
    for (const [i, level] of levels.entries()) maps.set(`feature_${name}_p${3 + i}`, level);
  };
  const watch = <M extends Fpn | Tower, O>(module: M, seen: (output: O) => void): void => {
    const own = module as unknown as { forward: (levels: readonly Tensor[]) => O };
    const forward = own.forward.bind(own);
    own.forward = (levels) => {
      const output = forward(levels);
      seen(output);
      return output;
    };
    undo.push(() => Reflect.deleteProperty(own, "forward"));
  };
  for (const [, module] of network.namedModules()) {
    if (module instanceof Fpn) watch(module, (levels: Tensor[]) => keep("pyramid", levels));
    if (module instanceof Tower)
      watch(module, ({ cls, box }: ReturnType<Tower["forward"]>) => {
        keep("class", cls);
        keep("box", box);
      });
  }
  try {
    return { result: run(), maps };
  } finally {
    for (const one of undo) one();
  }
}

/** Pixels of the input for one cell of a value's map. */
function strideOf({ values, input }: Trace, value: number): number {
  const [from, to] = [values[input]?.shape[2] as number, values[value]?.shape[2] as number];
  return 2 ** Math.round(Math.log2(from / to));
}

const levelOf = (stride: number): string => `p${Math.log2(stride)}`;

/** The maps that {@link watched} kept, as the model's description tells of them. */
export function featureViews(trace: Trace): MapView[] {
  return [...trace.outputs].flatMap(([output, value]): MapView[] => {
    const part = /^feature_(\w+)_p\d+$/.exec(output)?.[1];
    if (part === undefined) return [];
    const stride = strideOf(trace, value);
    const level = part === "pyramid" ? levelOf(stride) : `${levelOf(stride)} ${part} branch`;
    return [{ output, level, stride }];
  });
}

/** The offsets of every deformable kernel, as values of the trace with what is told of them. */
export function offsetViews(
  trace: Trace,
  network: nn.Module,
): { readonly value: number; readonly view: OffsetView }[] {
  const names = new Map([...network.namedParameters()].map(([name, { tensor }]) => [tensor, name]));
  const calls = trace.nodes.filter(({ name }) => name === "sepc::deform_conv2d");
  return calls.flatMap(({ arguments: [input, weight, offset] }, i) => {
    if (!isRef(input) || !isRef(weight) || !isRef(offset)) return [];
    const { constant, shape } = trace.values[weight.value] as Trace["values"][number];
    const stride = strideOf(trace, offset.value);
    const kernel = (constant && names.get(constant))?.replace(/\.weight$/, "") ?? `kernel ${i}`;
    const view: OffsetView = {
      output: `offset_${i}`,
      level: levelOf(stride),
      stride,
      kernel,
      kernelSize: shape[2] as number,
      readStride: strideOf(trace, input.value),
    };
    return [{ value: offset.value, view }];
  });
}
