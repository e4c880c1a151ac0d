/**
 * Parses a JSON object of objects into maps. JSON.parse alone would let a name stand twice, and turn "__proto__" into
 * something else than a name.
 */
export function parseHeaderJson(bytes: Uint8Array, error: (message: string) => Error): Map<string, unknown> {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
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

const quote = 0x22;
const backslash = 0x5c;
const colon = 0x3a;
const isSpace = (code: number): boolean => code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;

/** Number of `"name":` pairs in valid JSON text. */
function countNames(text: string): number {
  let count = 0;
  for (let at = text.indexOf('"'); at >= 0; at = text.indexOf('"', at)) {
    for (at++; text.charCodeAt(at) !== quote; at++) if (text.charCodeAt(at) === backslash) at++;
    for (at++; isSpace(text.charCodeAt(at)); ) at++;
    if (text.charCodeAt(at) === colon) count++;
  }
  return count;
}
