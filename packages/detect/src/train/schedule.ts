import { type nn, optim } from "@sepc/engine";
import type { RunConfig } from "./config.js";

type ScheduleConfig = RunConfig["schedule"];

/** The optimiser that a configuration asks for, over what trains. */
export function buildOptimizer(config: ScheduleConfig, module: nn.Module): optim.SGD | optim.AdamW {
  const params = module.parameters().filter((parameter) => parameter.requiresGrad);
  const { lr, momentum, weightDecay } = config;
  return config.optimizer === "sgd"
    ? new optim.SGD(params, { lr, momentum, weightDecay })
    : new optim.AdamW(params, { lr, weightDecay });
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
