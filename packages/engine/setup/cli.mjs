#!/usr/bin/env node
// `npx @sepc/engine setup`: the engine alone, for projects that use it without sepc.
import { parseArgs } from "node:util";
import {
  buildEngine,
  defaultCuda,
  fetchLibtorch,
  installSystemPackages,
  requireLibtorch,
  SetupError,
} from "./setup.mjs";

const usage = `usage: sepc-engine setup [options]
  Finds libtorch and builds the addon. Any of the options fetches an official archive of libtorch and uses that.

  --cpu                 for the CPU
  --cuda [BUILD]        for NVIDIA GPUs, built for this CUDA (${defaultCuda} unless told)
  --libtorch VERSION    this version
  --dir FOLDER          where to put it, in place of the user's cache
  --mirror ADDRESS      fetch from this server, laid out as the official one
  --archive FILE        an archive that was downloaded by other means
  --sha256 HEX          the archive's checksum, if it is not a known one
  --no-verify           take an archive whose checksum is not known
`;

/** @param {string[]} given */
function parse(given) {
  const isBuild = (/** @type {string | undefined} */ text) => /^cu\d+$/.test(text ?? "");
  // parseArgs knows no option whose value may be left out.
  const args = given.map((arg, i) =>
    arg === "--cuda" && !isBuild(given[i + 1]) ? `--cuda=${defaultCuda}` : arg,
  );
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        cpu: { type: "boolean" },
        cuda: { type: "string" },
        libtorch: { type: "string" },
        dir: { type: "string" },
        mirror: { type: "string" },
        archive: { type: "string" },
        sha256: { type: "string" },
        "no-verify": { type: "boolean" },
        help: { type: "boolean" },
      },
    });
  } catch (error) {
    throw new SetupError(`${/** @type {Error} */ (error).message}\n${usage}`);
  }
}

async function main() {
  const { values, positionals } = parse(process.argv.slice(2));
  if (values.help || positionals.length !== 1 || positionals[0] !== "setup") {
    process.stdout.write(usage);
    process.exitCode = values.help || positionals.length === 0 ? 0 : 2;
    return;
  }
  const { cpu, cuda, libtorch: version, dir, mirror, archive, sha256, "no-verify": unverified } = values;
  if (cpu && cuda) throw new SetupError("--cpu and --cuda: choose one");
  const variant = cuda ?? (cpu ? "cpu" : undefined);
  const asked = [variant, version, dir, mirror, archive, sha256].some((option) => option !== undefined);
  const options = { version, variant, dir, mirror, archive, sha256, verify: !unverified };
  const fetched = asked ? await fetchLibtorch(options) : undefined;
  await installSystemPackages({ libtorch: fetched === undefined });
  await buildEngine(fetched ?? requireLibtorch());
}

main().catch((error) => {
  process.stderr.write(`${error instanceof SetupError ? error.message : error.stack}\n`);
  process.exitCode = 1;
});
