// Clients of an HTTP server that finds objects: good ones, and each kind of bad one.
import { Agent, request } from "node:http";
import { connect, type Socket } from "node:net";

export interface Target {
  readonly host: string;
  readonly port: number;
}

/** What a client met, by status or by how the connection ended. */
export class Tally {
  readonly counts = new Map<string, number>();

  add(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }

  get(what: string): number {
    return this.counts.get(what) ?? 0;
  }

  toString(): string {
    return [...this.counts].map(([what, count]) => `${what}: ${count}`).join(", ") || "nothing ended";
  }
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** The status of the answer; a connection that ended without one is "lost", one that never began "no server". */
function ask(target: Target, agent: Agent, picture: Buffer, query: string): Promise<string> {
  return new Promise((resolve) => {
    const sending = request(
      {
        ...target,
        agent,
        method: "POST",
        path: `/v1/detect${query}`,
        headers: { "content-type": "image/jpeg", "content-length": picture.length },
      },
      (answer) => {
        const parts: Buffer[] = [];
        answer.on("data", (part: Buffer) => parts.push(part));
        answer.on("error", () => resolve("lost"));
        answer.on("end", () => {
          const isWhole =
            answer.statusCode !== 200 ||
            query !== "" ||
            Array.isArray((JSON.parse(Buffer.concat(parts).toString()) as { objects?: unknown }).objects);
          resolve(isWhole ? String(answer.statusCode) : "wrong answer");
        });
      },
    );
    sending.on("error", (error: NodeJS.ErrnoException) =>
      resolve(error.code === "ECONNREFUSED" ? "no server" : "lost"),
    );
    sending.end(picture);
  });
}

export interface GoodResult {
  readonly tally: Tally;
  /** Milliseconds of answered requests. */
  readonly latencies: number[];
}

export interface GoodOptions {
  readonly count: number;
  readonly until: () => boolean;
  /** Whether the server was told to stop: what begins after that may be reset by the system, unseen by the server. */
  readonly isStopping?: () => boolean;
  readonly drawnEvery?: number;
}

/** Clients that send one picture after the other until told to stop; one in `drawnEvery` asks for a drawn picture. */
export async function goodClients(
  target: Target,
  pictures: readonly Buffer[],
  { count, until, isStopping = () => false, drawnEvery = 20 }: GoodOptions,
): Promise<GoodResult> {
  const agent = new Agent({ keepAlive: true, maxSockets: count });
  const tally = new Tally();
  const latencies: number[] = [];
  const client = async (first: number): Promise<void> => {
    for (let turn = first; !until(); turn++) {
      const start = performance.now();
      const isLate = isStopping();
      const query = turn % drawnEvery === 0 ? "?draw=1" : "";
      const got = await ask(target, agent, pictures[turn % pictures.length] as Buffer, query);
      tally.add(isLate && got === "lost" ? "reset after the stop" : got);
      if (got === "200") latencies.push(performance.now() - start);
      else await pause(got === "429" ? 200 : 20);
    }
  };
  await Promise.all(Array.from({ length: count }, (_, i) => client(i * 7)));
  agent.destroy();
  return { tally, latencies };
}

/** One bad request; what it met. */
type Misdeed = (open: () => Talk) => Promise<string>;

/** A raw connection. */
class Talk {
  #text = "";
  readonly socket: Socket;
  /** The status, or how it ended. */
  readonly end: Promise<string>;

  constructor({ host, port }: Target) {
    this.socket = connect(port, host);
    this.socket.setEncoding("latin1");
    this.socket.on("data", (part: string) => {
      this.#text += this.#text.length < 1000 ? part : "";
    });
    this.socket.on("error", () => {});
    this.end = new Promise((resolve) =>
      this.socket.on("close", () =>
        resolve(/^HTTP\/1.1 (\d+)/.exec(this.#text)?.[1] ?? "closed without answer"),
      ),
    );
  }

  send(data: string | Buffer): this {
    this.socket.write(data);
    return this;
  }

  /** Sends again and again until the connection ends. */
  async repeat(data: string | Buffer, everyMs: number): Promise<string> {
    const timer = setInterval(() => this.socket.writable && this.send(data), everyMs);
    return this.end.finally(() => clearInterval(timer));
  }

  async leave(afterMs: number): Promise<string> {
    await pause(afterMs);
    this.socket.destroy();
    await this.end;
    return "left";
  }
}

const head = (length: number | "chunked", more = ""): string =>
  `POST /v1/detect HTTP/1.1\r\nhost: x\r\ncontent-type: image/jpeg\r\n${
    length === "chunked" ? "transfer-encoding: chunked" : `content-length: ${length}`
  }\r\n${more}\r\n`;
const last = "connection: close\r\n";

/** By name: what a bad client does. */
function misdeeds(picture: Buffer, bomb: Buffer): Readonly<Record<string, Misdeed>> {
  const piece = Buffer.from(`4000\r\n${"x".repeat(0x4000)}\r\n`);
  const torn = picture.subarray(0, picture.length >> 1);
  return {
    "slow head": (open) => open().send("POST /v1/detect HTTP/1.1\r\nx: ").repeat("y", 200),
    "slow body": (open) => open().send(head(picture.length)).repeat("z", 200),
    "too large, says so": (open) => open().send(head(5e7, last)).repeat(piece, 20),
    "too large, on the way": (open) => open().send(head("chunked", last)).repeat(piece, 1),
    "leaves in its body": (open) => open().send(head(picture.length)).send(torn).leave(20),
    "leaves before its answer": (open) => {
      const wait = 40 * Math.random();
      return open().send(head(picture.length)).send(picture).leave(wait);
    },
    "torn picture": (open) => open().send(head(torn.length, last)).send(torn).end,
    "decompression bomb": (open) => open().send(head(bomb.length, last)).send(bomb).end,
    "wrong type": (open) => open().send(head(9, last)).send("no jpeg\r\n").end,
    "no HTTP": (open) => open().send("\x16\x03\x01\x02\r\n\r\n").end,
    "takes no answer": (open) => {
      const talk = open();
      talk.socket.pause();
      return talk.send(head(picture.length, "accept: image/png\r\n")).send(picture).leave(2000);
    },
  };
}

/** Runs `count` of each kind of bad client until told to stop; what each kind met. */
export async function badClients(
  target: Target,
  picture: Buffer,
  bomb: Buffer,
  { count, until }: { count: number; until: () => boolean },
): Promise<ReadonlyMap<string, Tally>> {
  const open = new Set<Talk>();
  const begin = (): Talk => {
    const talk = new Talk(target);
    open.add(talk);
    void talk.end.then(() => open.delete(talk));
    return talk;
  };
  const tallies = new Map<string, Tally>();
  const one = async (misdeed: Misdeed, tally: Tally): Promise<void> => {
    while (!until()) {
      const met = await misdeed(begin);
      if (!until()) tally.add(met);
      await pause(50);
    }
  };
  const all = Object.entries(misdeeds(picture, bomb)).flatMap(([name, misdeed]) => {
    const tally = new Tally();
    tallies.set(name, tally);
    return Array.from({ length: count }, () => one(misdeed, tally));
  });
  const watch = setInterval(() => {
    if (until()) for (const { socket } of open) socket.destroy();
  }, 100);
  await Promise.all(all);
  clearInterval(watch);
  return tallies;
}
