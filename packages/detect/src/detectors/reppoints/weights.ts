import { namesFromMmdetection } from "../../models/mmdetection.js";

/** Our name of one of the tensors of mmdetection 1.x's RepPoints; null when it has none. */
export const nameFromMmdetection = namesFromMmdetection([
  [/^bbox_head\.reppoints_(?:pts_)?(cls|init|refine)_conv\./, "head.$1Conv."],
  [/^bbox_head\.reppoints_(?:pts_)?(cls|init|refine)_out\./, "head.$1Out."],
  [/^bbox_head\.moment_transfer$/, "head.momentTransfer"],
]);
