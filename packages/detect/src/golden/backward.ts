import { backward, type nn, type Tensor, tensorOp } from "@sepc/engine";
import type { Case } from "./case.js";

const add = tensorOp("aten::add.Tensor");
const mul = tensorOp("aten::mul.Tensor");
const sum = tensorOp("aten::sum");

/** Back-propagates Σ out·cot, where the case has gradients; `cotangents` are names of inputs. */
export function backwardThrough(
  golden: Case,
  pairs: readonly (readonly [out: Tensor, cotangent: string])[],
): void {
  if (golden.names("grad/").length === 0) return;
  const terms = pairs.map(([out, cotangent]) => sum(mul(out, golden.tensor(`in/${cotangent}`))));
  backward(terms.reduce((total, one) => add(total, one)));
}

/** Back-propagates a loss; compares it and what it says of the inputs. */
export function expectLearnedFrom(golden: Case, total: Tensor): void {
  for (const name of ["out/total", "out/loss_total"]) golden.expect(name, total);
  if (golden.names("grad/").length > 0) backward(total);
  expectInputGradients(golden);
}

/** Gradients of the inputs, under either of the names that the format has for them. */
export function expectInputGradients(golden: Case): void {
  for (const name of golden.names("grad/")) {
    const input = name.startsWith("in/") ? name : `in/${name}`;
    if (golden.has(input)) golden.expect(`grad/${name}`, golden.tensor(input).grad);
  }
}

/** Gradients of inputs and parameters, and what training left in the running statistics. */
export function expectLearned(
  golden: Case,
  net: nn.Module,
  rename: (official: string) => string | null,
): void {
  expectInputGradients(golden);
  const parameters = new Map(net.namedParameters());
  for (const name of golden.names("grad/param/")) {
    golden.expect(`grad/param/${name}`, parameters.get(rename(name) ?? "")?.grad ?? null);
  }
  const state = net.stateDict();
  for (const name of golden.names("after/param/"))
    golden.expect(`after/param/${name}`, state.get(rename(name) ?? "") ?? null);
}
