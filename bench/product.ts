// Parts of the product that its packages do not export, and the input that benchmarks of exported models share.

/** A compiled module of the detection package, `detectors/index` say; to be cast to its type. */
export const part = (path: string): Promise<unknown> =>
  import(new URL(`../../packages/detect/dist/${path}.js`, import.meta.url).href);

/** An exported model's input of this size, ImageNet's means and deviations. */
export const inputOf = (height: number, width: number) =>
  ({
    scale: [Math.max(height, width), Math.min(height, width)],
    sizeDivisor: 32,
    mean: [123.675, 116.28, 103.53],
    std: [58.395, 57.12, 57.375],
    channels: "rgb",
  }) as const;
