import type { Tensor } from "../tensor.js";
import { Module } from "./module.js";

/** A module that takes one tensor and gives one. */
export abstract class Layer extends Module {
  abstract forward(x: Tensor): Tensor;
}
