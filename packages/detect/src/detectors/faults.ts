import type { z } from "zod";

type Issue = z.core.$ZodIssue;

const shown = (value: unknown): string => {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
};

/** "input.scales[0]" */
const pathOf = (path: readonly PropertyKey[]): string =>
  path
    .map((key) => (typeof key === "number" ? `[${key}]` : `.${String(key)}`))
    .join("")
    .replace(/^\./, "");

function faultOf(issue: Issue): string[] {
  if (issue.code === "unrecognized_keys")
    return issue.keys.map((key) => `${pathOf([...issue.path, key])}: there is no such setting`);
  const expected = issue.message
    .replace(/^(Invalid input|Invalid option|Too small|Too big|Invalid number): /, "")
    .replace(/, received .*$/, "");
  const place = issue.path.length === 0 ? "" : `${pathOf(issue.path)}: `;
  return [`${place}${expected}, got ${shown(issue.input)}`];
}

/** What is wrong with a configuration, a line each: the path, what was expected, what came. */
export const faultsOf = (error: z.ZodError): string[] => error.issues.flatMap(faultOf);
