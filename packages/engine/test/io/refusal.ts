import { expect } from "vitest";
import { EngineError, io, liveTensors } from "../../src/index.js";

/** Code and message of the error for such a file; no tensor may be left of it. */
export function refusal(bytes: Uint8Array, options?: io.ReadPyTorchOptions): string {
  const before = liveTensors();
  try {
    io.parsePyTorch(bytes, options);
  } catch (error) {
    expect(liveTensors()).toEqual(before);
    if (error instanceof EngineError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return "nothing thrown";
}
