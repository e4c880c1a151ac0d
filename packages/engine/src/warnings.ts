import { loadError, native } from "./native.js";

/** Of operators that this package calls and that its tests hold to their meaning: news for nobody. */
const silenced = [/^scatter_reduce\(\) is in beta/];

/**
 * What libtorch warns of comes as Node's own warnings, each text once for a thread: `process.on("warning")` sees it,
 * `--no-warnings` silences it, `--trace-warnings` shows the call that caused it.
 */
if (loadError === null)
  native.onWarning((message) => {
    if (silenced.some((known) => known.test(message))) return;
    process.emitWarning(message, { type: "LibtorchWarning", code: "LIBTORCH" });
  });
