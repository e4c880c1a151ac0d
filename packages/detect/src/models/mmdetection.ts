// Names in mmdetection 1.x's state dicts, the official SEPC code's among them, of what one-stage detectors share.
import { nameFromOfficial } from "./necks/sepc/weights.js";
import { nameFromHead } from "./necks/towers/weights.js";

/** Patterns of their names and what stands in their place in ours; the first that fits counts. */
export type Renames = readonly (readonly [theirs: RegExp, ours: string])[];

/** Before version 1.0 a bottleneck's offsets were beside its convolution. */
const BACKBONE: Renames = [[/\.conv2_offset\./, ".conv2.conv_offset."]];

const NECK: Renames = [[/^neck\.(?:0\.)?(lateral_convs|fpn_convs)\.(\d+)\.conv\./, "neck.$1.$2."]];

function renamed(name: string, renames: Renames): string | null {
  const rename = renames.find(([theirs]) => theirs.test(name));
  return rename === undefined ? null : name.replace(rename[0], rename[1]);
}

const inTower = (name: string | null): string | null => (name === null ? null : `tower.${name}`);

/**
 * What turns mmdetection's names of a one-stage detector into ours; null for those that have none.
 * @param predictions the detector's own: of the convolutions that end its head
 */
export function namesFromMmdetection(predictions: Renames): (name: string) => string | null {
  return (name) => {
    if (name.startsWith("backbone.")) return renamed(name, BACKBONE) ?? name;
    if (name.startsWith("neck.1.")) return inTower(nameFromOfficial(name.slice("neck.1.".length)));
    const own = renamed(name, predictions) ?? renamed(name, NECK);
    if (own !== null || !name.startsWith("bbox_head.")) return own;
    return inTower(nameFromHead(name.slice("bbox_head.".length)));
  };
}
