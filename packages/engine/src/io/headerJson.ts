/**
 * Parses a JSON object of objects into maps. JSON.parse alone would let a name stand twice, and turn "__proto__" into
 * something else than a name.
 */
export function parseHeaderJson(bytes: Uint8Array, error: (message: string) => Error): Map<string, unknown> {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw error("expected UTF-8 text");
  }
  if (!text.startsWith("{")) throw error("expected a JSON object");
  let names = 0;
  let root: unknown;
  try {
    // Called for every value from the leaves up: objects become maps.
    root = JSON.parse(text, (_key, value: unknown) => {
      if (typeof value !== "object" || value === null || Array.isArray(value) || value instanceof Map)
        return value;
      const entries = Object.entries(value);
      names += entries.length;
      return new Map(entries);
    });
  } catch (cause) {
    throw error((cause as Error).message);
  }
  if (!(root instanceof Map)) throw error("expected a JSON object");
  if (countNames(text) !== names) throw error("a name stands twice");
  return root as Map<string, unknown>;
}

/** Number of `"name":` pairs in valid JSON text. */
function countNames(text: string): number {
  let count = 0;
  for (const match of text.matchAll(/"(?:[^"\\]|\\.)*"(\s*:)?/g)) if (match[1] !== undefined) count++;
  return count;
}
