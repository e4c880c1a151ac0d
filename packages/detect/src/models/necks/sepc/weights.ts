/** Names in the official code's state dicts (jshilong/SEPC) and ours, part by part of the path. */
const RENAMES: readonly (readonly [official: RegExp, ours: string])[] = [
  [/^Pconvs\.(\d+)\.Pconv\.(\d+)\./, "pconvs.$1.kernels.$2."],
  [/^Pconvs\.(\d+)\.bn\./, "pconvs.$1.norm."],
  [/^Pconv\.(\d+)\./, "kernels.$1."],
  [/^bn\./, "norm."],
  [/^cconv\./, "clsConv.conv."],
  [/^cbn\./, "clsConv.norm."],
  [/^lconv\./, "boxConv.conv."],
  [/^lbn\./, "boxConv.norm."],
];

/** Our name of a tensor of the official SEPC neck or of one of its PConv modules; null when it is none of theirs. */
export function nameFromOfficial(name: string): string | null {
  const rename = RENAMES.find(([official]) => official.test(name));
  return rename === undefined ? null : name.replace(...(rename as [RegExp, string]));
}
