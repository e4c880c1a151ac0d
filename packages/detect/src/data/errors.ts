/** Errors of the data layer are the engine's, taken without libtorch: pictures are read where there is none. */
export { check, EngineError, type EngineErrorCode } from "@sepc/engine/errors";
