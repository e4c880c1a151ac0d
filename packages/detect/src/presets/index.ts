import { EngineError } from "@sepc/engine";
import type { TowerChoice } from "../detectors/schema.js";
import { parseRunConfig, type RunConfig, type RunConfigInput } from "../train/config.js";

/** Head towers by the names that presets carry. */
export const TOWERS = {
  fpn: { kind: "plain" },
  pconv: { kind: "pconv" },
  "pconv-ibn": { kind: "pconv", norm: "integrated" },
  "sepc-lite": { kind: "sepc-lite", norm: "integrated" },
  sepc: { kind: "sepc", norm: "integrated" },
  dcn: { kind: "deformable" },
} as const satisfies Record<string, Partial<TowerChoice> & Pick<TowerChoice, "kind">>;

export type TowerName = keyof typeof TOWERS;

/** Dai et al. 2017, as in the paper's Tables 1 and 3. */
const DEFORMABLE = { deformableStages: ["c3", "c4", "c5"] } as const;

const BACKBONES = {
  r18: { depth: 18 },
  r34: { depth: 34 },
  r50: { depth: 50 },
  "r50-caffe": { depth: 50, style: "caffe" },
  r101: { depth: 101 },
  "x101-32x4d": { depth: 101, groups: 32, widthPerGroup: 4 },
  "x101-64x4d": { depth: 101, groups: 64, widthPerGroup: 4 },
  "r50-dcn": { depth: 50, ...DEFORMABLE },
  "r101-dcn": { depth: 101, ...DEFORMABLE },
  "x101-64x4d-dcn": { depth: 101, groups: 64, widthPerGroup: 4, ...DEFORMABLE },
} as const;

type BackboneName = keyof typeof BACKBONES;

/** What weights of the Caffe style (MSRA, Detectron) were trained with: BGR from 0 to 255, less the mean. */
const CAFFE_INPUT = { channels: "bgr", mean: [103.939, 116.779, 123.68], std: [1, 1, 1] } as const;

const inputOf = (backbone: BackboneName): object => (backbone === "r50-caffe" ? CAFFE_INPUT : {});

const WEIGHTS: Readonly<Record<BackboneName, string>> = {
  r18: "resnet18",
  r34: "resnet34",
  r50: "resnet50",
  "r50-caffe": "scratch",
  r101: "resnet101",
  "x101-32x4d": "scratch",
  "x101-64x4d": "resnext101_64x4d",
  "r50-dcn": "resnet50",
  "r101-dcn": "resnet101",
  "x101-64x4d-dcn": "resnext101_64x4d",
};

/** 12 epochs (1x) and 24 with scale jitter (2x), as the paper's Tables 1 and 3; rates are for 16 pictures a step. */
const SCHEDULES = {
  "1x": { epochs: 12, milestones: [8, 11], scales: [[1333, 800]], draw: "value" },
  "2x": {
    epochs: 24,
    milestones: [16, 22],
    scales: [
      [1333, 640],
      [1333, 800],
    ],
    draw: "range",
  },
} as const;

type ScheduleName = keyof typeof SCHEDULES;

/** The paper's best detector (Table 3) trains with shorter sides from 480 to 960 pixels. */
const WIDE_SCALES = [
  [1333, 480],
  [1333, 960],
] as const;

const scalesOf = (backbone: BackboneName, schedule: ScheduleName): readonly (readonly [number, number])[] =>
  backbone === "x101-64x4d-dcn" && schedule === "2x" ? WIDE_SCALES : SCHEDULES[schedule].scales;

/** Where detectors differ in the papers' settings. */
const DETECTORS = {
  retinanet: { model: {}, schedule: { clip: 35 } },
  freeanchor: { model: {}, schedule: { clip: 35 } },
  fsaf: { model: {}, schedule: { clip: 10 } },
  fcos: {
    model: {},
    schedule: {
      clip: null,
      warmup: { steps: 500, from: 1 / 3, shape: "constant" },
      biasFactors: { lr: 2, weightDecay: 0 },
    },
  },
  atss: { model: {}, schedule: { clip: 35 } },
  reppoints: { model: {}, schedule: { clip: 35 } },
} as const satisfies Record<string, { model: object; schedule: Partial<RunConfigInput["schedule"]> }>;

