/** One level of a feature pyramid, known before anything runs: heads and necks are sized from it. */
export interface Level {
  /** "c3", "p3" ... */
  readonly name: string;
  readonly channels: number;
  /** Pixels of the image from one cell to the next. */
  readonly stride: number;
}
