import { nn, optim } from "@sepc/engine";
import type { RunConfig } from "./config.js";

type ScheduleConfig = RunConfig["schedule"];

const isNorm = (module: nn.Module): module is nn.BatchNorm2d | nn.GroupNorm =>
  module instanceof nn.BatchNorm2d || module instanceof nn.GroupNorm;

/** Biases of all but normalisations, whose own are no less a scale of the features than their weights. */
function biasesOf(module: nn.Module): Set<nn.Parameter> {
  const norms = [...module.namedModules()].flatMap(([, part]) => (isNorm(part) ? [part.bias] : []));
  const named = [...module.namedParameters()].filter(([name]) => /(^|\.)bias$/.test(name));
  return new Set(named.map(([, parameter]) => parameter).filter((parameter) => !norms.includes(parameter)));
}

/** What trains, in one group, or biases in one of their own where they train otherwise (mmdetection's FCOS). */
function groupsOf(config: ScheduleConfig, module: nn.Module): optim.ParamGroup<RateAndDecay>[] {
  const { lr, weightDecay, biasFactors: factors } = config;
  const params = module.parameters().filter((parameter) => parameter.requiresGrad);
  if (factors.lr === 1 && factors.weightDecay === 1) return [{ params }];
  const biases = biasesOf(module);
  const options = { lr: lr * factors.lr, weightDecay: weightDecay * factors.weightDecay };
  return [
    { params: params.filter((parameter) => !biases.has(parameter)) },
    { params: params.filter((parameter) => biases.has(parameter)), options },
  ].filter((group) => group.params.length > 0);
}

interface RateAndDecay {
  lr: number;
  weightDecay: number;
}

/** The optimiser that a configuration asks for, over what trains. */
export function buildOptimizer(config: ScheduleConfig, module: nn.Module): optim.SGD | optim.AdamW {
  const groups = groupsOf(config, module);
  const { lr, momentum, weightDecay } = config;
  return config.optimizer === "sgd"
    ? new optim.SGD(groups, { lr, momentum, weightDecay })
    : new optim.AdamW(groups, { lr, weightDecay });
}

/** Factor on the learning rate at each step: warm-up, then steps or a cosine. */
export function buildSchedule(config: ScheduleConfig, stepsPerEpoch: number): optim.Schedule {
  const { epochs, milestones, gamma, shape, warmup } = config;
  const main =
    shape === "cosine"
      ? optim.cosineSchedule(epochs * stepsPerEpoch, 0.01)
      : optim.multiStepSchedule(
          milestones.map((epoch) => epoch * stepsPerEpoch),
          gamma,
        );
  if (warmup.steps === 0) return main;
  const rise = warmup.shape === "linear" ? optim.linearWarmup : optim.constantWarmup;
  return optim.product(rise(warmup.steps, warmup.from), main);
}
