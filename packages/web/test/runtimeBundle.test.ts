// The entry point for other people's web apps: what it holds, and how large it is.
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build, type Rollup } from "vite";
import { describe, expect, test } from "vitest";

const packages = fileURLToPath(new URL("../../", import.meta.url));
const root = join(packages, "web");

interface Bundle {
  readonly code: string;
  /** Files that went in, from the folder of packages. */
  readonly files: readonly string[];
  /** Modules that it needs from elsewhere. */
  readonly imports: readonly string[];
}

/** Where the source seems to lie: it is never written. */
const entry = join(root, "entry.js");

async function bundle(source: string): Promise<Bundle> {
  const made = (await build({
    root,
    configFile: false,
    logLevel: "silent",
    plugins: [
      {
        name: "entry",
        enforce: "pre",
        resolveId: (id) => (id === entry ? id : null),
        load: (id) => (id === entry ? source : null),
      },
    ],
    build: { write: false, minify: true, lib: { entry, formats: ["es"] } },
  })) as Rollup.RollupOutput[];
  const chunks = made.flatMap(({ output }) => output).filter((part) => part.type === "chunk");
  return {
    code: chunks.map(({ code }) => code).join(""),
    files: chunks
      .flatMap(({ moduleIds }) => moduleIds)
      .filter((id) => id !== entry)
      .map((id) => id.replace(packages, "")),
    imports: chunks.flatMap((chunk) => [...chunk.imports, ...chunk.dynamicImports]),
  };
}

/** What no browser has: Node's modules, by whatever name the bundler gives them, and native code. */
const foreign = ({ code, files, imports }: Bundle): string[] => [
  ...files.filter((file) => /browser-external|\.node$|engine\/|^node:/.test(file)),
  ...imports,
  ...(/\bnode:|\brequire\(|process\.(binding|dlopen)|\.node\b/.test(code) ? ["code of Node"] : []),
];

describe("sepc/runtime", () => {
  test("holds the browser-safe code, no module of Node and nothing native", async () => {
    const made = await bundle('export * from "sepc/runtime";');
    expect(foreign(made)).toEqual([]);
    expect(made.files.length).toBeGreaterThan(10);
    for (const file of made.files) expect(file).toMatch(/^(core\/dist\/|detect\/dist\/runtime\.js$)/);
  });

  test("is 24 kB at most, 9 kB compressed", async () => {
    const { code } = await bundle('export * from "sepc/runtime";');
    const [size, compressed] = [code.length, gzipSync(code).length];
    process.stderr.write(`sepc/runtime: ${size} bytes, ${compressed} compressed\n`);
    expect(size).toBeLessThan(24_000);
    expect(compressed).toBeLessThan(9_000);
  });

  test("only what is used goes in", async () => {
    const all = await bundle('export * from "sepc/runtime";');
    const part = await bundle('export { readModelSpec } from "sepc/runtime";');
    expect(part.code.length).toBeLessThan(all.code.length / 3);
  });

  test("the check sees what does not belong: the package's other entry point fails it", async () => {
    const made = await bundle('export { Detector } from "sepc";').then(foreign, (error: Error) => [
      error.message,
    ]);
    expect(made.length).toBeGreaterThan(0);
  });
});
