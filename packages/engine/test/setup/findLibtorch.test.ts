import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { findLibtorch, libtorchIn, libtorchInPython, select } from "../../setup/find-libtorch.mjs";

const library =
  { darwin: "libtorch_cpu.dylib", win32: "torch_cpu.lib" }[process.platform as string] ?? "libtorch_cpu.so";

let folder = "";
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "sepc-find-")));
  for (const name of ["LIBTORCH", "VIRTUAL_ENV", "CONDA_PREFIX"]) vi.stubEnv(name, "");
  vi.stubEnv("HOME", folder);
  vi.stubEnv("PATH", join(folder, "bin"));
  vi.stubEnv("PYENV_ROOT", join(folder, "pyenv"));
  vi.stubEnv("SEPC_CACHE", join(folder, "cache"));
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

/** A folder laid out as libtorch, with empty libraries. */
function layOut(
  version: string,
  { at, oldAbi = false, cuda = false }: { at: string; oldAbi?: boolean; cuda?: boolean },
): string {
  const root = join(folder, at);
  const headers = join(root, "include", "torch", "csrc", "api", "include", "torch");
  const cmake = join(root, "share", "cmake", "Torch");
  for (const path of [headers, cmake, join(root, "lib")]) mkdirSync(path, { recursive: true });
  const parts = version.split(".");
  const defines = ["MAJOR", "MINOR", "PATCH"].map((part, i) => `#define TORCH_VERSION_${part} ${parts[i]}`);
  writeFileSync(join(headers, "version.h"), defines.join("\n"));
  writeFileSync(join(root, "lib", library), "");
  if (cuda) writeFileSync(join(root, "lib", "libtorch_cuda.so"), "");
  writeFileSync(
    join(cmake, "TorchConfig.cmake"),
    `set(TORCH_CXX_FLAGS "-D_GLIBCXX_USE_CXX11_ABI=${oldAbi ? 0 : 1}")`,
  );
  return root;
}

describe("what a folder holds", () => {
  test("version, CUDA and C++ ABI are read from its files", () => {
    const root = layOut("2.10.0", { at: "a" });
    expect(libtorchIn(root, "test")).toEqual({
      root,
      includeDirs: [join(root, "include"), join(root, "include", "torch", "csrc", "api", "include")],
      libDir: join(root, "lib"),
      version: "2.10.0",
      source: "test",
      cuda: false,
      oldAbi: false,
    });
    expect(libtorchIn(layOut("2.6.0", { at: "b", oldAbi: true }), "")?.oldAbi).toBe(true);
    if (process.platform === "linux")
      expect(libtorchIn(layOut("2.6.0", { at: "c", cuda: true }), "")?.cuda).toBe(true);
  });

  test("one that is too old, or has headers alone, is none", () => {
    expect(libtorchIn(layOut("1.12.1", { at: "old" }), "")).toBeUndefined();
    expect(libtorchIn(layOut("1.13.0", { at: "oldest" }), "")).toBeDefined();
    const root = layOut("2.0.0", { at: "headers" });
    rmSync(join(root, "lib", library));
    expect(libtorchIn(root, "")).toBeUndefined();
  });
});

describe("the order of places", () => {
  test("LIBTORCH goes before everything, with or without the archive's own folder", () => {
    const root = layOut("2.1.0", { at: "mine/libtorch" });
    select(layOut("2.9.0", { at: "fetched" }));
    vi.stubEnv("LIBTORCH", root);
    expect(findLibtorch()).toMatchObject({ root, source: "LIBTORCH" });
    vi.stubEnv("LIBTORCH", join(folder, "mine"));
    expect(findLibtorch()?.root).toBe(root);
  });

  test("a LIBTORCH without libtorch is an error, not another libtorch", () => {
    vi.stubEnv("LIBTORCH", join(folder, "nothing"));
    expect(() => findLibtorch()).toThrow(
      /LIBTORCH is .*nothing, but there is no libtorch 1\.13 or newer: expected/,
    );
  });

  test("then what setup fetched last; one that was deleted is passed over", () => {
    const root = layOut("2.9.0", { at: "fetched" });
    select(root);
    expect(findLibtorch()).toMatchObject({ root, version: "2.9.0" });
    rmSync(root, { recursive: true });
    expect(findLibtorch()?.root).not.toBe(root);
  });
});

describe("inside a Python package", () => {
  test("of the active virtual environment", () => {
    const root = layOut("2.8.0", { at: "venv/lib/python3.12/site-packages/torch" });
    vi.stubEnv("VIRTUAL_ENV", join(folder, "venv"));
    expect(libtorchInPython()).toMatchObject({ root, version: "2.8.0" });
  });

  test("of the Python on PATH, the newest of several", () => {
    mkdirSync(join(folder, "bin"));
    writeFileSync(join(folder, "bin", "python3"), "this is never run");
    layOut("2.4.0", { at: "lib/python3.9/site-packages/torch" });
    const root = layOut("2.8.0", { at: "lib/python3.11/site-packages/torch" });
    expect(libtorchInPython()?.root).toBe(root);
  });

  test("of pyenv, conda and the user's own packages; of lib64", () => {
    const user = layOut("2.3.0", { at: ".local/lib/python3.11/site-packages/torch" });
    expect(libtorchInPython()?.root).toBe(user);
    const pyenv = layOut("2.4.0", { at: "pyenv/versions/3.12.1/lib/python3.12/site-packages/torch" });
    expect(libtorchInPython()?.root).toBe(pyenv);
    const conda = layOut("2.5.0", { at: "conda/lib64/python3.12/site-packages/torch" });
    vi.stubEnv("CONDA_PREFIX", join(folder, "conda"));
    expect(libtorchInPython()?.root).toBe(conda);
  });
});
