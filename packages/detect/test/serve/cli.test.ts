// The command itself, in a process of its own, on an exported model and on a checkpoint.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { size } from "../../src/cli/serve.js";
import { buildDetector } from "../../src/detectors/index.js";
import { exportModel } from "../../src/export/exportModel.js";
import { preset } from "../../src/presets/index.js";
import { bin, sepc } from "../support/command.js";
import { picture } from "./help.js";

const folder = mkdtempSync(join(tmpdir(), "sepc-serve-cli-"));
const modelFile = join(folder, "tiny.onnx");
const children: ChildProcess[] = [];

beforeAll(async () => {
  const { model } = preset("retinanet_small_fpn");
  const network = buildDetector(
    { ...model, backbone: { ...model.backbone, width: 8 }, neck: { ...model.neck, channels: 16 } },
    2,
  );
  const mean = [123.675, 116.28, 103.53] as const;
  const std = [58.395, 57.12, 57.375] as const;
  const input = { scale: [64, 64], sizeDivisor: 32, mean, std, channels: "rgb" } as const;
  const description = { name: "tiny", detector: "retinanet", classes: ["cell", "dot"], input };
  writeFileSync(modelFile, await exportModel(network.eval(), description));
  network.free();
});

afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Starts the server; resolves with its address once it says it. */
async function start(...args: readonly string[]) {
  const child = spawn(process.execPath, [bin, "serve", "--port", "0", ...args]);
  children.push(child);
  let text = "";
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout.on("data", (part: Buffer) => {
      text += part;
      const found = /^(http:\S+) /m.exec(text);
      if (found !== null) resolve(found[1] as string);
    });
    child.stderr.on("data", (part: Buffer) => {
      text += part;
    });
    void ended.then((code) => reject(new Error(`ended with ${code}: ${text}`)));
  });
  return { child, url, ended, text: () => text };
}

const detect = (url: string, body: Buffer<ArrayBuffer>): Promise<Response> =>
  fetch(`${url}/v1/detect?score=0.05`, { method: "POST", body, headers: { "content-type": "image/png" } });

describe("sepc serve", () => {
  test("an exported model, without libtorch; ends well when asked, with what it accepted answered", async () => {
    const { child, url, ended, text } = await start("--model", modelFile, "--max-wait-ms", "200", "--log");
    expect(text()).toContain(`curl --data-binary @photo.jpg -H "content-type: image/jpeg" ${url}/v1/detect`);
    const bytes = await picture(100, 50);
    const answer = await detect(url, bytes);
    expect(await answer.json()).toMatchObject({ image: { width: 100, height: 50 }, batch_size: 1 });
    expect(await (await fetch(`${url}/v1/model`)).json()).toMatchObject({
      name: "tiny",
      classes: [{ label: "cell" }, { label: "dot" }],
      input: { scale: [64, 64] },
      precision: "float32",
    });
    const maps = `/proc/${child.pid}/maps`;
    if (existsSync(maps)) expect(readFileSync(maps, "utf8")).not.toMatch(/libtorch|engine\.node/);

    const underWay = [detect(url, bytes), detect(url, bytes)];
    await new Promise((resolve) => {
      const look = async (): Promise<void> => {
        const metrics = await (await fetch(`${url}/metrics`)).text();
        if (/accepted_total 3\n/.test(metrics)) resolve(undefined);
        else setTimeout(look, 5);
      };
      void look();
    });
    child.kill("SIGTERM");
    expect((await Promise.all(underWay)).map(({ status }) => status)).toEqual([200, 200]);
    expect(await ended).toBe(0);
    expect(text()).toMatch(/"route":"\/v1\/detect","status":200/);
    expect(text()).toContain("stopped");
  });

  test.each([
    [["--model", "no-such.onnx"], /no-such\.onnx: there is no such file/],
    [["--model", "x", "--max-batch", "0"], /--max-batch: expected a whole number from 1 to 256, got "0"/],
    [["--model", "x", "--max-bytes", "much"], /--max-bytes: expected a size as 20MB, got "much"/],
    [["--model", "x", "--timeout-s", "-1"], /--timeout-s: expected a number/],
    [[], /required option '--model/],
  ])("%j is told what is wrong", async (args, message) => {
    const { code, err } = await sepc("serve", ...args);
    expect(code).not.toBe(0);
    expect(err).toMatch(message);
    expect(err).not.toContain("    at ");
  });

  test("--help has examples", async () => {
    const { code, out } = await sepc("serve", "--help");
    expect(code).toBe(0);
    expect(out).toMatch(/Examples:[\s\S]*curl/);
  });

  test("sizes as people write them", () => {
    const bytes = size("--max-bytes", "B");
    expect(["20MB", "1.5 mb", "512k", "1000", "2GB"].map(bytes)).toEqual([20e6, 1.5e6, 512e3, 1000, 2e9]);
    expect(size("--max-pixels", "P")("50MP")).toBe(50e6);
    for (const wrong of ["", "MB", "-1MB", "20MP", "1e3", "0"]) expect(() => bytes(wrong)).toThrow("20MB");
  });
});
