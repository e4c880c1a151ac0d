import { EngineError } from "../errors.js";

/** An entry of a data set's files that makes no sense. */
export interface DatasetProblem {
  readonly file: string;
  /** Place in the file: "annotations.12.bbox", "object 3", "line 7". */
  readonly where: string;
  /** What was expected, and what came. */
  readonly detail: string;
}

/** Told of each such entry. Where it returns, the entry is left out and reading goes on. */
export type OnProblem = (problem: DatasetProblem) => void;

/** @throws EngineError BAD_ARGUMENT, always */
export const refuse: OnProblem = ({ file, where, detail }) => {
  throw new EngineError("BAD_ARGUMENT", `${file}: ${where}: ${detail}`);
};

/** A value as short text for messages. */
export function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
