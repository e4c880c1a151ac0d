import type { OffsetView } from "@sepc/core";

/** One of the kernels whose sum is a cell of a level. */
export interface KernelPart {
  readonly output: string;
  /** As "reads p4". */
  readonly reads: string;
}

export interface KernelLevel {
  readonly level: string;
  readonly parts: readonly KernelPart[];
}

/** A convolution with deformable kernels: of one level, or over the pyramid, where several kernels give one level. */
export interface KernelGroup {
  readonly name: string;
  readonly levels: readonly KernelLevel[];
}

const levelOf = (stride: number): string => `p${Math.log2(stride)}`;

const names: readonly (readonly [RegExp, (number: number) => string])[] = [
  [/clsConv\.conv$/, () => "last convolution of the class branch"],
  [/boxConv\.conv$/, () => "last convolution of the box branch"],
  [/boxPconvs\.(\d+)$/, (number) => `pyramid convolution ${number} of the box branch`],
  [/pconvs\.(\d+)$/, (number) => `pyramid convolution ${number}`],
  [/cls\.convs\.(\d+)$/, (number) => `convolution ${number} of the class branch`],
  [/box\.convs\.(\d+)$/, (number) => `convolution ${number} of the box branch`],
];

function nameOf(kernel: string): string {
  for (const [pattern, words] of names) {
    const found = pattern.exec(kernel);
    if (found !== null) return words(Number(found[1] ?? 0) + 1);
  }
  return kernel;
}

/** A kernel's name without its place in a pyramid convolution, and that place. */
function split(kernel: string): { readonly group: string; readonly place: number | null } {
  const [, group, place] = /^(.*)\.kernels\.(\d+)$/.exec(kernel) ?? [];
  return group === undefined ? { group: kernel, place: null } : { group, place: Number(place) };
}

/**
 * The stride of the level that a kernel's result is added to. In a pyramid convolution the kernel in the middle reads
 * the level itself; those before it read coarser levels, whose results are enlarged.
 */
function targetStride({ kernel, stride }: OffsetView, kernels: number): number {
  const { place } = split(kernel);
  if (place === null) return stride;
  const coarser = (kernels - 1) / 2 - place;
  return coarser > 0 ? stride / 2 ** coarser : stride;
}

/** Views of offsets as a reader of the paper looks for them: by convolution, then by the level that it gives. */
export function kernelGroups(views: readonly OffsetView[]): KernelGroup[] {
  const groups = new Map<string, OffsetView[]>();
  for (const view of views) {
    const { group } = split(view.kernel);
    groups.set(group, [...(groups.get(group) ?? []), view]);
  }
  return [...groups].map(([group, members]) => {
    const kernels = 1 + Math.max(...members.map(({ kernel }) => split(kernel).place ?? 0));
    const strides = [...new Set(members.map((view) => targetStride(view, kernels)))].sort((a, b) => a - b);
    const levels = strides.map((target) => ({
      level: levelOf(target),
      parts: members
        .filter((view) => targetStride(view, kernels) === target)
        .sort((a, b) => a.readStride - b.readStride)
        .map(({ output, readStride }) => ({ output, reads: `reads ${levelOf(readStride)}` })),
    }));
    return { name: nameOf(group), levels };
  });
}
