// `npm test`: set-up, type check, lint and format, import rules, then every test. The last line is the count.
// `npm test -- door` runs the test files whose path holds "door", without the gates.
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { installMissing, onPath } from "../packages/engine/setup/apt.mjs";
import { root, runMain, say, setup, step } from "./setup.mjs";

/** What the tests of the browser app run in. */
const browser = {
  what: "Chromium, for the tests of the browser app",
  packages: ["chromium", "fonts-dejavu-core"],
  present: () =>
    Boolean(process.env.CHROMIUM) || ["chromium", "chromium-browser", "google-chrome"].some(onPath),
};

/** Without a browser its tests are skipped, but never in CI. */
async function installBrowser() {
  try {
    await step("browser", () => installMissing([browser]));
  } catch (error) {
    if (process.env.CI) throw error;
    say(`${error instanceof Error ? error.message : error}\nUntil then those tests are skipped.`);
  }
}

/** @param {string[]} args @returns {Promise<number>} exit code */
function node(args) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, { cwd: root, stdio: "inherit" });
    child.on("close", (code) => resolve(code ?? 1));
  });
}

/** @param {string} path below node_modules */
const tool = (path) => join(root, "node_modules", path);

const gates = [
  { name: "type check", args: [tool("typescript/bin/tsc"), "-b"] },
  { name: "lint and format", args: [tool("@biomejs/biome/bin/biome"), "check", "--error-on-warnings", "."] },
  { name: "allowed imports", args: [join(root, "scripts", "check-imports.mjs")] },
];

/** @param {string[]} filters */
async function runTests(filters) {
  const folder = mkdtempSync(join(tmpdir(), "sepc-test-"));
  const report = join(folder, "report.json");
  try {
    const code = await node([
      ...[
        tool("vitest/vitest.mjs"),
        "run",
        "--reporter=default",
        "--reporter=json",
        `--outputFile.json=${report}`,
      ],
      ...filters,
    ]);
    if (!existsSync(report)) return { passed: 0, failed: 1, skipped: 0 };
    const found = JSON.parse(readFileSync(report, "utf8"));
    const skipped = found.numPendingTests + found.numTodoTests;
    // A file that fails to load has no failed test of its own.
    const broken = found.testResults.filter(
      (/** @type {{ status: string, assertionResults: { status: string }[] }} */ file) =>
        file.status === "failed" && !file.assertionResults.some((test) => test.status === "failed"),
    ).length;
    const failed = found.numFailedTests + broken;
    return { passed: found.numPassedTests, failed: failed === 0 && code !== 0 ? 1 : failed, skipped };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function main() {
  const filters = process.argv.slice(2);
  await setup();
  if (filters.length === 0 || filters.some((filter) => filter.includes("web"))) await installBrowser();
  if (process.env.CI && !existsSync(join(root, "..", "shared"))) {
    throw new Error(
      "CI runs need the folder ../shared: tests that use it may be skipped elsewhere, never there",
    );
  }
  const count = { passed: 0, failed: 0, skipped: 0 };
  for (const gate of filters.length > 0 ? [] : gates) {
    const ok = (await node(gate.args)) === 0;
    process.stdout.write(`${ok ? "ok" : "FAILED"}: ${gate.name}\n`);
    count[ok ? "passed" : "failed"]++;
  }
  const tests = await runTests(filters);
  for (const key of /** @type {const} */ (["passed", "failed", "skipped"])) count[key] += tests[key];
  if (count.failed > 0 || tests.passed === 0) process.exitCode = 1;
  const skipped = count.skipped > 0 ? `, ${count.skipped} skipped` : "";
  process.stdout.write(`\n${count.passed} passed, ${count.failed} failed${skipped}\n`);
}

runMain(main);
