/** What came of a run of detection. */
export interface Told {
  readonly objects: number;
  /** Pictures, or frames of videos. */
  readonly pictures: number;
  readonly broken: number;
}
