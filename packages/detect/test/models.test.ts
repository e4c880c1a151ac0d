import { describe, expect, test } from "vitest";
import { countFlops } from "../src/analysis/flops.js";
import { ModelCosts } from "../src/analysis/modelCosts.js";
import { preset, presetNames } from "../src/presets/index.js";
import { sepcHere as sepc } from "./support/command.js";

describe("costs of many models", () => {
  test("are those of each alone, whatever was counted before", () => {
    const size = [800, 1344] as const;
    const costs = new ModelCosts(size);
    const names = [
      "retinanet_r50_sepc-lite_1x",
      "reppoints_r101-dcn_sepc_2x",
      "fcos_r18_fpn_1x",
      "reppoints_small_dcn",
      "fcos_r101-dcn_fpn_1x",
      "retinanet_r101_sepc-lite_1x",
      "reppoints_r50_sepc_2x",
    ];
    for (const name of names) {
      const { parameters, multiplyAdds } = countFlops(preset(name).model, { size });
      expect(costs.of(preset(name).model), name).toEqual({ parameters, multiplyAdds });
    }
  });
});

describe("sepc models", () => {
  test("lists presets with their costs and the AP that the paper reports", async () => {
    const { code, out } = await sepc("models", "retinanet_r50_sepc-lite", "--json");
    expect(code).toBe(0);
    const rows = JSON.parse(out) as { name: string }[];
    expect(rows.find(({ name }) => name === "retinanet_r50_sepc-lite_1x")).toMatchObject({
      parameters: expect.closeTo(41.6e6, -5),
      multiplyAdds: expect.closeTo(251.2e9, -8),
      paperAp: 38.8,
    });
    const table = await sepc("models", "retinanet_demo");
    expect(table.out).toMatch(/^preset +M params.*\nretinanet_demo_sepc-lite +\d+\.\d +\d+\.\d\b/);
  });

  test("lists all names, and says which are near one that there is not", async () => {
    expect((await sepc("models", "--names")).out.trim().split("\n")).toEqual(presetNames);
    const { code, err } = await sepc("models", "retinet");
    expect([code, err]).toEqual([1, expect.stringContaining("nearest: ")]);
  });
}, 60_000);
