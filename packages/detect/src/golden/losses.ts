// Cases of losses element by element and of their weighted means.
import { backward, ops, type Tensor } from "@sepc/engine";
import { boundedIouLoss } from "../training/losses/boundedIou.js";
import { focalLoss } from "../training/losses/focal.js";
import { giouLoss, iouLoss } from "../training/losses/iou.js";
import { smoothL1 } from "../training/losses/smoothL1.js";
import type { Case } from "./case.js";

interface Entry {
  readonly name: string;
  /** What the gradient is of. */
  readonly leaf: Tensor;
  /** [N] or [N, C] */
  readonly loss: Tensor;
}

/** int64 [N], 0 background -> [N, C] of zeros and ones. */
function presence(labels: Tensor, classes: number): Tensor {
  return ops
    .oneHot(labels, classes + 1)
    .narrow(1, 1, classes)
    .to({ dtype: "float32" });
}

/** Weights of whole losses that these cases have and their hyper-parameters do not tell. */
const lossWeights = { smoothL1: 0.75, giou: 2 };

function entriesOf(golden: Case): Entry[] {
  const input = (name: string): Tensor => golden.tensor(`in/${name}`);
  // One leaf a loss: each gradient stands for itself.
  const leaf = (name: string): Tensor => {
    const copy = input(name).clone();
    copy.requiresGrad = true;
    return copy;
  };
  const of = (name: string, from: string, loss: (x: Tensor) => Tensor): Entry => {
    const own = leaf(from);
    return { name, leaf: own, loss: loss(own) };
  };
  const labels = input("labels");
  const [target4, targets] = [input("target4"), input("target_boxes")];
  const legacy = { legacyBoxes: true };
  const focal = { gamma: golden.number("gamma"), alpha: golden.number("alpha") };
  const classes = input("logits").shape[1] as number;
  return [
    of("focal", "logits", (x) => focalLoss(x, labels.sub(1), focal)),
    of("smooth_l1", "pred4", (x) => smoothL1(x, target4, golden.number("beta")).mul(lossWeights.smoothL1)),
    of("iou", "boxes", (x) => iouLoss(x, targets, legacy)),
    of("giou", "boxes", (x) => giouLoss(x, targets, legacy).mul(lossWeights.giou)),
    of("bounded_iou", "boxes", (x) => boundedIouLoss(x, targets, legacy)),
    of("sigmoid_ce", "logits", (x) =>
      ops.binaryCrossEntropyWithLogits(x, presence(labels, classes), { reduction: "none" }),
    ),
    of("softmax_ce", "softmax_logits", (x) => ops.crossEntropy(x, labels, { reduction: "none" })),
  ];
}

export function elementwiseLosses(golden: Case): void {
  const weight = golden.tensor("in/weight");
  for (const { name, leaf, loss } of entriesOf(golden)) {
    golden.expect(`out/${name}_none`, loss);
    const weights = loss.ndim > 1 ? weight.unsqueeze(1) : weight;
    const mean = loss.mul(weights).sum().div(golden.number("avg_factor"));
    golden.expect(`out/${name}_mean`, mean);
    backward(mean);
    golden.expect(`grad/${name}`, leaf.grad);
  }
}
