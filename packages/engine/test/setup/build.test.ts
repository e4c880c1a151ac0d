import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { buildNative } from "../../setup/build.mjs";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sepc-build-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A project whose build counts itself: each compilation adds a line to `built`. */
function project(at: string) {
  mkdirSync(join(at, "native"), { recursive: true });
  const lines = [
    "cmake_minimum_required(VERSION 3.18)",
    "project(thing NONE)",
    "add_custom_target(thing ALL",
    `  COMMAND \${CMAKE_COMMAND} -E copy \${CMAKE_SOURCE_DIR}/native/code \${ADDON_OUTPUT_DIR}/thing)`,
  ];
  writeFileSync(join(at, "CMakeLists.txt"), lines.join("\n"));
  writeFileSync(join(at, "native", "code"), "first");
  return {
    name: "thing",
    source: at,
    sources: "native",
    output: join(at, "build"),
    product: "thing",
  };
}

const libtorch = () => {
  const libDir = join(folder, "torch");
  mkdirSync(libDir, { recursive: true });
  return {
    root: libDir,
    includeDirs: [],
    libDir,
    version: "1.13.0",
    source: "test",
    cuda: false,
    oldAbi: false,
  };
};

const productOf = (at: string): string =>
  JSON.parse(readFileSync(join(at, "build", "current.json"), "utf8")).addon;

describe("native builds", () => {
  it("are made once for each state of the sources", async () => {
    const target = project(join(folder, "a"));
    expect(await buildNative(target, libtorch())).toMatch(/^built/);
    expect(await buildNative(target, libtorch())).toBeUndefined();
    writeFileSync(join(target.source, "native", "code"), "second");
    expect(await buildNative(target, libtorch())).toMatch(/^built/);
    expect(readFileSync(productOf(target.source), "utf8")).toBe("second");
  });

  it("serve a copy of the folder, and are made again there when its sources change", async () => {
    const target = project(join(folder, "a"));
    await buildNative(target, libtorch());
    const copy = join(folder, "b");
    cpSync(target.source, copy, { recursive: true });
    rmSync(target.source, { recursive: true });
    const moved = { ...target, source: copy, output: join(copy, "build") };
    expect(await buildNative(moved, libtorch())).toMatch(/^using the build/);
    expect(productOf(copy)).toContain(copy);
    writeFileSync(join(copy, "native", "code"), "third");
    expect(await buildNative(moved, libtorch())).toMatch(/^built/);
    expect(readFileSync(productOf(copy), "utf8")).toBe("third");
  });
});
