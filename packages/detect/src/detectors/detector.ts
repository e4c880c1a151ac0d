import type { DecodeSpec } from "@sepc/core";
import { nn, type Tensor } from "@sepc/engine";
import type { CandidateTensors } from "../models/heads/select.js";

/** What is to be found in one picture of a batch. */
export interface Truth {
  /** [G, 4] in pixels of the network's input */
  readonly boxes: Tensor;
  /** int64 [G], from 0 */
  readonly labels: Tensor;
  /** [I, 4]: crowds, which count neither way */
  readonly ignored: Tensor | null;
  /** Height and width in pixels of the picture in the network's input. */
  readonly size: readonly [number, number];
  /** The same of the picture padded to the input's multiple, before it was padded to the largest of its batch. */
  readonly padded: readonly [number, number];
}

/** Losses by name, scalars; training minimises the sum of those whose name starts with "loss". */
export type Losses = Readonly<Record<string, Tensor>>;

/** A network that finds objects, with all that training and use need of it. `Raw` is what its forward pass returns. */
export abstract class DetectorNetwork<Raw = unknown> extends nn.Module {
  /** How candidates become boxes: plain data, which travels with the weights. */
  abstract readonly decodeSpec: DecodeSpec;

  /** [N, 3, H, W], normalised; H and W divisible by the coarsest stride or not. */
  abstract forward(images: Tensor): Raw;

  abstract losses(raw: Raw, truths: readonly Truth[]): Losses;

  abstract candidates(raw: Raw): CandidateTensors;
}
