import { namesFromMmdetection } from "../../models/mmdetection.js";

/** Our name of one of the tensors of mmdetection 1.x's ATSS; null when it has none. */
export const nameFromMmdetection = namesFromMmdetection([
  [/^bbox_head\.atss_cls\./, "head.cls."],
  [/^bbox_head\.atss_reg\./, "head.box."],
  [/^bbox_head\.atss_centerness\./, "head.centerness."],
  [/^bbox_head\.scales\.(\d+)\.scale$/, "head.scales.$1"],
]);
