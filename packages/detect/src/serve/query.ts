import { mostObjects, type ServeOptions, usualObjects } from "./options.js";
import { Problem } from "./problem.js";

/** What a request asks for. */
export interface Query {
  readonly score: number;
  readonly max: number;
  /** Labels, or null for all. */
  readonly classes: ReadonlySet<number> | null;
  readonly draw: boolean;
}

const known = ["score", "max", "classes", "draw"];

function numberOf(name: string, text: string, low: number, high: number, isWhole: boolean): number {
  const value = Number(text);
  if (text.trim() !== "" && value >= low && value <= high && (!isWhole || Number.isInteger(value)))
    return value;
  throw new Problem(
    "bad-query",
    `${name}: expected a ${isWhole ? "whole " : ""}number from ${low} to ${high}, got "${text}"`,
  );
}

function labelsOf(texts: readonly string[], classes: readonly string[]): ReadonlySet<number> {
  const wanted = texts.flatMap((text) => text.split(",")).map((name) => name.trim());
  return new Set(
    wanted.map((name) => {
      const label = classes.indexOf(name);
      if (label >= 0) return label;
      const id = Number(name);
      if (name !== "" && Number.isInteger(id) && id >= 1 && id <= classes.length) return id - 1;
      throw new Problem(
        "bad-query",
        `classes: the model has no class "${name}"; expected names or category ids of GET /v1/model, with commas ` +
          `between them, as ${classes.slice(0, 3).join(",")}`,
      );
    }),
  );
}

/**
 * Reads ?score=, ?max=, ?classes= and ?draw=.
 * @throws Problem bad-query naming the parameter, what was expected and what came
 */
export function parseQuery(
  query: URLSearchParams,
  classes: readonly string[],
  { score, leastScore }: Pick<ServeOptions, "score" | "leastScore">,
): Query {
  for (const name of query.keys())
    if (!known.includes(name))
      throw new Problem("bad-query", `unknown parameter "${name}"; expected ${known.join(", ")}`);
  const one = (name: string): string | undefined => query.getAll(name).at(-1);
  const [wantedScore, wantedMax, draw = "0"] = [one("score"), one("max"), one("draw")];
  if (!["0", "1", "true", "false"].includes(draw))
    throw new Problem("bad-query", `draw: expected 1 or 0, got "${draw}"`);
  return {
    score: wantedScore === undefined ? score : numberOf("score", wantedScore, leastScore, 1, false),
    max: wantedMax === undefined ? usualObjects : numberOf("max", wantedMax, 1, mostObjects, true),
    classes: query.has("classes") ? labelsOf(query.getAll("classes"), classes) : null,
    draw: draw === "1" || draw === "true",
  };
}
