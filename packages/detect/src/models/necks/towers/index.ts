import { nn, type Tensor } from "@sepc/engine";
import type { PyramidNormKind } from "../sepc/pyramidNorm.js";
import { Sepc } from "../sepc/sepc.js";
import { ConvStack } from "./plain.js";

/** The part of a head between the pyramid and the predictions. */
export interface TowerConfig {
  /**
   * plain: RetinaNet's convolutions; deformable: the same with deformable kernels (section 5.1.3); pconv, sepc-lite and
   * sepc: pyramid convolutions, with deformable kernels in none, the last of each branch, or all.
   */
  readonly kind: "plain" | "deformable" | "pconv" | "sepc-lite" | "sepc";
  /** Stacked convolutions; 4 unless told. */
  readonly depth?: number | undefined;
  readonly norm?: PyramidNormKind | undefined;
  /** Whether pyramid convolutions serve both branches (Figure 5b) or each has its own (Figure 5a). */
  readonly branches?: "combined" | "separate" | undefined;
  readonly scaleKernel?: number | undefined;
  readonly extraPadding?: 0 | 1 | undefined;
}

/** Features of both branches, level by level, each [N, C, H_l, W_l]. */
export interface TowerOutput {
  readonly cls: Tensor[];
  readonly box: Tensor[];
}

export abstract class Tower extends nn.Module {
  abstract forward(levels: readonly Tensor[]): TowerOutput;
}

export interface TowerInput {
  readonly channels: number;
  readonly levels: number;
}

class PlainTower extends Tower {
  readonly cls: ConvStack;
  readonly box: ConvStack;

  constructor({ kind, depth = 4, norm = "none" }: TowerConfig, input: TowerInput) {
    super();
    const config = { ...input, depth, norm, deformable: kind === "deformable" };
    this.cls = new ConvStack(config);
    this.box = new ConvStack(config);
  }

  forward(levels: readonly Tensor[]): TowerOutput {
    return { cls: this.cls.forward(levels), box: this.box.forward(levels) };
  }
}

const deforms = { pconv: "none", "sepc-lite": "extra", sepc: "all" } as const;

class PyramidTower extends Tower {
  readonly sepc: Sepc;

  constructor(config: TowerConfig & { readonly kind: keyof typeof deforms }, input: TowerInput) {
    super();
    const { kind, depth, norm, branches, scaleKernel, extraPadding } = config;
    this.sepc = new Sepc({
      ...input,
      pconvs: depth,
      norm,
      branches,
      scaleKernel,
      extraPadding,
      deform: deforms[kind],
    });
  }

  protected override fieldNames(): Record<string, string> {
    return { sepc: "" };
  }

  forward(levels: readonly Tensor[]): TowerOutput {
    const features = this.sepc.forward(levels);
    return { cls: features.map(({ cls }) => cls), box: features.map(({ box }) => box) };
  }
}

export function buildTower(config: TowerConfig, input: TowerInput): Tower {
  const { kind } = config;
  if (kind === "plain" || kind === "deformable") return new PlainTower(config, input);
  return new PyramidTower({ ...config, kind }, input);
}
