// Initial weights by torchvision's names. Nothing here leaves this machine.
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type ArchiveServer, archiveServer } from "../../../engine/test/setup/archiveServer.js";
import { preset, presetNames } from "../../src/presets/index.js";
import { fetchPretrained, pretrainedNames, weightsFile } from "../../src/train/pretrained.js";

const body = Buffer.from("weights ".repeat(100));
const published = `tiny-${createHash("sha256").update(body).digest("hex").slice(0, 8)}.pth`;
const connection = { pauseMs: 1, attempts: 2, stallMs: 300 };

let cache = "";
let server: ArchiveServer;
let said = "";

beforeEach(async () => {
  cache = mkdtempSync(join(tmpdir(), "sepc-weights-"));
  server = await archiveServer({ [`/${published}`]: body, "/resnet18-f37072fd.pth": body });
  vi.stubEnv("SEPC_CACHE", cache);
  vi.stubEnv("SEPC_WEIGHTS_MIRROR", `${server.address}/`);
  said = "";
  vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    said += text;
    return true;
  });
});
afterEach(async () => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  await server.close();
  rmSync(cache, { recursive: true, force: true });
});

const folder = () => join(cache, "weights");

describe("weights by name", () => {
  test("are fetched once, checked, and kept", async () => {
    const path = await fetchPretrained(published, connection);
    expect(path).toBe(join(folder(), published));
    expect(readFileSync(path).equals(body)).toBe(true);
    expect(said).toMatch(/fetching http:\/\/127[\s\S]*100 %/);
    expect(await fetchPretrained(published, connection)).toBe(path);
    expect(server.requests).toHaveLength(1);
    expect(readdirSync(folder())).toEqual([published]);
  });

  test("go on where the connection broke, in a later run too", async () => {
    server.habits = { cutAfter: 200, cuts: 3 };
    await expect(fetchPretrained(published, { ...connection, attempts: 1 })).rejects.toThrow(
      /goes on from there/,
    );
    expect(existsSync(join(folder(), published))).toBe(false);
    const path = await fetchPretrained(published, connection);
    expect(readFileSync(path).equals(body)).toBe(true);
    expect(server.requests.filter((request) => / from \d+$/.test(request)).length).toBeGreaterThan(0);
  });

  test("that are not what was published are not kept", async () => {
    await expect(weightsFile("resnet18")).rejects.toThrow(
      /not what was published: its SHA-256[\s\S]*f37072fd\.\.\./,
    );
    expect(readdirSync(folder())).toEqual([]);
  });

  test("put there by hand are checked and used", async () => {
    mkdirSync(folder(), { recursive: true });
    writeFileSync(join(folder(), published), body);
    expect(await fetchPretrained(published, connection)).toBe(join(folder(), published));
    expect(server.requests).toEqual([]);
    writeFileSync(join(folder(), "resnet50-0676ba61.pth"), body);
    await expect(weightsFile("resnet50")).rejects.toThrow(
      /resnet50-0676ba61\.pth is not what was published[\s\S]*Remove/,
    );
  });

  test("without a connection say which file to get and where to put it", async () => {
    await server.close();
    const failed = fetchPretrained(published, connection);
    await expect(failed).rejects.toThrow(`${server.address}/${published}`);
    await expect(failed).rejects.toThrow(
      `get ${published} by other means and put it at\n  ${join(folder(), published)}`,
    );
    server = await archiveServer();
    vi.stubEnv("SEPC_WEIGHTS_MIRROR", server.address);
    await expect(fetchPretrained(published, connection)).rejects.toThrow(/HTTP 404[\s\S]*by other means/);
  });
});

describe("the setting", () => {
  test("may be scratch or a file; what is neither is told what there is", async () => {
    expect(await weightsFile("scratch")).toBeNull();
    const own = join(cache, "own.pth");
    writeFileSync(own, body);
    expect(await weightsFile(own)).toBe(own);
    await expect(weightsFile("resnet51")).rejects.toThrow(/no file "resnet51".*resnet50, resnet101.*scratch/);
    expect(server.requests).toEqual([]);
  });

  test("of every preset is one of these", () => {
    const known = new Set(["scratch", ...pretrainedNames]);
    expect(presetNames.filter((name) => !known.has(preset(name).weights))).toEqual([]);
  });
});
