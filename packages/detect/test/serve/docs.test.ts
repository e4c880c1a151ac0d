// What docs/serve.md says, against what is there.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { InferenceSession } from "onnxruntime-node";
import { expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import { define } from "../../src/cli/serve.js";
import { buildDetector } from "../../src/detectors/index.js";
import { exportModel } from "../../src/export/exportModel.js";
import { preset } from "../../src/presets/index.js";
import { Measures } from "../../src/serve/measures.js";
import { problemKinds } from "../../src/serve/problem.js";

const docs = readFileSync(new URL("../../../../docs/serve.md", import.meta.url), "utf8");

/** The text of the block of that language. */
function block(language: string): string {
  const found = new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``).exec(docs);
  if (found === null) throw new Error(`docs/serve.md has no block of ${language}`);
  return found[1] as string;
}

interface Declared {
  readonly name: string;
  readonly type: string;
  /** -1 where it varies. */
  readonly dims: readonly number[];
}

/** `input` or `output` of a Triton configuration. */
function declared(config: string, part: "input" | "output"): Declared[] {
  const [, text = ""] = new RegExp(`^${part} \\[\\n([\\s\\S]*?)^\\]`, "m").exec(config) ?? [];
  return [...text.matchAll(/name: "(\w+)" data_type: TYPE_(\w+) dims: \[ ([-\d, ]+) \]/g)].map(
    ([, name = "", type = "", dims = ""]) => ({ name, type, dims: dims.split(",").map(Number) }),
  );
}

const tritonTypes: Readonly<Record<string, string>> = { float32: "FP32", int64: "INT64" };

test("Triton's configuration is what the exported file declares", async () => {
  const { model } = preset("retinanet_small_fpn");
  const network = buildDetector(
    { ...model, backbone: { ...model.backbone, width: 8 }, neck: { ...model.neck, channels: 16 } },
    2,
  );
  const [mean, std] = [
    [0, 0, 0],
    [1, 1, 1],
  ] as const;
  const input = { scale: [64, 64], sizeDivisor: 32, mean, std, channels: "rgb" } as const;
  const description = { name: "tiny", detector: "retinanet", classes: ["cell", "dot"], input };
  const bytes = await exportModel(network.eval(), description, { suppress: true });
  network.free();
  const folder = mkdtempSync(join(tmpdir(), "sepc-docs-"));
  const file = join(folder, "model.onnx");
  writeFileSync(file, bytes);
  const session = await InferenceSession.create(file, { logSeverityLevel: 3 });
  const held = (metadata: readonly InferenceSession.ValueMetadata[]): Declared[] =>
    metadata.map((value) => {
      if (!value.isTensor) throw new Error(`${value.name} is no tensor`);
      const dims = value.shape.map((size) => (typeof size === "number" ? size : -1));
      return { name: value.name, type: tritonTypes[value.type] ?? value.type, dims };
    });
  const config = block("protobuf");
  expect(declared(config, "input")).toEqual(held(session.inputMetadata));
  expect(declared(config, "output")).toEqual(held(session.outputMetadata));
  await session.release();
  rmSync(folder, { recursive: true });
});

test("the manifest's addresses and ports are the server's", () => {
  const documents = parseAllDocuments(block("yaml"));
  expect(documents.flatMap(({ errors }) => errors)).toEqual([]);
  const [deployment, service] = documents.map((document) => document.toJS()) as [
    {
      kind: string;
      spec: {
        template: {
          spec: {
            terminationGracePeriodSeconds: number;
            containers: { args: string[]; readinessProbe: object; livenessProbe: object }[];
          };
        };
      };
    },
    { kind: string; spec: { ports: { targetPort: string }[] } },
  ];
  expect([deployment.kind, service.kind]).toEqual(["Deployment", "Service"]);
  const { containers, terminationGracePeriodSeconds } = deployment.spec.template.spec;
  const [{ args, readinessProbe, livenessProbe }] = containers as [(typeof containers)[0]];
  expect(readinessProbe).toMatchObject({ httpGet: { path: "/readyz" } });
  expect(livenessProbe).toMatchObject({ httpGet: { path: "/healthz" } });
  const timeout = Number(args[args.indexOf("--timeout-s") + 1]);
  expect(terminationGracePeriodSeconds).toBeGreaterThanOrEqual(2 * timeout + 5 + 5);
  const command = new Command();
  define(command);
  for (const option of args.filter((one) => one.startsWith("--")))
    expect(command.options.map(({ long }) => long)).toContain(option);
});

test("options, problems and metrics are named as they are", () => {
  const command = new Command();
  define(command);
  const table = docs.slice(docs.indexOf("## Options"), docs.indexOf("## How it works"));
  const named = new Set([...table.matchAll(/`(--[a-z-]+)`/g)].map(([, name]) => name));
  named.delete("--nms");
  named.add("--model");
  expect([...named].sort()).toEqual(command.options.map(({ long }) => long).sort());

  for (const [kind, [status]] of Object.entries(problemKinds))
    if (kind !== "not-found" && kind !== "wrong-method")
      expect(docs).toMatch(new RegExp(`\\| ${status} \\|[^|]*\`${kind}\``));

  const none = (): number => 0;
  const readings = { queueLength: none, queueLimit: 0, heldBytes: none, connections: none, model: "x" };
  const text = new Measures().text(readings);
  const metrics = [...docs.matchAll(/`((?:sepc|process)_\w+)/g)].map(([, name]) => name as string);
  expect(metrics.length).toBeGreaterThan(10);
  for (const name of metrics) expect(text).toContain(`# TYPE ${name} `);
});
