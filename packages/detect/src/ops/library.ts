import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { EngineError, loadLibrary, type Op, op } from "@sepc/engine";

const record = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "build", "current.json");
let opened = false;

/**
 * Opens this package's operator library, once. Its operators do so themselves; ask for it where only its kernels of
 * libtorch's own operators are wanted (shapes on the device "meta").
 * @throws EngineError LIBRARY when it has not been built.
 */
export function openOperators(): void {
  if (opened) return;
  if (!existsSync(record)) {
    throw new EngineError(
      "LIBRARY",
      `the operator library has not been built (no ${record}); run \`npx sepc setup\``,
    );
  }
  loadLibrary((JSON.parse(readFileSync(record, "utf8")) as { addon: string }).addon);
  opened = true;
}

/** An operator of this package's own library (`sepc::name`), opened when first asked for. */
export function ownOp(name: string): Op {
  let found: Op | undefined;
  const call = (...values: Parameters<Op>): ReturnType<Op> => {
    if (found === undefined) {
      openOperators();
      found = op(`sepc::${name}`);
    }
    return found(...values);
  };
  return Object.defineProperty(call, "schema", {
    get: () => {
      openOperators();
      return op(`sepc::${name}`).schema;
    },
  }) as Op;
}
