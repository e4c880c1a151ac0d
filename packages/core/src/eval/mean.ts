/** Sum of `values` from `first`, in numpy's order of additions: eight sums side by side, halves of longer lists. */
function pairwiseSum(values: Float64Array, first: number, count: number): number {
  if (count < 8) {
    let sum = 0;
    for (let i = 0; i < count; i++) sum += values[first + i] as number;
    return sum;
  }
  if (count > 128) {
    const half = count >> 1;
    const left = half - (half % 8);
    return pairwiseSum(values, first, left) + pairwiseSum(values, first + left, count - left);
  }
  const at = (i: number): number => values[first + i] as number;
  let [a, b, c, d, e, f, g, h] = [at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7)];
  const whole = count - (count % 8);
  for (let i = 8; i < whole; i += 8) {
    a += at(i);
    b += at(i + 1);
    c += at(i + 2);
    d += at(i + 3);
    e += at(i + 4);
    f += at(i + 5);
    g += at(i + 6);
    h += at(i + 7);
  }
  let sum = a + b + (c + d) + (e + f + (g + h));
  for (let i = whole; i < count; i++) sum += values[first + i] as number;
  return sum;
}

/** Mean of the first `count`, added in numpy's order; -1 of none. */
export const meanOf = (values: Float64Array, count: number): number =>
  count === 0 ? -1 : pairwiseSum(values, 0, count) / count;
