import { readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { EngineError } from "@sepc/engine";
import type ts from "typescript";
import { withPreset } from "../presets/index.js";

/** The compiler of the project that a file belongs to, or the one beside us. */
function compilerFor(file: string): typeof ts {
  for (const from of [file, import.meta.url]) {
    try {
      return createRequire(from)("typescript") as typeof ts;
    } catch {
      // Not installed there.
    }
  }
  throw new Error(
    `Node ${process.versions.node} does not read TypeScript: use Node 22.18 or newer, install the package typescript, ` +
      "or write the configuration as .mjs or .json",
  );
}

/** JavaScript of a TypeScript file; its types are not checked. */
function compiled(file: string): string {
  const compiler = compilerFor(file);
  const { outputText, diagnostics = [] } = compiler.transpileModule(readFileSync(file, "utf8"), {
    compilerOptions: { module: compiler.ModuleKind.ESNext, target: compiler.ScriptTarget.ES2022 },
    fileName: file,
    reportDiagnostics: true,
  });
  const [first] = diagnostics;
  if (first === undefined) return outputText;
  const line = first.file?.getLineAndCharacterOfPosition(first.start ?? 0).line ?? 0;
  throw new Error(`line ${line + 1}: ${compiler.flattenDiagnosticMessageText(first.messageText, " ")}`);
}

/** Imports a module that a Node without TypeScript cannot: from JavaScript that lies beside it for that moment. */
async function importTypeScript(file: string): Promise<unknown> {
  if ("typescript" in process.features && process.features.typescript)
    return import(pathToFileURL(file).href);
  const script = join(dirname(file), `.${basename(file)}.${process.pid}.mjs`);
  try {
    writeFileSync(script, compiled(file));
    return await import(pathToFileURL(script).href);
  } finally {
    rmSync(script, { force: true });
  }
}

async function read(file: string): Promise<unknown> {
  if (/\.json$/i.test(file)) return JSON.parse(readFileSync(file, "utf8"));
  const loaded = await (/\.[cm]?ts$/i.test(file) ? importTypeScript(file) : import(pathToFileURL(file).href));
  const { default: config } = loaded as { default?: unknown };
  if (config === undefined) throw new Error("expected a default export, as: export default { preset: ... }");
  return config;
}

/**
 * A configuration from a .json, .mjs or .ts file, over the preset that it names, if any.
 * @throws EngineError FILE when there is none, BAD_ARGUMENT naming the file and what is wrong
 */
export async function readConfigFile(path: string): Promise<unknown> {
  const file = resolve(path);
  if (!statSync(file, { throwIfNoEntry: false })?.isFile())
    throw new EngineError("FILE", `${path}: there is no such configuration file`);
  try {
    return withPreset(await read(file));
  } catch (cause) {
    const [reason] = (cause as Error).message.split("\n");
    throw new EngineError("BAD_ARGUMENT", `${path}: ${reason}`, { cause });
  }
}
