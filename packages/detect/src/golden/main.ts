// Replays golden cases of a folder: node dist/golden/main.js DIR [name or kind ...]
import { scope } from "@sepc/engine";
import { Case, type CaseEntry, NotKnown, readManifest } from "./case.js";
import { KINDS, type Replay } from "./kinds.js";

const replayOf = ({ kind }: CaseEntry): Replay | undefined =>
  Object.hasOwn(KINDS, kind) ? KINDS[kind] : undefined;

/** null when all results agree, else what does not. */
function faultOf(folder: string, entry: CaseEntry): { fault: string | null; worst: number; results: number } {
  try {
    const golden = scope(() => {
      const one = new Case(folder, entry);
      replayOf(entry)?.(one);
      return { shares: one.shares, missed: one.missed() };
    });
    const worst = Math.max(0, ...golden.shares.values());
    const bad = [...golden.shares]
      .filter(([, share]) => !(share <= 1))
      .map(([name, share]) => `${name} (${share.toPrecision(3)})`);
    const faults = [...bad, ...golden.missed.map((name) => `${name} was not computed`)];
    if (golden.shares.size === 0) faults.push("the case holds no results");
    const more = faults.length > 8 ? ` and ${faults.length - 8} more` : "";
    const fault = faults.length > 0 ? `${faults.slice(0, 8).join(", ")}${more}` : null;
    return { fault, worst, results: golden.shares.size };
  } catch (error) {
    if (error instanceof NotKnown) throw error;
    return { fault: (error as Error).message, worst: Number.NaN, results: 0 };
  }
}

/** The kind and variant where it is not known yet. */
function replay(folder: string, entry: CaseEntry): ReturnType<typeof faultOf> | string {
  try {
    return faultOf(folder, entry);
  } catch (error) {
    return `${entry.kind} of ${(error as Error).message}`;
  }
}

function main(): number {
  const [folder, ...only] = process.argv.slice(2);
  if (folder === undefined) {
    process.stderr.write(
      "usage: npm run golden -- DIR [case or kind ...]    (a folder with manifest.json)\n",
    );
    return 2;
  }
  const entries = readManifest(folder).filter(
    ({ name, kind }) => only.length === 0 || only.includes(name) || only.includes(kind),
  );
  if (entries.length === 0) {
    process.stderr.write(
      `${folder}: no case ${only.length > 0 ? `or kind of ${only.join(", ")}` : "in it"}\n`,
    );
    return 2;
  }
  const unknown = new Map<string, number>();
  let [passed, failed] = [0, 0];
  for (const entry of entries) {
    const outcome = replayOf(entry) === undefined ? entry.kind : replay(folder, entry);
    if (typeof outcome === "string") {
      unknown.set(outcome, (unknown.get(outcome) ?? 0) + 1);
      continue;
    }
    const { fault, worst, results } = outcome;
    if (fault === null) passed++;
    else failed++;
    const verdict =
      fault === null
        ? `ok      ${results} results, at most ${(100 * worst).toFixed(1)} % of the tolerance`
        : `FAILED  ${fault}`;
    process.stdout.write(`${entry.name.padEnd(34)} ${verdict}\n`);
  }
  for (const [kind, count] of unknown)
    process.stdout.write(`not known yet: ${kind} (${count} ${count === 1 ? "case" : "cases"})\n`);
  process.stdout.write(`${passed} passed, ${failed} failed\n`);
  return failed > 0 || passed === 0 ? 1 : 0;
}

try {
  process.exitCode = main();
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = 2;
}
