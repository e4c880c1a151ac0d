import type { Tensor } from "@sepc/engine";
import { backwardThrough } from "./backward.js";
import type { Case } from "./case.js";

/** The names of a head's maps, without the level: of the outputs, and of their cotangents. */
type Names = Readonly<Record<string, readonly [out: string, cotangent: string]>>;

/** Compares the maps of a dense head, level by level, and runs backward from the case's cotangents. */
export function expectHeadMaps<K extends string>(
  golden: Case,
  maps: readonly Readonly<Record<K, Tensor>>[],
  names: Names & Record<K, unknown>,
): void {
  const all = maps.flatMap((level, i) =>
    Object.entries<readonly [string, string]>(names).map(([map, [out, cotangent]]) => {
      const value = level[map as K];
      golden.expect(`out/${out}${i}`, value);
      return [value, `${cotangent}${i}`] as const;
    }),
  );
  backwardThrough(golden, all);
}
