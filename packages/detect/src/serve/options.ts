/** Limits and habits of the server. Times are in milliseconds. */
export interface ServeOptions {
  readonly host: string;
  /** 0 takes any free one. */
  readonly port: number;
  /** Most pictures in one call of the network. */
  readonly maxBatch: number;
  /** How long a decoded picture waits for others to share a batch with. */
  readonly maxWaitMs: number;
  /** Most pictures accepted and not yet with the network; beyond it requests get 429. */
  readonly queue: number;
  /** Of one request's body. */
  readonly maxBytes: number;
  /** Of one picture. */
  readonly maxPixels: number;
  /** For a request to arrive whole, and again from then to its answer. */
  readonly timeoutMs: number;
  /** Least score of objects in answers, unless the request asks otherwise. */
  readonly score: number;
  /** Lowest that a request may ask for: every candidate counts in suppression, for all pictures of a batch. */
  readonly leastScore: number;
  /** Bytes of bodies in memory, of all requests together; beyond it requests get 429. */
  readonly heldBytes: number;
  readonly connections: number;
  /** For a request's head to arrive. */
  readonly headMs: number;
  /** Longest pause within a request's body. */
  readonly pauseMs: number;
  /** For a client to take its answer. */
  readonly writeMs: number;
  /** When stopping, after twice the timeout: what is unfinished then is cut off. */
  readonly graceMs: number;
  /** How much longer than the timeout a batch may take before the server calls itself unwell. */
  readonly stuckMs: number;
  /** Called with one line of JSON for each request. */
  readonly log?: ((line: string) => void) | undefined;
  /** Called with failures of the server itself. */
  readonly warn: (message: string) => void;
}

export const defaultOptions: ServeOptions = {
  host: "127.0.0.1",
  port: 8080,
  maxBatch: 8,
  maxWaitMs: 5,
  queue: 64,
  maxBytes: 20e6,
  maxPixels: 50e6,
  timeoutMs: 30_000,
  score: 0.3,
  leastScore: 0.05,
  heldBytes: 256e6,
  connections: 1024,
  headMs: 10_000,
  pauseMs: 10_000,
  writeMs: 30_000,
  graceMs: 5_000,
  stuckMs: 60_000,
  warn: (message) => void process.stderr.write(`${message}\n`),
};

/** Most objects of a picture that a request may ask for, and how many it gets unless it asks. */
export const mostObjects = 1000;
export const usualObjects = 100;
