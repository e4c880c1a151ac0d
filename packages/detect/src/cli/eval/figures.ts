import {
  analyseErrors,
  type CocoEvaluation,
  type Confusion,
  confusionMatrix,
  evaluateCoco,
  evaluateVoc,
  type PrecisionRecall,
  precisionRecall,
  type ResultColumns,
  type TideErrors,
  type TruthColumns,
  type VocEvaluation,
} from "@sepc/core/eval";
import { EngineError } from "../../data/errors.js";

/** What is asked for besides COCO's figures. */
export interface FigureOptions {
  readonly type: "bbox" | "segm";
  readonly maxDets: readonly number[];
  readonly useCats: boolean;
  /** Names or ids; all unless told. */
  readonly classes?: readonly string[] | undefined;
  readonly voc: boolean;
  readonly errors: boolean;
  readonly confusion: boolean;
  /** Least score and overlap of the confusion matrix; the overlap also of VOC's figures. */
  readonly score: number;
  readonly iou: number;
}

export interface Figures {
  readonly coco: CocoEvaluation;
  readonly voc?: VocEvaluation | undefined;
  readonly errors?: TideErrors | undefined;
  readonly confusion?: Confusion | undefined;
}

type Categories = TruthColumns["categories"];

/** Classes by name or id. */
function classesNamed(wanted: readonly string[], categories: Categories): Categories {
  return wanted.map((text) => {
    const found =
      categories.find(({ name }) => name === text) ?? categories.find(({ id }) => String(id) === text);
    if (found !== undefined) return found;
    const names = categories.map(({ name }) => name);
    const some = names.length > 12 ? [...names.slice(0, 12), "..."] : names;
    throw new EngineError("BAD_ARGUMENT", `--classes: expected some of ${some.join(", ")}; got "${text}"`);
  });
}

/** All figures that are asked for. */
export function figuresOf(truth: TruthColumns, found: ResultColumns, options: FigureOptions): Figures {
  const { type, maxDets, useCats, score, iou } = options;
  const categories = options.classes && classesNamed(options.classes, truth.categories);
  const coco = evaluateCoco(truth, found, {
    type,
    maxDets,
    useCats,
    categoryIds: categories?.map(({ id }) => id),
  });
  const asked = categories ? { ...truth, categories } : truth;
  return {
    coco,
    voc: options.voc ? evaluateVoc(asked, found, { iou }) : undefined,
    errors: options.errors ? analyseErrors(asked, found, { type }) : undefined,
    confusion: options.confusion ? confusionMatrix(asked, found, { type, score, iou }) : undefined,
  };
}

/** Seconds of the parts of an evaluation. */
export interface Timings {
  readonly read: number;
  readonly evaluate: number;
  readonly total: number;
}

/** What `--json` prints. */
export function asJson({ coco, voc, errors, confusion }: Figures, timings: Timings) {
  const { stats, ap, classes, sizes, counts, params } = coco;
  const { type, maxDets, useCats } = params;
  return { stats, ap, classes, sizes, counts, type, maxDets, useCats, timings, voc, errors, confusion };
}

/** Precision-recall curves of all classes at all overlaps. */
export const curvesOf = ({ coco }: Figures): PrecisionRecall[] =>
  coco.params.iouThresholds.flatMap((iou) => precisionRecall(coco, iou));
