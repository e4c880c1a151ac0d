import type { Tensor } from "@sepc/engine";
import { CenternessHead, type CenternessOutput } from "../../models/heads/centerness.js";

export interface FcosHeadConfig {
  readonly channels: number;
  readonly classes: number;
  readonly strides: readonly number[];
  readonly normalised: boolean;
  readonly centernessOnBox: boolean;
}

/** FCOS's predictions; its box maps are distances in pixels. */
export class FcosHead extends CenternessHead {
  constructor(readonly config: FcosHeadConfig) {
    super({ ...config, levels: config.strides.length });
  }

  /** Features of a level, [N, C, H, W] each -> its maps. */
  override forward(cls: Tensor, box: Tensor, level: number): CenternessOutput {
    const { normalised, strides } = this.config;
    const raw = super.forward(cls, box, level);
    return { ...raw, box: normalised ? raw.box.relu().mul(strides[level] as number) : raw.box.exp() };
  }
}
