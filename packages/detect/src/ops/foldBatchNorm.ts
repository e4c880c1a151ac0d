import { nn, noGrad, scope, type Tensor } from "@sepc/engine";

/** y = scale · x + shift for each channel, float64 [C]. */
export interface ChannelAffine {
  readonly scale: Tensor;
  readonly shift: Tensor;
}

/** A module that knows how to take its normalisation into its convolutions. */
export interface FoldsNorm {
  /** After it the module computes, in evaluation, what it computed before, without normalising. */
  foldNorm(): void;
}

/** What a batch normalisation does in evaluation; null where it has no running statistics. */
export function affineOf(bn: nn.BatchNorm2d): ChannelAffine | null {
  const { runningMean, runningVar, weight, bias } = bn;
  if (runningMean === null || runningVar === null) return null;
  return scope(() =>
    noGrad(() => {
      const wide = ({ tensor }: { readonly tensor: Tensor }): Tensor => tensor.to({ dtype: "float64" });
      const deviation = wide(runningVar)
        .add(bn.config.eps ?? 1e-5)
        .sqrt();
      const scale = weight === null ? deviation.reciprocal() : wide(weight).div(deviation);
      const shift = wide(runningMean).mul(scale).neg();
      return { scale, shift: bias === null ? shift : shift.add(wide(bias)) };
    }),
  );
}

/**
 * The weight [O, ...] and bias [O] of a convolution whose outputs are scaled and, unless `shift` is null, shifted.
 * Computed in float64, returned in the weight's type.
 */
export function scaledConv(
  weight: Tensor,
  bias: Tensor | null,
  { scale, shift }: { readonly scale: Tensor; readonly shift: Tensor | null },
): { weight: Tensor; bias: Tensor | null } {
  return scope(() =>
    noGrad(() => {
      const { dtype, ndim } = weight;
      const rows = scale.reshape([-1, ...Array<number>(ndim - 1).fill(1)]);
      const scaled = weight.to({ dtype: "float64" }).mul(rows).to({ dtype });
      const biases = bias?.to({ dtype: "float64" }).mul(scale) ?? null;
      const shifted = biases === null ? shift : shift === null ? biases : biases.add(shift);
      return { weight: scaled, bias: shifted?.to({ dtype }) ?? null };
    }),
  );
}

/** A convolution of another kind that takes an affine map of its outputs into its kernel. */
interface Absorbs {
  absorb(affine: ChannelAffine): void;
}

const absorbs = (value: unknown): value is Absorbs =>
  value instanceof nn.Module && typeof (value as Partial<Absorbs>).absorb === "function";

/** Stands where a normalisation stood. */
class Identity extends nn.Layer {
  forward(x: Tensor): Tensor {
    return x;
  }
}

function foldedConv(conv: nn.Conv2d, affine: ChannelAffine): nn.Conv2d {
  const { dtype, device } = conv.weight.tensor;
  const folded = new nn.Conv2d({ ...conv.config, bias: true, dtype, device: device as "cpu" });
  const { weight, bias } = scaledConv(conv.weight.tensor, conv.bias?.tensor ?? null, affine);
  folded.weight.tensor = weight;
  (folded.bias as nn.Parameter).tensor = bias as Tensor;
  conv.free();
  return folded.eval();
}

/** Folds each field `bn…` into the field `conv…` of the same ending: the one normalises what the other makes. */
function foldPairs(module: nn.Module): void {
  const fields = module as unknown as Record<string, unknown>;
  for (const [field, bn] of Object.entries(fields)) {
    const name = /^bn(.*)$/.exec(field)?.[1];
    const conv = name === undefined ? undefined : fields[`conv${name}`];
    if (!(bn instanceof nn.BatchNorm2d) || !(conv instanceof nn.Conv2d || absorbs(conv))) continue;
    const affine = affineOf(bn);
    if (affine === null) continue;
    if (conv instanceof nn.Conv2d) fields[`conv${name}`] = foldedConv(conv, affine);
    else conv.absorb(affine);
    fields[field] = new Identity().eval();
    bn.free();
    affine.scale.free();
    affine.shift.free();
  }
}

const folds = (module: nn.Module): module is nn.Module & FoldsNorm =>
  typeof (module as Partial<FoldsNorm>).foldNorm === "function";

/**
 * Puts a network into evaluation and takes every batch normalisation whose statistics are one for all that its
 * convolution makes, iBN included (section 3.3), into the weights and biases of that convolution. The network changes
 * in place and then only predicts; what it predicts stays the same but for rounding. Group normalisation, and batch
 * normalisation of levels that share a convolution but not their statistics, stay as they are.
 */
export function foldBatchNorm<M extends nn.Module>(network: M): M {
  network.eval().freeze();
  for (const [, module] of [...network.namedModules()]) {
    if (folds(module)) module.foldNorm();
    else foldPairs(module);
  }
  return network.freeze();
}
