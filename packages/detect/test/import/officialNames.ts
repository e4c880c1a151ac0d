import type { Tensor } from "@sepc/engine";

type Renames = readonly (readonly [ours: RegExp, theirs: string])[];

const shared: Renames = [
  [/^head\.cls\./, "bbox_head.retina_cls."],
  [/^head\.box\./, "bbox_head.retina_reg."],
  [/^tower\.cls\.convs\.(\d+)\./, "bbox_head.cls_convs.$1.conv."],
  [/^tower\.box\.convs\.(\d+)\./, "bbox_head.reg_convs.$1.conv."],
  [/^tower\.pconvs\.(\d+)\.kernels\.(\d+)\./, "neck.1.Pconvs.$1.Pconv.$2."],
  [/^tower\.pconvs\.(\d+)\.norm\./, "neck.1.Pconvs.$1.bn."],
  [/^tower\.clsConv\.conv\./, "neck.1.cconv."],
  [/^tower\.clsConv\.norm\./, "neck.1.cbn."],
  [/^tower\.boxConv\.conv\./, "neck.1.lconv."],
  [/^tower\.boxConv\.norm\./, "neck.1.lbn."],
];

/** A state dict of ours under the official code's names. */
export function officialNames(state: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
  const two = [...state.keys()].some((name) => name.startsWith("tower.clsConv."));
  const renames: Renames = [...shared, [/^neck\.(\w+)\.(\d+)\./, `neck.${two ? "0." : ""}$1.$2.conv.`]];
  return new Map(
    [...state].map(([name, tensor]) => {
      const rename = renames.find(([ours]) => ours.test(name));
      return [rename === undefined ? name : name.replace(...rename), tensor] as const;
    }),
  );
}
