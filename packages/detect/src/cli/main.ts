import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";

/** A command of `sepc`; its file is loaded only when it runs. */
interface Verb {
  readonly name: string;
  readonly help: string;
  readonly load: () => Promise<{ define(command: Command): void }>;
}

const VERBS: readonly Verb[] = [
  {
    name: "data",
    help: "check, describe and make data sets",
    load: () => import("./data.js"),
  },
  {
    name: "models",
    help: "list presets, with what they cost",
    load: () => import("./models.js"),
  },
  {
    name: "train",
    help: "train a detector on your pictures",
    load: () => import("./train.js"),
  },
  {
    name: "import",
    help: "turn a checkpoint of mmdetection into a run",
    load: () => import("./import.js"),
  },
  {
    name: "detect",
    help: "find objects in pictures",
    load: () => import("./detect.js"),
  },
  {
    name: "serve",
    help: "find objects in pictures over HTTP",
    load: () => import("./serve.js"),
  },
  {
    name: "export",
    help: "write a trained detector as one ONNX file",
    load: () => import("./export.js"),
  },
  {
    name: "report",
    help: "show a run whole in one HTML file",
    load: () => import("./report.js"),
  },
  {
    name: "eval",
    help: "measure detections with COCO's metrics",
    load: () => import("./eval.js"),
  },
  {
    name: "flops",
    help: "count a model's parameters and multiply-adds",
    load: () => import("./flops.js"),
  },
  {
    name: "setup",
    help: "find libtorch and build the native code",
    load: () => import("./setup.js"),
  },
  {
    name: "doctor",
    help: "say what is installed, how fast it is, and what to do about it",
    load: () => import("./doctor.js"),
  },
];

function version(): string {
  const file = new URL("../../package.json", import.meta.url);
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}

async function program(args: readonly string[]): Promise<Command> {
  const root = new Command("sepc").description(
    "Object detection in TypeScript, from training to the browser.",
  );
  root
    .version(version())
    .exitOverride()
    .showSuggestionAfterError()
    .showHelpAfterError("(sepc --help lists the commands)");
  const wanted = args.find((arg) => !arg.startsWith("-"));
  for (const { name, help, load } of VERBS) {
    const command = root
      .command(name)
      .description(help)
      .exitOverride()
      .showHelpAfterError(`(sepc ${name} --help says more)`);
    if (name === wanted) (await load()).define(command);
  }
  return root;
}

/** Whether the message of an error is all that a user needs. */
function isForPeople(error: unknown): error is Error {
  if (!(error instanceof Error)) return false;
  // What the system refuses (a full disk, a folder without permission) Node words with call and path.
  return ["EngineError", "SetupError", "ModelError"].includes(error.name) || "syscall" in error;
}

/** Runs `sepc` with these arguments; returns the exit code: 0 well, 1 failed, 2 used wrongly. */
export async function run(args: readonly string[]): Promise<number> {
  try {
    const root = await program(args);
    if (args.length === 0) {
      root.outputHelp();
      return 0;
    }
    await root.parseAsync([...args], { from: "user" });
    return Number(process.exitCode ?? 0);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    process.stderr.write(`${isForPeople(error) ? error.message : (error as Error).stack}\n`);
    return 1;
  }
}
