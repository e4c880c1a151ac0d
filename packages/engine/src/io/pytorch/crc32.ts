import * as zlib from "node:zlib";

// Node has it from 20.15 on.
const native = (zlib as { crc32?: (bytes: Uint8Array, before?: number) => number }).crc32;

const polynomial = 0xedb88320;
const table = Int32Array.from({ length: 256 }, (_, byte) => {
  let remainder = byte;
  for (let bit = 0; bit < 8; bit++) remainder = (remainder >>> 1) ^ (remainder & 1 ? polynomial : 0);
  return remainder;
});

/** CRC-32 in plain JavaScript. */
export function slowCrc32(bytes: Uint8Array, before = 0): number {
  let crc = ~before;
  for (let i = 0; i < bytes.length; i++)
    crc = (crc >>> 8) ^ (table[(crc ^ (bytes[i] as number)) & 0xff] as number);
  return ~crc >>> 0;
}

/** CRC-32 as zip files hold it (IEEE 802.3), carried on from that of the bytes before. */
export const crc32: (bytes: Uint8Array, before?: number) => number = native ?? slowCrc32;
