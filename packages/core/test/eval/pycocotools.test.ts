// Reference values of pycocotools on the files of ../shared/data/cocoeval.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import {
  type AreaRange,
  areaOf,
  boundsOf,
  type CocoEvaluation,
  decodeCounts,
  type EvalOptions,
  encodeCounts,
  evaluateCoco,
  evaluateVoc,
  type GroundTruth,
  type Result,
  readResults,
  readTruth,
  type Segmentation,
  sharedPixels,
  toRle,
} from "../../src/eval/index.js";
import { bytesOf } from "./bytes.js";

const data = fileURLToPath(new URL("../../../../../shared/data", import.meta.url));
const folder = join(data, "cocoeval", "visible");
const here = existsSync(folder);
const notHere = "needs the reference values in ../shared/data/cocoeval";

interface Params {
  readonly maxDets?: readonly number[];
  readonly areaRng?: readonly (readonly [number, number])[];
  readonly areaRngLbl?: readonly string[];
  readonly useCats?: 0 | 1;
  readonly iouThrs?: readonly number[];
  readonly imgIds?: readonly number[];
  readonly catIds?: readonly number[];
}

interface Expected {
  readonly label: string;
  readonly iouType: "bbox" | "segm";
  readonly params: Params;
  readonly stats: readonly number[];
  readonly stats0_at_last_maxDets?: number;
  readonly per_class?: Readonly<Record<string, { AP: number; AP50: number; AP75: number; AR: number }>>;
  readonly recall_TKAM?: number[][][][];
  readonly precision_TRKAM?: number[][][][][];
  readonly scores_TRKAM?: number[][][][][];
  /** By class id, over all sizes, at the last of maxDets: `[T][R]`. */
  readonly precision_sel?: Readonly<Record<string, number[][]>>;
  readonly scores_sel?: Readonly<Record<string, number[][]>>;
}

interface File {
  readonly gt: string | null;
  readonly gt_inline: GroundTruth | null;
  readonly detections: readonly Result[];
  readonly evals: readonly Expected[];
}

function optionsOf({ iouType, params }: Pick<Expected, "iouType" | "params">): EvalOptions {
  const { areaRng, areaRngLbl } = params;
  return {
    type: iouType,
    maxDets: params.maxDets,
    useCats: params.useCats !== 0,
    iouThresholds: params.iouThrs,
    areas: areaRng?.map(([least, most], i): AreaRange => [areaRngLbl?.[i] ?? `${i}`, least, most]),
    imageIds: params.imgIds,
    categoryIds: params.catIds,
  };
}

interface Primitives {
  readonly annotations: readonly Primitive[];
  readonly random_polygons: readonly Primitive[];
}

interface Primitive {
  readonly size: readonly [number, number];
  readonly segmentation: Segmentation;
  readonly rle_counts: string;
  readonly mask_area: number;
  readonly mask_bbox: readonly number[];
}

const flat = (nested: unknown): number[] => (nested as unknown[]).flat(9) as number[];

function expectClose(found: ArrayLike<number>, wanted: readonly number[], what: string): void {
  expect(found.length, what).toBe(wanted.length);
  for (let i = 0; i < wanted.length; i++) {
    const [a, b] = [found[i] as number, wanted[i] as number];
    if (!(Math.abs(a - b) <= 1e-9)) expect.fail(`${what}[${i}]: expected ${b}, got ${a}`);
  }
}

/** `[T][R]` of one class over all sizes, at the last of maxDets. */
function slice({ curves, params }: CocoEvaluation, id: number, from: Float64Array): number[] {
  const [T, R, K, A, M] = curves.shape;
  const k = params.categoryIds.indexOf(id);
  return Array.from({ length: T * R }, (_, i) => from[(i * K + k) * A * M + M - 1] as number);
}

function expectEvaluation(found: CocoEvaluation, wanted: Expected): void {
  expectClose(found.stats, wanted.stats, `${wanted.label}: stats`);
  if (wanted.stats0_at_last_maxDets !== undefined)
    expectClose([found.ap], [wanted.stats0_at_last_maxDets], `${wanted.label}: AP`);
  for (const [id, figures] of Object.entries(wanted.per_class ?? {})) {
    const own = found.classes.find((one) => one.id === Number(id));
    if (own === undefined) continue; // pooled
    expectClose(
      [own.ap, own.ap50, own.ap75, own.ar],
      [figures.AP, figures.AP50, figures.AP75, figures.AR],
      `${wanted.label}: class ${id}`,
    );
  }
  const { recall, precision, scores } = found.curves;
  if (wanted.recall_TKAM) expectClose(recall, flat(wanted.recall_TKAM), `${wanted.label}: recall`);
  if (wanted.precision_TRKAM)
    expectClose(precision, flat(wanted.precision_TRKAM), `${wanted.label}: precision`);
  if (wanted.scores_TRKAM) expectClose(scores, flat(wanted.scores_TRKAM), `${wanted.label}: scores`);
  for (const [id, table] of Object.entries(wanted.precision_sel ?? {}))
    expectClose(
      slice(found, Number(id), precision),
      flat(table),
      `${wanted.label}: precision of class ${id}`,
    );
  for (const [id, table] of Object.entries(wanted.scores_sel ?? {}))
    expectClose(slice(found, Number(id), scores), flat(table), `${wanted.label}: scores of class ${id}`);
}

const read = (file: string): unknown => JSON.parse(readFileSync(file, "utf8"));
const files = here
  ? readdirSync(folder).filter((name) => name.endsWith(".json") && name !== "INDEX.json")
  : [];

