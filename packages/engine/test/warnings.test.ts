import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";

const engine = new URL("../dist/index.js", import.meta.url).href;

/** Runs `body` with the engine as `e`; what reached the streams, and the warnings that Node saw. */
function run(body: string): { err: string; warnings: { name: string; code: string; message: string }[] } {
  const program = `
    import * as e from ${JSON.stringify(engine)};
    const seen = [];
    process.on("warning", ({ name, code, message }) => seen.push({ name, code, message }));
    process.on("exit", () => console.log(JSON.stringify(seen)));
    ${body}`;
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ["--no-warnings", "--input-type=module", "--eval", program],
    { encoding: "utf8" },
  );
  expect(status, stderr).toBe(0);
  return { err: stderr, warnings: JSON.parse(stdout) };
}

test("a warning of libtorch is one of Node's, once for each text, and nothing reaches standard error", () => {
  const { err, warnings } = run(`for (let i = 0; i < 3; i++) e.op("aten::cov")(e.ones([1]));`);
  expect(err).toBe("");
  expect(warnings).toEqual([
    { name: "LibtorchWarning", code: "LIBTORCH", message: expect.stringMatching(/degrees of freedom/) },
  ]);
});

test("a call that fails after a warning throws its own error", () => {
  const { warnings } = run(`
    let code;
    try { e.op("aten::cov")(e.ones([1]), { fweights: e.ones([5]) }); } catch (error) { code = error.code; }
    if (code !== "OP_FAILED") process.exit(1);
    e.op("aten::cov")(e.ones([1]));`);
  expect(warnings).toHaveLength(1);
});

test("that scatter_reduce is in beta is told nobody", () => {
  const { err, warnings } = run(
    `e.ops.scatterReduce(e.zeros([3]), 0, e.tensor([0, 1], { dtype: "int64" }), e.ones([2]), "amax");`,
  );
  expect(err).toBe("");
  expect(warnings).toEqual([]);
});