type DetectorName = keyof typeof DETECTORS;

/** Detectors whose plain tower is normalised by groups. */
const GROUPED: ReadonlySet<DetectorName> = new Set(["fcos", "atss", "reppoints"]);

/** RepPoints stacks three convolutions before its own, the others four. */
function towerOf(detector: DetectorName, tower: TowerName): object {
  const norm = tower === "fpn" && GROUPED.has(detector) ? { norm: "group" } : {};
  const depth = detector === "reppoints" ? { depth: 3 } : {};
  return { ...TOWERS[tower], ...norm, ...depth };
}

function paperPreset(
  detector: DetectorName,
  backbone: BackboneName,
  tower: TowerName,
  schedule: ScheduleName,
): RunConfigInput {
  const { epochs, milestones, draw } = SCHEDULES[schedule];
  const scales = scalesOf(backbone, schedule);
  const own = DETECTORS[detector];
  return {
    model: {
      detector,
      backbone: BACKBONES[backbone],
      tower: towerOf(detector, tower),
      ...own.model,
    } as never,
    input: {
      scales: scales.map(([long, short]) => [long, short]),
      draw,
      testScale: [1333, 800],
      ...inputOf(backbone),
    },
    schedule: { epochs, milestones: [...milestones], lr: 0.01, batchSize: 16, ...own.schedule },
    weights: WEIGHTS[backbone],
  };
}

/** Where the best settings for few pictures are not the paper's: the improved FCOS does not starve small objects. */
const SMALL: Partial<Record<DetectorName, object>> = {
  fcos: { centerRadius: 1.5, normalised: true, centernessOnBox: true, boxLoss: "giou" },
};

/** For a few hundred pictures and a processor: a narrow ResNet-18 with normalised towers, from scratch. */
function smallPreset(detector: DetectorName, tower: TowerName): RunConfigInput {
  const choice = TOWERS[tower];
  return {
    model: {
      detector,
      backbone: { depth: 18, width: 32, frozenStages: 0, normEval: false },
      neck: { channels: 64 },
      tower: { norm: "integrated", ...choice, depth: 2 },
      postprocess: { scoreThreshold: 0.05 },
      ...SMALL[detector],
    } as never,
    input: { scales: [[480, 480]], photometric: 0.5, crop: 0.3 },
    schedule: {
      epochs: 40,
      shape: "cosine",
      optimizer: "adamw",
      lr: 1e-3,
      weightDecay: 0.05,
      batchSize: 4,
      warmup: { steps: 100, from: 0.1 },
      clip: 10,
      ema: 0.998,
    },
    evaluateEvery: 10,
  };
}

/** For a few hundred pictures, from ImageNet weights: the whole detector, in smaller pictures and less than an hour. */
function finetunePreset(
  detector: DetectorName,
  backbone: "r50" | "r50-caffe",
  tower: TowerName,
): RunConfigInput {
  return {
    model: { detector, backbone: BACKBONES[backbone], tower: towerOf(detector, tower) } as never,
    input: { scales: [[512, 512]], photometric: 0.5, crop: 0.3, ...inputOf(backbone) },
    schedule: {
      epochs: 12,
      shape: "cosine",
      optimizer: "adamw",
      lr: 2e-4,
      weightDecay: 0.05,
      batchSize: 4,
      warmup: { steps: 50, from: 0.1 },
      clip: 10,
      ema: 0.99,
    },
    weights: WEIGHTS[backbone],
    evaluateEvery: 4,
  };
}

