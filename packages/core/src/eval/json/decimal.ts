/** All powers of ten that are exact in binary. */
export const powers: readonly number[] = Array.from({ length: 23 }, (_, i) => Number(`1e${i}`));

/** Splits a number of 53 bits into two of 26 (Veltkamp), so that their products are exact. */
const splitter = 2 ** 27 + 1;

/** What `product`, a times b rounded, lacks (Dekker). */
function lackOf(a: number, b: number, product: number): number {
  const [p, q] = [splitter * a, splitter * b];
  const a1 = p - (p - a);
  const a2 = a - a1;
  const b1 = q - (q - b);
  const b2 = b - b1;
  return a1 * b1 - product + a1 * b2 + a2 * b1 + a2 * b2;
}

/**
 * The number nearest to (upper * 10^shift + lower) / 10^scale, or NaN where it lies too near to the middle between two
 * to tell. upper < 10^15, lower < 10^shift, shift <= 4, scale <= 22: all are exact. Twice the usual precision is
 * carried, and the answer given only if an error far above what that leaves would not change it.
 */
export function divideExactly(upper: number, lower: number, shift: number, scale: number): number {
  const [by, divisor] = [powers[shift] as number, powers[scale] as number];
  const product = upper * by;
  const whole = product + lower;
  const rest = lower - (whole - product) + lackOf(upper, by, product);
  const first = whole / divisor;
  const back = first * divisor;
  const second = (whole - back - lackOf(first, divisor, back) + rest) / divisor;
  const doubt = first * 2 ** -90;
  const value = first + (second - doubt);
  return value === first + (second + doubt) ? value : Number.NaN;
}
