import { nameFromOfficial } from "../../models/necks/sepc/weights.js";

/** Names in mmdetection 1.x's state dicts of a RetinaNet, the official SEPC code's among them, and ours. */
const RENAMES: readonly (readonly [theirs: RegExp, ours: string])[] = [
  [/^neck\.(?:0\.)?(lateral_convs|fpn_convs)\.(\d+)\.conv\./, "neck.$1.$2."],
  [/^bbox_head\.retina_cls\./, "head.cls."],
  [/^bbox_head\.retina_reg\./, "head.box."],
];

/** Our name of one of mmdetection's tensors; null when it has none. */
export function nameFromMmdetection(name: string): string | null {
  if (name.startsWith("backbone.")) return name;
  if (/^neck\.1\./.test(name)) {
    const ours = nameFromOfficial(name.slice("neck.1.".length));
    return ours === null ? null : `tower.${ours}`;
  }
  const rename = RENAMES.find(([theirs]) => theirs.test(name));
  return rename === undefined ? null : name.replace(...(rename as [RegExp, string]));
}
