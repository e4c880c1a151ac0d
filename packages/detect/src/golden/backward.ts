import { backward, type nn, type Tensor, tensorOp } from "@sepc/engine";
import type { Case } from "./case.js";

const add = tensorOp("aten::add.Tensor");
const mul = tensorOp("aten::mul.Tensor");
const sum = tensorOp("aten::sum");

/** Back-propagates Σ out·cot. */
export function backwardThrough(pairs: readonly (readonly [out: Tensor, cotangent: Tensor])[]): void {
  backward(pairs.map(([out, cotangent]) => sum(mul(out, cotangent))).reduce((total, one) => add(total, one)));
}

/** Gradients of inputs and parameters, and what training left in the running statistics. */
export function expectLearned(
  golden: Case,
  net: nn.Module,
  rename: (official: string) => string | null,
): void {
  for (const name of golden.names("grad/in/"))
    golden.expect(`grad/in/${name}`, golden.tensor(`in/${name}`).grad);
  const parameters = new Map(net.namedParameters());
  for (const name of golden.names("grad/param/")) {
    golden.expect(`grad/param/${name}`, parameters.get(rename(name) ?? "")?.grad ?? null);
  }
  const state = net.stateDict();
  for (const name of golden.names("after/param/"))
    golden.expect(`after/param/${name}`, state.get(rename(name) ?? "") ?? null);
}
