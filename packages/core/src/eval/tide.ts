import type { ResultColumns, TruthColumns } from "./columns.js";
import { checkIou, sortByImage } from "./pairs.js";
import { sortByScore } from "./sort.js";
import { absent, type ErrorKind, errorKinds, ImageJudge, ignored, right, wrong } from "./tideJudge.js";
import type { GroundTruth, Result } from "./types.js";

export interface TideOptions {
  readonly type?: "bbox" | "segm" | undefined;
  /** Overlap at which a detection is right; 0.5 unless told. */
  readonly foreground?: number | undefined;
  /** Overlap up to which a detection is of the background; 0.1 unless told. */
  readonly background?: number | undefined;
  /** Detections of an image that count; 100 unless told. */
  readonly maxDets?: number | undefined;
}

/** One kind of error, and what AP would gain without it (0-1). */
export interface ErrorFigure {
  readonly count: number;
  readonly dAP: number;
}

export interface TideErrors {
  /** AP at the foreground's overlap, over classes with objects or detections, 0-1. */
  readonly ap: number;
  readonly foreground: number;
  readonly background: number;
  readonly errors: Readonly<Record<ErrorKind, ErrorFigure>>;
  /** What AP would gain if nothing wrong were found, and if nothing were missed (0-1). */
  readonly special: { readonly falsePositive: ErrorFigure; readonly falseNegative: ErrorFigure };
  /** `[classes]` of each kind, with the class's name; missed objects by theirs, detections by the class they were given. */
  readonly classes: readonly {
    readonly name: string;
    readonly counts: Readonly<Record<ErrorKind, number>>;
  }[];
}

const missed = errorKinds.indexOf("missed");

/** A detection as one world sees it: its class, and whether it is right; null where it is not there. */
type View = (detection: number) => { readonly label: number; readonly right: boolean } | null;

/** Mean AP at 101 recalls; detections in the order of `order`, `objects` of each class to be found. */
function meanAp(order: Int32Array, view: View, objects: Int32Array): number {
  const precision = Array.from(objects, (): number[] => []);
  const falsePositives = new Int32Array(objects.length);
  for (const detection of order) {
    const seen = view(detection);
    if (seen === null) continue;
    const own = precision[seen.label] as number[];
    if (seen.right) own.push((own.length + 1) / (own.length + 1 + (falsePositives[seen.label] as number)));
    else falsePositives[seen.label] = (falsePositives[seen.label] as number) + 1;
  }
  const known = precision.flatMap((own, k): number[] => {
    const count = objects[k] as number;
    if (count === 0) return own.length + (falsePositives[k] as number) > 0 ? [0] : [];
    return [apOf(own, count)];
  });
  return known.length === 0 ? 0 : known.reduce((sum, ap) => sum + ap, 0) / known.length;
}

function apOf(precision: number[], objects: number): number {
  for (let i = precision.length - 1; i > 0; i--)
    if ((precision[i] as number) > (precision[i - 1] as number)) precision[i - 1] = precision[i] as number;
  let sum = 0;
  for (let r = 0, i = 0; r <= 100; r++) {
    while (i < precision.length && (i + 1) / objects < r / 100) i++;
    sum += precision[i] ?? 0;
  }
  return sum / 101;
}

