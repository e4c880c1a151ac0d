/** Names in mmdetection 1.x's state dicts of the convolutions in RetinaNet's head, and ours. */
const RENAMES: readonly (readonly [theirs: RegExp, ours: string])[] = [
  [/^cls_convs\.(\d+)\.conv\./, "cls.convs.$1."],
  [/^reg_convs\.(\d+)\.conv\./, "box.convs.$1."],
  [/^cls_convs\.(\d+)\.(?:bn|gn)\./, "cls.norms.$1."],
  [/^reg_convs\.(\d+)\.(?:bn|gn)\./, "box.norms.$1."],
];

/** Our name in a plain tower of a tensor of mmdetection's head; null when it is none of the tower's. */
export function nameFromHead(name: string): string | null {
  const rename = RENAMES.find(([theirs]) => theirs.test(name));
  return rename === undefined ? null : name.replace(...(rename as [RegExp, string]));
}
