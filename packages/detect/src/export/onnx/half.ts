import type { Graph } from "./graph.js";
import { attribute, elementTypes } from "./proto.js";

const { float32, float16 } = elementTypes;

/** The nearest half of a float32 number, ties to even; what is too large becomes infinite. */
export function halfBits(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (Number.isNaN(value)) return 0x7e00;
  if (size >= 65520) return sign | 0x7c00;
  if (size < 2 ** -25) return sign;
  const exponent = Math.max(-14, Math.floor(Math.log2(size)));
  // A step of 2^(exponent - 10); rounding may carry into the exponent, which the sum below allows for.
  const steps = size / 2 ** (exponent - 10);
  const floor = Math.floor(steps);
  const rest = steps - floor;
  const rounded = rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
  return sign | (rounded < 1024 ? rounded : ((exponent + 14) << 10) + rounded);
}

/**
 * Makes a graph compute in float16: its constants and casts, and a cast after the input. What it gave as float32 is still
 * float32 where it is cast back.
 * @param input name of the float32 input
 * @returns the name under which a value is float32 again
 */
export function toHalf(graph: Graph, input: string): (value: string) => string {
  for (const [name, tensor] of graph.initializers) {
    if (tensor.dataType !== float32) continue;
    const { buffer, byteOffset, byteLength } = tensor.rawData;
    const values = new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer);
    const bits = Uint16Array.from(values, halfBits);
    graph.initializers.set(name, { ...tensor, dataType: float16, rawData: new Uint8Array(bits.buffer) });
  }
  for (const [i, node] of graph.nodes.entries()) {
    if (node.opType !== "Cast") continue;
    const changed = node.attribute.map((one) => (one.i === float32 ? attribute("to", float16) : one));
    graph.nodes[i] = { ...node, attribute: changed };
  }
  const half = `${input}_half`;
  for (const node of graph.nodes) node.input = node.input.map((name) => (name === input ? half : name));
  graph.nodes.unshift({
    input: [input],
    output: [half],
    name: half,
    opType: "Cast",
    attribute: [attribute("to", float16)],
  });
  graph.forget();
  return (value) => graph.node("Cast", [value], { to: float32 });
}
