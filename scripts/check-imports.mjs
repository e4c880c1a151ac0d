// Which folder may import which: the table is the rule, checked over every source file.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");

/** Inside the engine each part may import those before it. A part is a file or a folder of src. */
const engineOrder = [
  "errors",
  "native",
  "warnings",
  "wire",
  "dtype",
  "scope",
  "print",
  "tensor",
  "guards",
  "door",
  "create",
  "random",
  "device",
  "autograd",
  "aten",
  "ops",
  "autocast",
  "gradcheck",
  "recompute",
  "nn",
  "optim",
  "io",
  "trace",
  "distributed",
  "index",
  "requiredOperators",
  "doctor",
];

/** Packages that each package may import, besides its npm dependencies and node's own modules. */
const packageRules = {
  core: [],
  engine: [],
  detect: ["@sepc/engine", "@sepc/core"],
  web: ["@sepc/core"],
};

/** Inside packages/detect/src: the first part that fits a path is its rule; `*` is one folder name. */
const detectRules = [
  { part: "ops", may: [] },
  { part: "models/layers", may: ["ops"] },
  { part: "models/backbones", may: ["models/layers", "ops"] },
  { part: "models/necks", may: ["models/layers", "ops"] },
  { part: "models/heads", may: ["models/layers", "ops"] },
  { part: "models", may: ["ops"] },
  { part: "training", may: ["ops"] },
  { part: "detectors/index", may: ["detectors"] },
  { part: "detectors/detector", may: ["models"] },
  { part: "detectors/spec", may: ["detectors/detector"] },
  { part: "detectors/schema", may: [] },
  {
    part: "detectors/*",
    may: ["models", "training", "ops", "detectors/detector", "detectors/spec", "detectors/schema"],
  },
  { part: "data", may: [] },
  { part: "evaluation", may: ["data"] },
  { part: "train", may: ["detectors/index", "data", "evaluation"] },
  { part: "presets", may: ["detectors/schema", "train/config"] },
  { part: "inference", may: ["detectors/index", "data", "train", "evaluation"] },
  { part: "runtime", may: [] },
  { part: "serve", may: ["inference", "data"] },
  { part: "report", may: ["data", "evaluation", "inference"] },
  { part: "export", may: ["detectors/index", "models", "ops", "data"] },
  { part: "analysis", may: ["detectors/index", "models", "ops", "data"] },
  { part: "golden", may: ["models", "training", "ops", "detectors"] },
  { part: "cli", may: ["*"] },
  { part: "index", may: ["*"] },
];

/** Inside packages/web/src: page, worker and service worker are programs of their own that share only their messages. */
const webRules = { page: ["protocol"], worker: ["protocol"], service: [], protocol: [] };

/** @param {string} folder @returns {string[]} */
function sources(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return sources(path);
    return /\.ts$/.test(entry.name) && !/\.test\.ts$/.test(entry.name) ? [path] : [];
  });
}

/** What a file imports at run time; types alone bind nothing. @param {string} text @returns {string[]} */
function imports(text) {
  const found = text.matchAll(
    /(?:^|\n)\s*(?:import|export)\b(?!\s+type\b)[^"';]*?from\s*"([^"]+)"|(?:^|\n)\s*import\s*"([^"]+)"|\bimport\(\s*"([^"]+)"\s*\)/g,
  );
  return [...found].map((match) => match[1] ?? match[2] ?? match[3] ?? "");
}

/** @param {string} path below src */
const firstPart = (path) => path.replace(/\/.*$/, "").replace(/\.(ts|js)$/, "");

/** @param {string} from @param {string} to both below packages/engine/src */
function engineFault(from, to) {
  const [a, b] = [firstPart(from), firstPart(to)];
  if (a === b) return undefined;
  const [i, j] = [engineOrder.indexOf(a), engineOrder.indexOf(b)];
  if (i < 0 || j < 0) return `"${i < 0 ? a : b}" has no place in the engine's order`;
  return j < i ? undefined : `"${a}" comes before "${b}"`;
}

/** @param {string} pattern @param {string} path */
function fits(pattern, path) {
  if (pattern === "*") return true;
  const [want, have] = [pattern.split("/"), path.replace(/\.(ts|js)$/, "").split("/")];
  return want.every((part, i) => have[i] !== undefined && (part === "*" || part === have[i]));
}

/** @param {string} from @param {string} to both below packages/detect/src */
function detectFault(from, to) {
  const rule = detectRules.find(({ part }) => fits(part, from));
  if (rule === undefined) return `"${from}" has no rule`;
  const own = rule.part.split("/").length;
  const sameFolder = from.split("/").slice(0, own).join("/") === to.split("/").slice(0, own).join("/");
  if (sameFolder || rule.may.some((part) => fits(part, to))) return undefined;
  return `${rule.part} may import only ${rule.may.join(", ") || "nothing of ours"}`;
}

/** @param {string} from @param {string} to both below packages/web/src */
function webFault(from, to) {
  const [a, b] = [firstPart(from), firstPart(to)];
  const may = webRules[/** @type {keyof typeof webRules} */ (a)];
  if (may === undefined) return `"${a}" has no rule`;
  return a === b || may.some((part) => part === b) ? undefined : `${a} may not import ${b}`;
}

const faults = [];
let files = 0;
for (const name of readdirSync(join(root, "packages"))) {
  const src = join(root, "packages", name, "src");
  for (const file of sources(src)) {
    files++;
    for (const target of imports(readFileSync(file, "utf8"))) {
      let fault;
      if (target.startsWith(".")) {
        const [from, to] = [relative(src, file), relative(src, resolve(dirname(file), target))];
        if (to.startsWith("..")) fault = "leaves the package's src";
        else if (name === "engine") fault = engineFault(from, to);
        else if (name === "detect") fault = detectFault(from, to);
        else if (name === "web") fault = webFault(from, to);
      } else if (/^(@sepc\/|sepc(\/|$))/.test(target)) {
        const rule = packageRules[/** @type {keyof typeof packageRules} */ (name)] ?? [];
        if (!rule.some((other) => target === other || target.startsWith(`${other}/`)))
          fault = `${name} may not import it`;
      } else if (name === "core") fault = "core has no dependencies";
      else if (name === "web" && !/^onnxruntime-(web|common)(\/|$)/.test(target))
        fault = "the browser app has no other dependency than onnxruntime-web";
      if (fault) faults.push(`${relative(root, file)} imports "${target}": ${fault}`);
    }
  }
}

for (const fault of faults) process.stderr.write(`${fault}\n`);
process.stdout.write(`${files} files read, ${faults.length} imports against the rules\n`);
const fewest = 120;
if (files < fewest)
  process.stderr.write(`expected to read at least ${fewest} files: is the table of folders still right?\n`);
process.exitCode = faults.length > 0 || files < fewest ? 1 : 0;
