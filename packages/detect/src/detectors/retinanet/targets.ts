import type { AnchorPriors, DeltaCoder, LevelSize } from "@sepc/core";
import { ops, scope, type Tensor } from "@sepc/engine";
import { paddingPriors } from "../../ops/priors.js";
import { assignByMaxIou, type MaxIouConfig } from "../../training/assigners/maxIou.js";
import { encodeDeltas } from "../../training/coders/delta.js";
import type { Truth } from "../detector.js";

export interface TargetConfig {
  readonly anchors: AnchorPriors;
  readonly assigner: MaxIouConfig;
  readonly coder: DeltaCoder;
  /** Pixels by which an anchor may pass the picture's edge and still count; -1, any, unless told. */
  readonly allowedBorder?: number | undefined;
}

/** What the network should say about one picture. */
export interface Targets {
  /** int64 [P]: class, -1 background, -2 counts neither way */
  readonly labels: Tensor;
  /** int64 [M]: places of the positive anchors */
  readonly positives: Tensor;
  /** [M, 4]: deltas of the positive anchors */
  readonly deltas: Tensor;
}

/** bool [P]: anchors that pass the picture's edge by more than is allowed. */
function outside(anchors: Tensor, border: number, [height, width]: readonly [number, number]): Tensor {
  const [x1, y1, x2, y2] = anchors.unbind(1) as [Tensor, Tensor, Tensor, Tensor];
  const low = x1.lt(-border).logicalOr(y1.lt(-border));
  return low.logicalOr(x2.ge(width + border)).logicalOr(y2.ge(height + border));
}

/** Targets of one picture for anchors `[P, 4]` of levels of these sizes (Lin et al. 2017, section 4). */
export function retinaTargets(
  config: TargetConfig,
  anchors: Tensor,
  sizes: readonly LevelSize[],
  truth: Truth,
): Targets {
  return scope(() => {
    const { allowedBorder = -1 } = config;
    let excluded = paddingPriors(config.anchors, sizes, truth.padded, anchors.device);
    if (allowedBorder >= 0) excluded = excluded.logicalOr(outside(anchors, allowedBorder, truth.size));
    const { assigned } = assignByMaxIou(anchors, truth.boxes, config.assigner, {
      ignored: truth.ignored,
      excluded,
      legacyBoxes: config.anchors.legacyBoxes,
    });
    const positives = assigned.gt(0).nonzero().squeeze(1);
    const boxes = assigned.indexSelect(0, positives).sub(1);
    const unassigned = assigned.sub(1); // background -1, neither -2
    const labels =
      boxes.numel === 0
        ? unassigned
        : ops.indexPut(unassigned, [positives], truth.labels.indexSelect(0, boxes));
    const deltas = encodeDeltas(
      config.coder,
      anchors.indexSelect(0, positives),
      truth.boxes.indexSelect(0, boxes),
    );
    return { labels, positives, deltas };
  });
}
