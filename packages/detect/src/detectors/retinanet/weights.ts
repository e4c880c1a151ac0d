import { namesFromMmdetection } from "../../models/mmdetection.js";

/** Our name of one of the tensors of mmdetection 1.x's RetinaNet, the official SEPC code's too; null when it has none. */
export const nameFromMmdetection = namesFromMmdetection([
  [/^bbox_head\.retina_cls\./, "head.cls."],
  [/^bbox_head\.retina_reg\./, "head.box."],
]);
