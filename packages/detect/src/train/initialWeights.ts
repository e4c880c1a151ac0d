import { existsSync } from "node:fs";
import { EngineError, io, scope, type Tensor } from "@sepc/engine";
import type { DetectorNetwork } from "../detectors/index.js";

/** What came of loading weights of another network. */
export interface WeightsReport {
  readonly from: string;
  readonly loaded: number;
  /** Ours that the file does not have: they start fresh. */
  readonly missing: readonly string[];
  /** The file's that fit nothing here, as the ImageNet classifier. */
  readonly unused: readonly string[];
  readonly misshaped: readonly string[];
}

/** Parts of a name that other software puts before the backbone's own. */
const prefixes = /^(module\.|backbone\.|model\.)+/;

function readWeights(path: string): Map<string, Tensor> {
  if (!existsSync(path)) throw new EngineError("FILE", `weights ${path}: there is no such file`);
  return path.endsWith(".safetensors") ? io.readSafetensors(path).tensors : io.readStateDict(path);
}

/**
 * Starts a detector from a file: a backbone trained on ImageNet (torchvision's names, .pth or .safetensors), or a whole
 * detector's checkpoint, of which everything that fits is taken.
 * @throws EngineError when nothing of it fits.
 */
export function loadInitialWeights(detector: DetectorNetwork, path: string): WeightsReport {
  return scope(() => {
    const dict = readWeights(path);
    const whole = [...dict.keys()].some((name) => name.startsWith("model/"));
    const named = new Map(
      [...dict].flatMap(([name, tensor]) => {
        if (whole) return name.startsWith("model/") ? [[name.slice(6), tensor] as const] : [];
        return [[`backbone.${name.replace(prefixes, "")}`, tensor] as const];
      }),
    );
    const { loaded, missing, unexpected, misshaped } = detector.loadPartial(named);
    if (loaded.length === 0) {
      const [first] = dict.keys();
      throw new EngineError(
        "STATE_MISMATCH",
        `weights ${path}: none of its ${dict.size} tensors fits (its first is "${first}"); expected a ResNet with torchvision's names or a checkpoint of sepc train`,
      );
    }
    const own = missing.filter((name) => !whole && name.startsWith("backbone."));
    return {
      from: path,
      loaded: loaded.length,
      missing: whole ? missing : own,
      unused: unexpected,
      misshaped,
    };
  });
}
