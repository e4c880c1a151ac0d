import { namesFromMmdetection } from "../../models/mmdetection.js";

/** Our name of one of the tensors of mmdetection 1.x's FCOS; null when it has none. */
export const nameFromMmdetection = namesFromMmdetection([
  [/^bbox_head\.fcos_cls\./, "head.cls."],
  [/^bbox_head\.fcos_reg\./, "head.box."],
  [/^bbox_head\.fcos_centerness\./, "head.centerness."],
  [/^bbox_head\.scales\.(\d+)\.scale$/, "head.scales.$1"],
]);
