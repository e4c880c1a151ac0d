import { networkInterfaces } from "node:os";
import { describe, expect, test } from "vitest";
import { placeOf } from "../../src/distributed/environment.js";
import { init, initSync, isAvailable } from "../../src/distributed/index.js";

const env = {
  MASTER_ADDR: "127.0.0.1",
  MASTER_PORT: "29500",
  RANK: "1",
  WORLD_SIZE: "4",
  LOCAL_RANK: "0",
};

describe("where a process stands", () => {
  test("comes from the standard variables", () => {
    expect(placeOf({ env })).toEqual({
      backend: "gloo",
      rank: 1,
      worldSize: 4,
      localRank: 0,
      masterAddr: "127.0.0.1",
      masterPort: 29500,
      timeout: 1800,
      check: true,
      launcherServes: false,
      restart: "0",
      interfaces: [],
    });
  });

  test("options go before variables", () => {
    const place = placeOf({ env, rank: 3, worldSize: 5, localRank: 2, masterAddr: "head", masterPort: 1234 });
    expect(place).toMatchObject({
      rank: 3,
      worldSize: 5,
      localRank: 2,
      masterAddr: "head",
      masterPort: 1234,
    });
  });

  test("without LOCAL_RANK all ranks are taken to be on one machine", () => {
    expect(placeOf({ env: { ...env, LOCAL_RANK: undefined } }).localRank).toBe(1);
  });

  test("torchrun's store and restarts, and Gloo's interfaces", () => {
    const more = { TORCHELASTIC_USE_AGENT_STORE: "True", TORCHELASTIC_RESTART_COUNT: "2" };
    const names = Object.keys(networkInterfaces());
    const place = placeOf({ env: { ...env, ...more, GLOO_SOCKET_IFNAME: names.join(",") } });
    expect(place).toMatchObject({ launcherServes: true, restart: "2", interfaces: names });
  });

  test.each(["MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE"])("names %s when it is missing", (name) => {
    const rest = { ...env, [name]: undefined };
    expect(() => placeOf({ env: rest })).toThrow(expect.objectContaining({ code: "BAD_ARGUMENT" }));
    expect(() => placeOf({ env: rest })).toThrow(new RegExp(`expected ${name} .*not set`));
  });

  test.each([
    ["RANK", "4", /expected RANK .* from 0 to 3 .*got "4"/],
    ["RANK", "-1", /expected RANK .*got "-1"/],
    ["RANK", "one", /expected RANK .*got "one"/],
    ["WORLD_SIZE", "0", /expected WORLD_SIZE .*got "0"/],
    ["WORLD_SIZE", "1.5", /expected WORLD_SIZE .*got "1.5"/],
    ["MASTER_PORT", "65536", /expected MASTER_PORT .*got "65536"/],
    ["MASTER_PORT", "http", /expected MASTER_PORT .*got "http"/],
    ["MASTER_ADDR", "a b", /expected MASTER_ADDR .*got "a b"/],
    ["GLOO_SOCKET_IFNAME", "none0", /expected GLOO_SOCKET_IFNAME .*got "none0"/],
    ["LOCAL_RANK", "4", /expected LOCAL_RANK .*got "4"/],
  ])("refuses %s=%s", (name, value, message) => {
    expect(() => placeOf({ env: { ...env, [name]: value } })).toThrow(message);
  });

  test("refuses wrong options", () => {
    expect(() => placeOf({ env, rank: 1.5 })).toThrow(/option rank.*got 1.5/);
    expect(() => placeOf({ env, timeout: 0 })).toThrow(/timeout in seconds.*got 0/);
    expect(() => placeOf({ env, timeout: Number.NaN })).toThrow(/got NaN/);
    expect(() => placeOf({ env, backend: "mpi" as "gloo" })).toThrow(/"gloo" or "nccl", got "mpi"/);
  });
});

describe("init", () => {
  test("rejects for a wrong environment, and can be called again", async () => {
    for (let i = 0; i < 2; i++) await expect(init({ env: {} })).rejects.toThrow(/WORLD_SIZE.*not set/);
    expect(() => initSync({ env: {} })).toThrow(/WORLD_SIZE.*not set/);
  });

  test("says why NCCL cannot be used where there is no GPU", async () => {
    if (isAvailable("nccl")) await expect(init({ backend: "nccl", env })).rejects.toThrow(/CUDA device/);
    else await expect(init({ backend: "nccl", env })).rejects.toThrow(/backend "gloo"/);
  });
});
