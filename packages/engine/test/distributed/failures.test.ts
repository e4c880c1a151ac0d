import { createServer, type Socket } from "node:net";
import { describe, expect, test } from "vitest";
import { freePort, startRank, startRanks, wordsOf } from "./ranks.js";

interface Failure {
  readonly name: string;
  readonly code: string;
  readonly message: string;
  readonly ms: number;
}

const ended = async (scenario: string, env: Record<string, string> = {}) => {
  const ranks = await startRanks(scenario, 2, env);
  const all = await Promise.all(ranks.map((rank) => rank.ended));
  for (const { code, errors } of all)
    expect({ code, errors: code === 0 ? "" : errors }).toEqual({ code: 0, errors: "" });
  return all.map(wordsOf);
};

describe("a rank that is gone", () => {
  test("killed while another waits for it: an error at once, and for every call after it", async () => {
    const [first, second] = await startRanks("killed", 2);
    await Promise.all([second?.heard("ready"), first?.heard("waiting")]);
    second?.process.kill("SIGKILL");
    const end = await first?.ended;
    expect(end).toMatchObject({ code: 0, signal: null });
    const said = wordsOf(end as NonNullable<typeof end>) as { first: Failure; second: Failure };
    expect(said.first).toMatchObject({ name: "EngineError", code: "DISTRIBUTED" });
    expect(said.first.message).toMatch(/^allReduce \(rank 0 of 2, gloo\): another rank has ended/);
    expect(said.first.ms).toBeLessThan(10_000);
    expect(said.second.message).toMatch(/^barrier .*failed before.*Destroy it/);
  });

  test.each(["", "1"])("killed in the middle of the traffic (blocking calls: %j)", async (sync) => {
    const [first, second] = await startRanks("killedMiddle", 2, { TEST_SYNC: sync });
    await Promise.all([first?.heard("going"), second?.heard("going")]);
    first?.process.kill("SIGKILL");
    const end = await second?.ended;
    expect(end).toMatchObject({ code: 0, signal: null });
    expect(wordsOf(end as NonNullable<typeof end>).error).toMatchObject({ code: "DISTRIBUTED" });
  });

  test("stopped: an error after the time-out, while the event loop turns", async () => {
    const [first, second] = await startRanks("stopped", 2, { TEST_TIMEOUT: "2" });
    await Promise.all([first?.heard("listening"), second?.heard("ready")]);
    second?.process.kill("SIGSTOP");
    first?.process.kill("SIGUSR2");
    const end = await first?.ended;
    second?.process.kill("SIGKILL");
    expect(end).toMatchObject({ code: 0, signal: null });
    const said = wordsOf(end as NonNullable<typeof end>) as { error: Failure; turns: number };
    expect(said.error.code).toBe("DISTRIBUTED");
    expect(said.error.ms).toBeGreaterThan(1000);
    expect(said.error.ms).toBeLessThan(12_000);
    expect(said.turns).toBeGreaterThan(20);
  });

  test("started again: the others make a new group with it", async () => {
    const ranks = await startRanks("recovers", 2);
    const [first, second] = ranks;
    const { env } = (await second?.heard("env")) as { env: Record<string, string> };
    await second?.heard("ready");
    second?.process.kill("SIGKILL");
    await first?.heard("again");
    const again = startRank("recovers", { ...env, TEST_AGAIN: "1" });
    const [a, b] = await Promise.all([first?.ended, again.ended]);
    expect([a?.code, b?.code]).toEqual([0, 0]);
    expect(a && wordsOf(a).x).toBe(2);
  });
});