/** For `npm run demo`: learns simple shapes in minutes, and is good for nothing else. */
function demoPreset(): RunConfigInput {
  return {
    model: {
      detector: "retinanet",
      backbone: { depth: 18, width: 16, frozenStages: 0, normEval: false },
      neck: { channels: 48 },
      tower: { ...TOWERS["sepc-lite"], depth: 1 },
      // Shapes of 20 to 120 pixels, as wide as high: the usual anchors begin at 32.
      anchors: { base: 2, ratios: [1] },
    } as never,
    input: { scales: [[192, 192]] },
    schedule: {
      epochs: 3,
      shape: "cosine",
      optimizer: "adamw",
      lr: 3e-3,
      weightDecay: 0.05,
      batchSize: 8,
      warmup: { steps: 200, from: 0.1 },
      clip: 10,
      ema: 0.99,
    },
    evaluateEvery: 1,
  };
}

const makers = new Map<string, () => RunConfigInput>();
makers.set("retinanet_demo_sepc-lite", demoPreset);
const towers = Object.keys(TOWERS) as TowerName[];
for (const detector of Object.keys(DETECTORS) as DetectorName[]) {
  for (const tower of towers) {
    makers.set(`${detector}_small_${tower}`, () => smallPreset(detector, tower));
    for (const backbone of ["r50", "r50-caffe"] as const)
      makers.set(`${detector}_${backbone}_${tower}_finetune`, () =>
        finetunePreset(detector, backbone, tower),
      );
  }
  for (const backbone of Object.keys(BACKBONES) as BackboneName[])
    for (const tower of towers)
      for (const schedule of Object.keys(SCHEDULES) as ScheduleName[])
        makers.set(`${detector}_${backbone}_${tower}_${schedule}`, () =>
          paperPreset(detector, backbone, tower, schedule),
        );
}

export const presetNames: readonly string[] = [...makers.keys()];

/** Names that share most letters in a row with a misspelt one. */
export function nearestPresets(name: string): string[] {
  const parts = name.split(/[_-]/);
  const score = (candidate: string): number => parts.filter((part) => candidate.includes(part)).length;
  return [...presetNames].sort((a, b) => score(b) - score(a)).slice(0, 3);
}

/**
 * A complete configuration by name: `retinanet_r50_sepc-lite_1x`.
 * @throws EngineError BAD_ARGUMENT naming the nearest presets.
 */
export function preset(name: string): RunConfig {
  const make = makers.get(name);
  if (make === undefined) {
    throw new EngineError(
      "BAD_ARGUMENT",
      `preset "${name}": there is none of that name; nearest: ${nearestPresets(name).join(", ")} (all: sepc models)`,
    );
  }
  return parseRunConfig(make(), `preset ${name}`);
}

type Plain = Readonly<Record<string, unknown>>;

const isPlain = (value: unknown): value is Plain =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Values of `over` in place of those of `under`, objects entry by entry; lists are replaced whole. */
function merged(under: Plain, over: Plain): Plain {
  const entries = Object.entries(over).map(([key, value]) => {
    const own = Object.hasOwn(under, key) ? under[key] : undefined;
    return [key, isPlain(own) && isPlain(value) ? merged(own, value) : value] as const;
  });
  return { ...under, ...Object.fromEntries(entries) };
}

type Changes<T> = T extends readonly unknown[] | null
  ? T
  : T extends object
    ? { readonly [K in keyof T]?: Changes<T[K]> }
    : T;

/** What a configuration file may hold: a whole configuration, or the name of a preset and what differs from it. */
export type ConfigFile = RunConfigInput | ({ readonly preset: string } & Changes<RunConfigInput>);

/**
 * A raw configuration over the preset that its field `preset` names; without one, itself.
 * @throws EngineError BAD_ARGUMENT naming the nearest presets when there is none of that name
 */
export function withPreset(raw: unknown): unknown {
  if (!isPlain(raw) || raw.preset === undefined) return raw;
  const { preset: name, ...changes } = raw;
  return merged(preset(String(name)), changes);
}
