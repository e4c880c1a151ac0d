/** What went wrong, for programs; the message is for people. */
export type EngineErrorCode =
  | "BAD_ARGUMENT" // a value of the wrong type or range, found before libtorch was asked
  | "FREED" // use of a tensor or generator after it was freed
  | "OP_FAILED" // libtorch refused the call
  | "OUT_OF_MEMORY"
  | "SCOPE_ASYNC" // scope() was given an asynchronous function
  | "NO_OPERATOR" // this libtorch has no operator of that name
  | "NO_LIBTORCH" // the addon or libtorch was not found or would not load
  | "LIBRARY" // an operator library would not load
  | "DISTRIBUTED" // a collective failed or timed out
  | "FILE" // a file could not be read or written
  | "FILE_TRUNCATED"
  | "SAFETENSORS_INVALID"
  | "PYTORCH_INVALID"
  | "PYTORCH_UNSAFE"
  | "STATE_MISMATCH"; // a state dict does not fit the module

/** Every error this package throws on purpose. `code` is stable; `cause` holds the native error where there is one. */
export class EngineError extends Error {
  override readonly name = "EngineError";

  constructor(
    readonly code: EngineErrorCode,
    message: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }
}

/** Throws BAD_ARGUMENT unless `condition` holds. */
export function check(condition: boolean, message: () => string): asserts condition {
  if (!condition) throw new EngineError("BAD_ARGUMENT", message());
}

/** libtorch's message without what only its authors need: lists of all its backends, places in its sources. */
function readable(message: string): string {
  const noKernel = /^Could not run '(.*?)' with arguments from the '(\w+)' backend\./.exec(message);
  if (noKernel === null) return message.replace(/^\[enforce fail at [^\]]*\] [^.]*\. /, "");
  const [, operator, backend] = noKernel;
  const hint = backend === "CUDA" ? " (cudaDeviceCount() says how many CUDA devices can be used)" : "";
  return `could not run '${operator}' with arguments from the '${backend}' backend: this libtorch has no kernel for it there${hint}`;
}

/** What the addon threw as an {@link EngineError}; `what` names the function or operator that it is about. */
export function engineError(cause: unknown, what?: string, appendix = ""): EngineError {
  // Node-API itself refuses arguments of the wrong type without a code.
  const { code = "BAD_ARGUMENT", message } = cause as { code?: EngineErrorCode; message: string };
  const text = `${readable(message)}${appendix}`;
  return new EngineError(code, what === undefined ? text : `${what}: ${text}`, { cause });
}
