import { existsSync, readdirSync } from "node:fs";
import { dirname, isAbsolute, join } from "node:path";

/** Names that differ only in case or in how accents are composed are the same on some systems, not on others. */
const key = (name: string): string => name.normalize("NFC").toLowerCase();

interface Listing {
  readonly names: ReadonlySet<string>;
  /** Real name of each key. */
  readonly byKey: ReadonlyMap<string, string>;
}

/** Finds the pictures that annotations name. Folders are listed once. */
export class PictureFinder {
  readonly #listings = new Map<string, Listing>();

  #listing(folder: string): Listing {
    let listing = this.#listings.get(folder);
    if (listing === undefined) {
      const names = existsSync(folder) ? readdirSync(folder) : [];
      listing = { names: new Set(names), byKey: new Map(names.map((name) => [key(name), name])) };
      this.#listings.set(folder, listing);
    }
    return listing;
  }

  /** The file of that name, if need be of another case or with the other system's slashes; null, there is none. */
  find(folder: string, name: string): string | null {
    for (const spelling of new Set([name, name.replaceAll("\\", "/")])) {
      const path = isAbsolute(spelling) ? spelling : join(folder, spelling);
      const parent = dirname(path);
      const own = path.slice(parent.length).replace(/^[\\/]/, "");
      const { names, byKey } = this.#listing(parent);
      if (names.has(own)) return path;
      const other = byKey.get(key(own));
      if (other !== undefined) return join(parent, other);
    }
    return null;
  }

  /** As {@link find}; where there is none, the path at which it was expected. */
  pathOf(folder: string, name: string): string {
    return this.find(folder, name) ?? (isAbsolute(name) ? name : join(folder, name));
  }
}

/** Of several folders the one that holds most of these pictures, as far as a few of them tell; null, none has any. */
export function folderOf(names: readonly string[], places: readonly string[]): string | null {
  const step = Math.max(1, Math.floor(names.length / 20));
  const some = names.filter((_, i) => i % step === 0);
  const finder = new PictureFinder();
  let [best, most]: [string | null, number] = [null, 0];
  for (const place of new Set(places)) {
    const count = some.filter((name) => finder.find(place, name) !== null).length;
    if (count > most) [best, most] = [place, count];
  }
  return best;
}
