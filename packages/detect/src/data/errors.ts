/** Errors of the data layer are the engine's; all files of it take them from here. */
export { check, EngineError, type EngineErrorCode } from "@sepc/engine";
