import { readdirSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { EngineError } from "../../data/errors.js";
import { isVideo } from "../../inference/video.js";

const endings = /\.(jpe?g|png|webp|bmp|tiff?|gif|avif)$/i;

/** Files of a pattern whose last part holds * or ?. */
function matching(pattern: string): string[] {
  const folder = join(pattern, "..");
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory())
    throw new EngineError("FILE", `${pattern}: there is no folder ${folder}`);
  const test = new RegExp(
    `^${basename(pattern)
      .replace(/[.+^$(){}|[\]\\]/g, "\\$&")
      .replace(/\*/g, ".*")
      .replace(/\?/g, ".")}$`,
  );
  return readdirSync(folder)
    .filter((name) => test.test(name))
    .sort()
    .map((name) => join(folder, name));
}

/** Files of a path, a folder or a pattern; pictures and videos. */
export function filesOf(place: string): string[] {
  if (place === "-") return [place];
  if (/[*?]/.test(basename(place))) {
    const found = matching(place);
    if (found.length === 0) throw new EngineError("FILE", `${place}: no file fits this pattern`);
    return found;
  }
  const stat = statSync(place, { throwIfNoEntry: false });
  if (stat === undefined) throw new EngineError("FILE", `${place}: there is no such file or folder`);
  if (!stat.isDirectory()) return [place];
  const found = readdirSync(place, { recursive: true, encoding: "utf8" })
    .filter((name) => endings.test(name) || isVideo(name))
    .sort();
  if (found.length === 0)
    throw new EngineError("FILE", `${place}: there are no pictures or videos in this folder`);
  return found.map((name) => join(place, name));
}
