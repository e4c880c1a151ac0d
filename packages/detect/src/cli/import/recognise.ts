// Which preset a checkpoint of mmdetection belongs to, as far as its tensors and its configuration tell.
import { presetNames, TOWERS } from "../../presets/index.js";
import type { ForeignCheckpoint } from "../../train/foreign.js";

/** Parts of a preset's name; null where no preset has the like. */
export interface Recognised {
  /** Several where their networks are alike. */
  readonly detectors: readonly string[];
  readonly backbone: string | null;
  readonly tower: string | null;
}

const DETECTOR_OF_HEAD: Readonly<Record<string, string>> = {
  RetinaHead: "retinanet",
  SepcRetinaHead: "retinanet",
  FreeAnchorRetinaHead: "freeanchor",
  SepcFreeAnchorRetinaHead: "freeanchor",
  FSAFHead: "fsaf",
  FCOSHead: "fcos",
  ATSSHead: "atss",
  RepPointsHead: "reppoints",
};

/** The detector that a checkpoint's own configuration names, if it has one. */
export const detectorNamed = ({ head }: ForeignCheckpoint): string | null =>
  head === null ? null : (DETECTOR_OF_HEAD[head] ?? null);

function detectorsOf(checkpoint: ForeignCheckpoint): string[] {
  const named = detectorNamed(checkpoint);
  if (named !== null) return [named];
  const { tensors } = checkpoint;
  const own = ["fcos", "atss", "reppoints"].find((name) =>
    [...tensors.keys()].some((key) => key.startsWith(`bbox_head.${name}_cls`)),
  );
  if (own !== undefined) return [own];
  const rows = tensors.get("bbox_head.retina_reg.weight")?.shape[0];
  if (rows === undefined) return [];
  return rows === 4 ? ["fsaf"] : ["retinanet", "freeanchor"];
}

/** Depth by blocks of the first and third stage. */
const DEPTHS: Readonly<Record<string, number>> = { "2,2": 18, "3,6": 34 };
const BOTTLENECK_DEPTHS: Readonly<Record<string, number>> = { "3,6": 50, "3,23": 101 };

function backboneOf({ tensors }: ForeignCheckpoint): string | null {
  const blocks = (stage: number): number =>
    [...tensors.keys()].filter(
      (name) => name.startsWith(`backbone.layer${stage}.`) && /\d\.conv1\.w/.test(name),
    ).length;
  const bottleneck = tensors.has("backbone.layer1.0.conv3.weight");
  const depth = (bottleneck ? BOTTLENECK_DEPTHS : DEPTHS)[`${blocks(1)},${blocks(3)}`];
  if (depth === undefined) return null;
  const [channels = 0, perGroup = 0] = tensors.get("backbone.layer1.0.conv2.weight")?.shape ?? [];
  const groups = bottleneck ? channels / perGroup : 1;
  const plain = groups > 1 ? `x${depth}-${groups}x${perGroup}d` : `r${depth}`;
  const deforms = [...tensors.keys()].some((name) => /^backbone\..*offset/.test(name));
  return deforms ? `${plain}-dcn` : plain;
}

function towerOf({ tensors }: ForeignCheckpoint): string | null {
  if (!tensors.has("neck.1.lconv.weight"))
    return tensors.has("bbox_head.cls_convs.0.conv.weight") ? "fpn" : null;
  const deforms = (conv: string): boolean => tensors.has(`neck.1.${conv}.conv_offset.weight`);
  const kind = deforms("Pconvs.0.Pconv.0") ? "sepc" : deforms("lconv") ? "sepc-lite" : "pconv";
  const norm = tensors.has("neck.1.lbn.weight") ? "integrated" : "none";
  const towers: [string, { readonly kind: string; readonly norm?: string }][] = Object.entries(TOWERS);
  return towers.find(([, tower]) => tower.kind === kind && (tower.norm ?? "none") === norm)?.[0] ?? null;
}

export function recognise(checkpoint: ForeignCheckpoint): Recognised {
  return {
    detectors: detectorsOf(checkpoint),
    backbone: backboneOf(checkpoint),
    tower: towerOf(checkpoint),
  };
}

/** Presets of the paper's shorter schedule with a network like the checkpoint's. */
export function presetsLike({ detectors, backbone, tower }: Recognised): string[] {
  const names = detectors.map((detector) => `${detector}_${backbone}_${tower}_1x`);
  return names.filter((name) => presetNames.includes(name));
}