describe("a rank that never comes", () => {
  test.each([
    ["0", /waited 2 s at 127\.0\.0\.1:\d+ for these ranks, which did not come: 1/],
    ["1", /rank 0 was not found at 127\.0\.0\.1:\d+ \(MASTER_ADDR, MASTER_PORT\)/],
  ])("rank %s alone gives up after the time-out", async (rank, message) => {
    const child = startRank("lonely", {
      MASTER_ADDR: "127.0.0.1",
      MASTER_PORT: String(await freePort()),
      WORLD_SIZE: "2",
      RANK: rank,
      TEST_TIMEOUT: "2",
    });
    const end = await child.ended;
    expect(end).toMatchObject({ code: 0, signal: null });
    const said = wordsOf(end) as { error: Failure; turns: number; current: null };
    expect(said.error).toMatchObject({ name: "EngineError", code: "DISTRIBUTED" });
    expect(said.error.message).toMatch(message);
    expect(said.error.ms).toBeLessThan(12_000);
    expect(said.turns).toBeGreaterThan(20);
    expect(said.current).toBeNull();
  });

  /** A service of this machine that has nothing to do with the group. */
  async function stranger(): Promise<{ port: number; close(): void }> {
    const sockets: Socket[] = [];
    const server = createServer((socket) => void sockets.push(socket.on("error", () => {})));
    const port = await new Promise<number>((resolve) =>
      server.listen(0, () => resolve((server.address() as { port: number }).port)),
    );
    const close = () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    };
    return { port, close };
  }

  test.each([
    ["0", /cannot serve at MASTER_PORT \d+/],
    ["1", /no answer at 127\.0\.0\.1:\d+ within 2 s|was not found at/],
  ])("rank %s finds a stranger at the port", async (rank, message) => {
    const other = await stranger();
    const env = { MASTER_ADDR: "127.0.0.1", MASTER_PORT: String(other.port), WORLD_SIZE: "2" };
    const end = await startRank("lonely", { ...env, RANK: rank, TEST_TIMEOUT: "2" }).ended;
    other.close();
    expect(end).toMatchObject({ code: 0, signal: null });
    const { error } = wordsOf(end) as { error: Failure };
    expect(error).toMatchObject({ code: "DISTRIBUTED" });
    expect(error.message).toMatch(message);
    expect(error.ms).toBeLessThan(12_000);
  });
});

describe("ranks that ask for different things", () => {
  test("all get an error that says so, and the group goes on", async () => {
    for (const said of await ended("mismatch")) {
      for (const what of ["shape", "dtype", "call", "op", "root", "count"]) {
        expect({ [what]: said[what] }).toMatchObject({
          [what]: { code: "DISTRIBUTED", message: expect.stringMatching(/the ranks disagree/) },
        });
      }
      expect((said.shape as Failure).message).toMatch(
        /float32 \[2, 1\].*float32 \[2, 2\]|float32 \[2, 2\].*float32 \[2, 1\]/,
      );
      expect((said.call as Failure).message).toMatch(/barrier/);
      expect(said.after).toEqual([2, 2]);
    }
  });
});

describe("wrong use", () => {
  test("is refused with what was expected", async () => {
    for (const said of await ended("wrong")) {
      expect(said).toMatchObject({
        freed: { code: "FREED" },
        op: {
          code: "BAD_ARGUMENT",
          message: expect.stringMatching(/"sum", "mean", "max" or "min", got product/),
        },
        mean: { code: "BAD_ARGUMENT", message: expect.stringMatching(/floating point.*int64/) },
        bool: { code: "BAD_ARGUMENT", message: expect.stringMatching(/bool; use "max" for any/) },
        root: { code: "BAD_ARGUMENT", message: expect.stringMatching(/root from 0 to 1, got 2/) },
        tensor: { code: "BAD_ARGUMENT", message: expect.stringMatching(/expected a tensor/) },
        list: { code: "BAD_ARGUMENT", message: expect.stringMatching(/expected an array of tensors/) },
        bucket: { code: "BAD_ARGUMENT", message: expect.stringMatching(/bucketBytes above 0/) },
        twice: { code: "DISTRIBUTED", message: expect.stringMatching(/already has a process group/) },
        after: { code: "DISTRIBUTED", message: expect.stringMatching(/has been destroyed/) },
        afterSync: { code: "DISTRIBUTED", message: expect.stringMatching(/has been destroyed/) },
        current: null,
      });
    }
  });
});

describe("leaving with a group alive", () => {
  test.each(["", "exit", "pending", "destroying", "throw"])("%j ends cleanly", async (how) => {
    const ranks = await startRanks("leave", 2, { TEST_LEAVE: how });
    const all = await Promise.all(ranks.map((rank) => rank.ended));
    for (const end of all) {
      expect(end.signal).toBeNull();
      expect(end.code).toBe(how === "throw" ? 1 : 0);
      expect(end.took).toBeLessThan(15_000);
    }
  });
});
