// The packages as npm would install them, without a native build: in a folder of their own, dependencies linked.
import { execFileSync } from "node:child_process";
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import { afterAll, beforeAll, expect, test } from "vitest";
import { node as inProcess, type Outcome } from "./support/command.js";
import { writeTinyModel } from "./support/tinyModel.js";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const app = mkdtempSync(join(tmpdir(), "sepc-install-"));
const files = new Map<string, string[]>();
const runtime = join(app, "node_modules", "onnxruntime-node");
afterAll(() => rmSync(app, { recursive: true, force: true }));

interface Manifest {
  readonly name: string;
  readonly dependencies?: Readonly<Record<string, string>>;
}

function link(name: string): void {
  const place = join(app, "node_modules", name);
  mkdirSync(dirname(place), { recursive: true });
  symlinkSync(join(root, "node_modules", name), place);
}

/** Puts packages there with the files that npm would publish; returns what they depend on. */
function install(...folders: readonly string[]): Set<string> {
  const args = ["pack", "--dry-run", "--json", "--ignore-scripts"];
  const told = execFileSync("npm", [...args, ...folders.map((folder) => `./packages/${folder}`)], {
    cwd: root,
  });
  const packed = JSON.parse(String(told)) as { name: string; files: { path: string }[] }[];
  const needed = new Set<string>();
  for (const [i, folder] of folders.entries()) {
    const from = join(root, "packages", folder);
    const manifest = JSON.parse(readFileSync(join(from, "package.json"), "utf8")) as Manifest;
    const paths = packed[i]?.files.map(({ path }) => path) ?? [];
    files.set(manifest.name, paths);
    for (const path of paths) {
      const to = join(app, "node_modules", manifest.name, path);
      mkdirSync(dirname(to), { recursive: true });
      copyFileSync(join(from, path), to);
    }
    for (const name of Object.keys(manifest.dependencies ?? {})) needed.add(name);
  }
  return needed;
}

beforeAll(async () => {
  for (const name of install("core", "engine", "detect")) if (!files.has(name)) link(name);
  link("onnxruntime-node");
  writeFileSync(join(app, "package.json"), '{ "type": "module" }');
  await sharp({ create: { width: 48, height: 32, channels: 3, background: "teal" } }).toFile(
    join(app, "a.png"),
  );
  await writeTinyModel(join(app, "m.onnx"));
}, 180_000);

const node = (args: readonly string[]): Promise<Outcome> => inProcess(args, { cwd: app });

const sepc = (...args: readonly string[]) => node([join("node_modules", "sepc", "bin", "sepc.mjs"), ...args]);

test("what is published: all that set-up builds from, and no tests", () => {
  expect(files.get("@sepc/engine")).toEqual(
    expect.arrayContaining([
      "CMakeLists.txt",
      "native/door.cc",
      "setup/setup.mjs",
      "dist/index.js",
      "dist/index.d.ts",
    ]),
  );
  expect(files.get("sepc")).toEqual(
    expect.arrayContaining([
      "native/CMakeLists.txt",
      "native/src/schema.cpp",
      "bin/sepc.mjs",
      "dist/index.d.ts",
    ]),
  );
  for (const paths of files.values())
    for (const path of paths)
      expect(path).not.toMatch(/(^|\/)(test|golden|build|node_modules)\/|tsbuildinfo/);
});

test("a debugger finds the sources: maps bring them along", () => {
  const maps = [...files].flatMap(([name, paths]) =>
    paths.filter((path) => path.endsWith(".js.map")).map((path) => join(app, "node_modules", name, path)),
  );
  expect(maps.length).toBeGreaterThan(100);
  for (const map of maps) {
    const { sources, sourcesContent } = JSON.parse(readFileSync(map, "utf8")) as {
      sources: string[];
      sourcesContent?: string[];
    };
    expect(sourcesContent, map).toHaveLength(sources.length);
  }
});

test("every entry point is imported, and an exported model detects", async () => {
  const script = `
    import { Detector, detectStream } from "sepc";
    import { readModelSpec } from "sepc/runtime";
    import { loadModel, startServer } from "sepc/serve";
    import { readFileSync } from "node:fs";
    const detector = await Detector.load("m.onnx", { threads: 1 });
    const counts = [(await detector.detect("a.png", { scoreThreshold: 0 })).length];
    for await (const one of detectStream(detector, [{ id: 1, source: "a.png" }])) counts.push(one.objects.length);
    detector.close();
    const server = await startServer(await loadModel({ path: "m.onnx", threads: 1 }, () => {}), { port: 0 });
    const headers = { "content-type": "image/png" };
    const body = readFileSync("a.png");
    const answer = await fetch(new URL("/v1/detect?score=0.05", server.url), { method: "POST", headers, body });
    counts.push(answer.status);
    await server.stop();
    console.log(JSON.stringify([readModelSpec(readFileSync("m.onnx")).classes, ...counts]));`;
  writeFileSync(join(app, "all.mjs"), script);
  const { out, err } = await node(["all.mjs"]);
  expect(err).toBe("");
  expect(JSON.parse(out)).toEqual([["cat", "dog"], 5, expect.any(Number), 200]);
});

test("sepc detect", async () => {
  const { code, out } = await sepc("detect", "a.png", "--model", "m.onnx", "--score", "0", "--json");
  expect(code).toBe(0);
  expect(JSON.parse(out)).toHaveLength(5);
});

test.each([
  ["train", "--preset", "retinanet_small_fpn", "--data", "none"],
  ["detect", "a.png", "--model", "a-run"],
])("sepc %s says how libtorch comes", async (...args) => {
  mkdirSync(join(app, "a-run"), { recursive: true });
  const { code, err } = await sepc(...args);
  expect(code).toBe(1);
  expect(err).toMatch(/npx sepc setup/);
  expect(err).not.toContain("    at ");
});

test("the first use of a tensor says it too", async () => {
  const { code, err } = await node([
    "--input-type=module",
    "-e",
    'import { randn } from "@sepc/engine"; randn([2]);',
  ]);
  expect(code).toBe(1);
  expect(err).toMatch(/code: 'NO_LIBTORCH'/);
});

test("without onnxruntime-node the message is the line that installs it", async () => {
  rmSync(runtime);
  const { code, err } = await sepc("detect", "a.png", "--model", "m.onnx");
  link("onnxruntime-node");
  expect(code).toBe(1);
  expect(err).toMatch(/ONNXRUNTIME_NODE_INSTALL=skip npm install onnxruntime-node/);
});
