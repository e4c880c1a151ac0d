// Cases of RetinaNet's kind of head, with stacked convolutions of its own or after SEPC, in mmdetection 1.x's names.
import { DensePrediction } from "../models/heads/dense.js";
import { replayBranches } from "./branches.js";
import { type Case, only } from "./case.js";
import { expectHeadMaps } from "./headMaps.js";
import { anchorsOf } from "./retinanet.js";

const maps = { cls: ["cls_score", "cot_cls"], box: ["bbox_pred", "cot_reg"] } as const;

const rename = (name: string): string =>
  name.replace(/^retina_cls\./, "cls.").replace(/^retina_reg\./, "box.");

export function headForward(golden: Case): void {
  const kinds = ["RetinaHead", "RetinaSepBNHead", "SepcRetinaHead", "FSAFHead"];
  only(golden.entry.hyper_parameters, "cls", ...kinds, "FreeAnchorRetinaHead", "SepcFreeAnchorRetinaHead");
  const { ratios, scales } = anchorsOf(golden);
  const head = new DensePrediction({
    channels: golden.number("C"),
    anchorsPerCell: ratios.length * scales.length,
    classes: golden.number("num_classes") - 1,
  });
  replayBranches(golden, head, rename, (net) => {
    const outputs = net.features(golden).map((features) => net.head.forward(...features));
    const positive = golden.text("cls") === "FSAFHead";
    expectHeadMaps(
      golden,
      outputs.map(({ cls, box }) => ({ cls, box: positive ? box.relu() : box })),
      maps,
    );
  });
}