/** AP as it is, without each kind of error, and without what is wrong or missed. */
function worlds({ data, verdict }: ImageJudge) {
  const { resultClass, objectClass, truth, cells } = data;
  const { outcome, kind, target, claimant, taken } = verdict;
  const order = sortByScore(
    cells.results.filter((detection) => outcome[detection] !== absent),
    data.results.score,
  );
  const label = (detection: number): number => resultClass[detection] as number;
  const asIs: View = (detection) =>
    outcome[detection] === ignored ? null : { label: label(detection), right: outcome[detection] === right };
  /** With its error mended a detection has the object it wanted, or is not there. */
  const without =
    (fixed: number): View =>
    (detection) => {
      if (kind[detection] !== fixed) return asIs(detection);
      const object = target[detection] as number;
      if (object < 0 || claimant[object] !== detection) return null;
      return { label: objectClass[object] as number, right: true };
    };
  const countOf = (keep: (object: number) => boolean): Int32Array => {
    const counts = new Int32Array(data.classes.length);
    for (const object of cells.objects)
      if (truth.crowd[object] === 0 && keep(object))
        counts[objectClass[object] as number] = (counts[objectClass[object] as number] as number) + 1;
    return counts;
  };
  const isMissed = (object: number): boolean => taken[object] === 0 && claimant[object] === -1;
  const objects = countOf(() => true);
  const rightOnes = order.filter((detection) => outcome[detection] === right);
  const wrongOnes = order.filter((detection) => outcome[detection] === wrong);
  return {
    ap: meanAp(order, asIs, objects),
    fixed: errorKinds.map((_, i) =>
      i === missed
        ? meanAp(
            order,
            asIs,
            countOf((object) => !isMissed(object)),
          )
        : meanAp(order, without(i), objects),
    ),
    // What is wrong comes after all that is right, as if of score 0.
    rightFirst: meanAp(Int32Array.from([...rightOnes, ...wrongOnes]), asIs, objects),
    nothingMissed: meanAp(
      order,
      asIs,
      countOf((object) => taken[object] === 1),
    ),
    missed: countOf(isMissed),
    unfound: countOf((object) => taken[object] === 0),
    wrong: wrongOnes.length,
  };
}

/**
 * Where AP is lost: TIDE (Bolya et al., ECCV 2020). Every wrong detection and every missed object is of one of six
 * kinds; the gain of a kind is AP with all its errors mended, less AP. A gain below 0, of binning, is given as 0.
 * Equal to the authors' code where no two scores of a class are equal; there detections keep the images' order, then
 * the file's.
 * @throws EntryError at an entry that is not well
 * @throws RangeError for options that make no sense
 */
export function analyseErrors(
  truth: GroundTruth | TruthColumns,
  results: readonly Result[] | ResultColumns,
  { type = "bbox", foreground = 0.5, background = 0.1, maxDets = 100 }: TideOptions = {},
): TideErrors {
  checkIou("foreground", foreground);
  checkIou("background", background);
  if (background >= foreground)
    throw new RangeError(`background: expected less than foreground (${foreground}), got ${background}`);
  const judge = new ImageJudge(sortByImage(truth, results, type), { foreground, background });
  const { cells, classes, resultClass } = judge.data;
  for (let image = 0; image < cells.images; image++) judge.judge(image, maxDets);
  const found = worlds(judge);
  const counts = classes.map((_, k) => {
    const own = new Array<number>(errorKinds.length).fill(0);
    own[missed] = found.missed[k] as number;
    return own;
  });
  for (const detection of cells.results) {
    const kind = judge.verdict.kind[detection] as number;
    const own = counts[resultClass[detection] as number] as number[];
    if (kind >= 0) own[kind] = (own[kind] as number) + 1;
  }
  const record = <T>(of: (kind: number) => T): Record<ErrorKind, T> =>
    Object.fromEntries(errorKinds.map((name, kind) => [name, of(kind)])) as Record<ErrorKind, T>;
  const sum = (values: Iterable<number>): number => [...values].reduce((x, y) => x + y, 0);
  return {
    ap: found.ap,
    foreground,
    background,
    errors: record((kind) => ({
      count: sum(counts.map((own) => own[kind] as number)),
      dAP: Math.max(0, (found.fixed[kind] as number) - found.ap),
    })),
    special: {
      falsePositive: { count: found.wrong, dAP: found.rightFirst - found.ap },
      falseNegative: { count: sum(found.unfound), dAP: found.nothingMissed - found.ap },
    },
    classes: classes.map(({ name }, k) => ({ name, counts: record((kind) => counts[k]?.[kind] as number) })),
  };
}