describe.skipIf(!here)(`pycocotools (${notHere})`, () => {
  for (const name of files) {
    const file = read(join(folder, name)) as File & { cases?: unknown };
    if (!Array.isArray(file.evals)) continue;
    test(name, () => {
      const truth = file.gt_inline ?? (read(join(data, file.gt as string)) as GroundTruth);
      for (const wanted of file.evals) {
        // pycocotools refuses polygons; its values are of their run lengths.
        expectEvaluation(evaluateCoco(truth, file.detections, optionsOf(wanted)), wanted);
      }
    });

    test(`${name}, read as bytes come`, () => {
      const truth = file.gt_inline ?? read(join(data, file.gt as string));
      const [wanted] = file.evals as [Expected];
      const columns = readTruth(bytesOf(truth));
      const results = readResults(bytesOf(file.detections));
      expectEvaluation(evaluateCoco(columns, results, optionsOf(wanted)), wanted);
    });
  }

  test("generated data", async () => {
    // The generator lies beside the data.
    const { synth } = (await import(join(data, "cocoeval", "synth", "synth_gen.mjs"))) as {
      synth(params: unknown): { gt: GroundTruth; dts: Result[] };
    };
    const cases = read(join(folder, "synth_small.json")) as {
      params: unknown;
      stats: number[];
      per_class_AP: number[];
    }[];
    for (const { params, stats, per_class_AP } of cases) {
      const { gt, dts } = synth(params);
      const found = evaluateCoco(gt, dts);
      expectClose(found.stats, stats, "stats");
      expectClose(
        found.classes.map(({ ap }) => ap),
        per_class_AP,
        "AP of classes",
      );
    }
  });

  test("overlaps of masks", () => {
    const file = read(join(folder, "mask_primitives.json")) as {
      gt: string;
      iou: { annotation_ids: number[]; iscrowd: number[]; mask_iou_rows_det_cols_gt: number[][] }[];
    };
    const { images, annotations } = read(join(data, file.gt)) as GroundTruth;
    const rleOf = (id: number) => {
      const own = annotations.find((one) => one.id === id) as GroundTruth["annotations"][number];
      const { height, width } = images.find(
        (one) => one.id === own.image_id,
      ) as GroundTruth["images"][number];
      return toRle(own.segmentation as Segmentation, height as number, width as number);
    };
    expect(file.iou.length).toBeGreaterThan(20);
    for (const { annotation_ids, iscrowd, mask_iou_rows_det_cols_gt } of file.iou) {
      const rles = annotation_ids.map(rleOf);
      const found = rles.map((a) =>
        rles.map((b, i) => {
          const shared = sharedPixels(a, b);
          return shared / (iscrowd[i] === 1 ? areaOf(a) : areaOf(a) + areaOf(b) - shared);
        }),
      );
      expectClose(flat(found), flat(mask_iou_rows_det_cols_gt), "overlaps");
    }
  });

  test.each(["bccd_good", "bccd_poor"])("VOC's AP of %s", (name) => {
    const { results, gt } = read(join(folder, "voc_ap", `${name}.json`)) as {
      gt: string;
      results: Record<string, Record<string, { AP11: number; AP_all: number; tp: number; fp: number }>>;
    };
    const { detections } = read(join(folder, `${name}.json`)) as File;
    const truth = read(join(data, gt)) as GroundTruth;
    for (const [label, classes] of Object.entries(results)) {
      const options = { iou: Number(label.split(">=")[1]), wholePixels: label.startsWith("pixel+1") };
      const found = evaluateVoc(truth, detections, options);
      expectClose([found.ap11, found.ap], [classes.mAP11, classes.mAP_all] as never, label);
      for (const own of found.classes) {
        const { AP11, AP_all, tp, fp } = classes[own.name] as (typeof classes)[string];
        expectClose([own.ap11, own.ap], [AP11, AP_all], `${label}: ${own.name}`);
        expect([own.truePositives, own.falsePositives]).toEqual([tp, fp]);
      }
    }
  });

  test("tiny random cases", () => {
    const { cases } = read(join(folder, "tiny_fuzz.json")) as {
      cases: {
        gt: GroundTruth;
        detections: Result[];
        params: Params;
        stats: number[];
        recall_TKAM: unknown;
      }[];
    };
    expect(cases.length).toBeGreaterThan(20);
    for (const [i, { gt, detections, params, stats, recall_TKAM }] of cases.entries()) {
      const found = evaluateCoco(gt, detections, optionsOf({ iouType: "bbox", params }));
      expectClose(found.stats, stats, `case ${i}: stats`);
      expectClose(found.curves.recall, flat(recall_TKAM), `case ${i}: recall`);
    }
  });

  test("the COCO authors' own results, boxes and masks", () => {
    const official = join(data, "cocoeval", "official");
    const truth = read(join(official, "instances_val2014_100.json")) as GroundTruth;
    const expected = read(join(official, "expected.json")) as Record<"bbox" | "segm", Expected>;
    for (const type of ["bbox", "segm"] as const) {
      const results = read(join(official, `instances_val2014_fake${type}100_results.json`)) as Result[];
      expectEvaluation(evaluateCoco(truth, results, optionsOf(expected[type])), expected[type]);
    }
  });

  test("masks: polygons and run lengths, areas, boxes, text", () => {
    const file = read(join(folder, "mask_primitives.json")) as Primitives;
    const all = [...file.annotations, ...file.random_polygons];
    expect(all.length).toBe(108);
    for (const { size, segmentation, rle_counts, mask_area, mask_bbox } of all) {
      const rle = toRle(segmentation, size[0], size[1]);
      expect(encodeCounts(rle.counts)).toBe(rle_counts);
      expect([...decodeCounts(rle_counts)]).toEqual([...rle.counts]);
      expect(areaOf(rle)).toBe(mask_area);
      expect(boundsOf(rle)).toEqual(mask_bbox);
    }
  });
});
