import type { ByteSource } from "../../src/eval/index.js";

/** A text, or a value as JSON, `size` bytes at a time. */
export function bytesOf(value: unknown, size = 70_001): ByteSource {
  const bytes = new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value));
  let at = 0;
  return (into) => {
    const count = Math.min(into.length, bytes.length - at, size);
    into.set(bytes.subarray(at, at + count));
    at += count;
    return count;
  };
}
