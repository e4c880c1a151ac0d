import { copyFileSync, existsSync, linkSync, mkdirSync, readdirSync } from "node:fs";
import { basename, dirname, extname } from "node:path";
import { EngineError } from "../errors.js";
import type { ImageRecord } from "../types.js";

/** What a format has no place for, counted. */
export interface Losses {
  crowds: number;
  emptyBoxes: number;
  missingImages: number;
}

/** File names without folders, each once: pictures of several folders come into one. */
export class UniqueNames {
  readonly #stems = new Set<string>();

  /** The picture's own name, or with a number where another has its stem (in any case) already. */
  of({ file }: ImageRecord): string {
    const ending = extname(file);
    const stem = basename(file, ending);
    let name = stem;
    for (let n = 2; this.#stems.has(name.toLowerCase()); n++) name = `${stem}_${n}`;
    this.#stems.add(name.toLowerCase());
    return `${name}${ending}`;
  }
}

/** @throws EngineError BAD_ARGUMENT when there is something in the folder already */
export function makeEmptyFolder(folder: string): void {
  if (existsSync(folder) && readdirSync(folder).length > 0)
    throw new EngineError(
      "BAD_ARGUMENT",
      `${folder}: expected a folder that is new or empty; it holds files already`,
    );
  mkdirSync(folder, { recursive: true });
}

/** Copies a picture, or makes it another name of the same file; false, there is no picture. */
export function placePicture(from: string, to: string, how: "copy" | "link"): boolean {
  if (!existsSync(from)) return false;
  mkdirSync(dirname(to), { recursive: true });
  if (how === "copy") copyFileSync(from, to);
  else linkSync(from, to);
  return true;
}
