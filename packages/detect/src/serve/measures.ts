import { Counter, exposition, Gauge, Histogram } from "./metrics.js";

const seconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** Parts of a request's time: its body's arrival, decoding, waiting for a batch, the network, drawing. */
export type Stage = "receive" | "decode" | "wait" | "infer" | "draw";

/** What became of an accepted picture; every accepted one ends as exactly one of these. */
export type Outcome = "done" | "broken" | "timed out" | "client gone" | "failed";

/** What is read from other parts of the server when metrics are asked for. */
export interface Readings {
  readonly queueLength: () => number;
  readonly queueLimit: number;
  readonly heldBytes: () => number;
  readonly connections: () => number;
  readonly model: string;
}

function processGauges(): Gauge[] {
  const started = Date.now() / 1000 - process.uptime();
  const cpu = (): number => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  };
  return [
    new Gauge("process_resident_memory_bytes", "Resident memory.", () => process.memoryUsage.rss()),
    new Gauge("process_cpu_seconds_total", "Time of all cores.", cpu, {}, "counter"),
    new Gauge("process_start_time_seconds", "Since 1970.", () => started),
    new Gauge("nodejs_heap_size_used_bytes", "JavaScript's heap of the HTTP thread.", () => {
      return process.memoryUsage().heapUsed;
    }),
    new Gauge("nodejs_external_memory_bytes", "Buffers of the HTTP thread.", () => {
      return process.memoryUsage().external;
    }),
  ];
}

/** The server's own counts, for Prometheus. */
export class Measures {
  readonly requests = new Counter("sepc_http_requests_total", "Requests by route and status.");
  readonly dropped = new Counter("sepc_dropped_connections_total", "Connections cut off, by reason.");
  readonly accepted = new Counter("sepc_pictures_accepted_total", "Pictures that entered the queue.");
  readonly pictures = new Counter("sepc_pictures_total", "Accepted pictures by what became of them.");
  readonly batchSize = new Histogram(
    "sepc_batch_size",
    "Pictures in a call of the network.",
    [1, 2, 4, 8, 16, 32, 64],
  );
  readonly stages = new Histogram("sepc_stage_seconds", "Time of pictures by stage.", seconds);
  readonly latency = new Histogram("sepc_request_seconds", "From head to answer, by route.", seconds);
  /** Requests whose answers have not been taken yet. */
  inProgress = 0;

  stage(stage: Stage, milliseconds: number): void {
    this.stages.observe(milliseconds / 1000, { stage });
  }

  outcome(outcome: Outcome): void {
    this.pictures.add({ outcome });
  }

  /** Prometheus's text. */
  text({ queueLength, queueLimit, heldBytes, connections, model }: Readings): string {
    return exposition([
      this.requests,
      this.dropped,
      this.accepted,
      this.pictures,
      this.batchSize,
      this.stages,
      this.latency,
      new Gauge("sepc_requests_in_progress", "Requests under way.", () => this.inProgress),
      new Gauge("sepc_queue_length", "Pictures accepted and not yet with the network.", queueLength),
      new Gauge("sepc_queue_limit", "Most pictures in the queue.", () => queueLimit),
      new Gauge("sepc_held_bytes", "Bytes of bodies in memory.", heldBytes),
      new Gauge("sepc_connections", "Open connections.", connections),
      new Gauge("sepc_model_info", "1, with the model's name.", () => 1, { model }),
      ...processGauges(),
    ]);
  }
}
