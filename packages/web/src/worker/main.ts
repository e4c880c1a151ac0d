import type { CallName, Calls, Question, Reply } from "../protocol.js";
import { Detection } from "./detection.js";

const detection = new Detection();

const calls: { readonly [K in CallName]: (ask: Calls[K]["ask"]) => Promise<Calls[K]["answer"]> } = {
  load: (ask) => detection.load(ask),
  detect: (ask) => detection.detect(ask),
  heat: async (ask) => detection.heat(ask),
  taps: async (ask) => detection.taps(ask),
};

/** What is handed over rather than copied. */
const transfers = (answer: Calls[CallName]["answer"]): Transferable[] =>
  "picture" in answer ? [answer.picture] : "extent" in answer ? [answer.values.buffer] : [];

self.addEventListener("message", ({ data }: MessageEvent<Question>) => {
  const { id, name, ask } = data;
  const call = calls[name] as (ask: Question["ask"]) => Promise<Calls[CallName]["answer"]>;
  call(ask).then(
    (answer) => self.postMessage({ id, answer } satisfies Reply, { transfer: transfers(answer) }),
    (error: unknown) => {
      const fault = error instanceof Error ? error.message : String(error);
      self.postMessage({ id, fault } satisfies Reply);
    },
  );
});
