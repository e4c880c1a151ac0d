// When a checkpoint is not what the command takes it for.
import { EngineError } from "@sepc/engine";
import type { Fit, ForeignCheckpoint } from "../../train/foreign.js";
import { detectorNamed, presetsLike, recognise } from "./recognise.js";

/** "12 (one, two, three ...)" */
export const some = (names: readonly string[]): string =>
  `${names.length} (${names.slice(0, 3).join(", ")}${names.length > 3 ? " ..." : ""})`;

/** Which preset to take instead, as far as that can be told. */
function advice(checkpoint: ForeignCheckpoint, name: string): string {
  const alike = presetsLike(recognise(checkpoint));
  if (alike.includes(name.replace(/_2x$/, "_1x")))
    return "Its parts are this preset's and its sizes are not; --set changes those.";
  if (alike.length === 0) return "Its network is that of no preset; --set changes one (all: sepc models).";
  return `Its network is that of ${alike.join(" or ")}: --preset ${alike[0]}`;
}

/** @throws EngineError STATE_MISMATCH with what is missing or too much, and the preset to take */
export function refuseMisfit(checkpoint: ForeignCheckpoint, name: string, fit: Fit): void {
  const { missing, misshaped } = fit;
  const strays = fit.leftOver.filter((stray) => /^(backbone|neck|bbox_head)\./.test(stray));
  const faults = [
    ...(missing.length > 0 ? [`missing in it: ${some(missing)}`] : []),
    ...(strays.length > 0 ? [`of no place here: ${some(strays)}`] : []),
    ...(misshaped.length > 0 ? [`of another shape: ${some(misshaped)}`] : []),
  ];
  if (faults.length === 0) return;
  throw new EngineError(
    "STATE_MISMATCH",
    `${checkpoint.file} does not fit preset ${name}:\n  ${faults.join("\n  ")}\n${advice(checkpoint, name)}`,
  );
}

/** Networks of RetinaNet and FreeAnchor are alike and their boxes are not: the configuration in the file decides. */
export function refuseOtherDetector(checkpoint: ForeignCheckpoint, name: string, detector: string): void {
  const named = detectorNamed(checkpoint);
  if (named === null || named === detector) return;
  throw new EngineError(
    "STATE_MISMATCH",
    `${checkpoint.file} does not fit preset ${name}: it was trained with ${checkpoint.head}. ${advice(checkpoint, name)}`,
  );
}

/** Version 2 counts a box's width without its last pixel and puts anchors elsewhere; the setting says which is meant. */
export function refuseOtherVersion({ file, version }: ForeignCheckpoint, set: readonly string[]): void {
  const told = set.some((assignment) => assignment.startsWith("model.legacyBoxes="));
  if (told || version === null || /^[01]\./.test(version)) return;
  throw new EngineError(
    "BAD_ARGUMENT",
    `${file}: written by mmdetection ${version}; expected 1.x, whose conventions of boxes are others. For RetinaNet and ` +
      "FreeAnchor --set model.legacyBoxes=false takes it with those of version 2",
  );
}
