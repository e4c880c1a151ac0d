/** Stable sort of `places` by a key of 0 to `buckets` - 1; bucket b is `order[start[b]]` to `order[start[b + 1] - 1]`. */
export function countingSort(
  places: Int32Array,
  keyOf: Int32Array,
  buckets: number,
): { readonly order: Int32Array; readonly start: Int32Array } {
  const start = new Int32Array(buckets + 1);
  for (let i = 0; i < places.length; i++) {
    const bucket = (keyOf[places[i] as number] as number) + 1;
    start[bucket] = (start[bucket] as number) + 1;
  }
  for (let b = 0; b < buckets; b++) start[b + 1] = (start[b + 1] as number) + (start[b] as number);
  const next = start.slice(0, buckets);
  const order = new Int32Array(places.length);
  for (let i = 0; i < places.length; i++) {
    const place = places[i] as number;
    const bucket = keyOf[place] as number;
    const at = next[bucket] as number;
    order[at] = place;
    next[bucket] = at + 1;
  }
  return { order, start };
}

const digitBits = 11;
const radix = 1 << digitBits;

/** Keys of a sort: places with the words of their 64-bit keys beside them. */
interface Keyed {
  readonly place: Int32Array;
  readonly low: Uint32Array;
  readonly high: Uint32Array;
}

const keyed = (count: number): Keyed => ({
  place: new Int32Array(count),
  low: new Uint32Array(count),
  high: new Uint32Array(count),
});

/**
 * Stable sort of `places` by score, highest first (numpy's `argsort(-scores, kind="mergesort")`): by the upper word of
 * the numbers, 11 bits at a time, then by the lower within the few that share it. Scores are finite.
 */
export function sortByScore(places: Int32Array, scores: Float64Array): Int32Array {
  let from = descendingKeys(places, scores);
  let to = keyed(places.length);
  for (let shift = 0; shift < 32; shift += digitBits)
    if (sortByDigit(from, to, shift)) [from, to] = [to, from];
  const { place, high } = from;
  for (let first = 0, i = 1; i <= place.length; i++) {
    if (i < place.length && high[i] === high[first]) continue;
    if (i - first > 1) sortByLow(from, first, i);
    first = i;
  }
  return place;
}

/** 64-bit keys that ascend where scores descend. */
function descendingKeys(places: Int32Array, scores: Float64Array): Keyed {
  const out = keyed(places.length);
  const value = new Float64Array(1);
  const words = new Uint32Array(value.buffer);
  const [lowWord, highWord] = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1 ? [0, 1] : [1, 0];
  for (let i = 0; i < places.length; i++) {
    const place = places[i] as number;
    // Adding 0 makes -0 the 0 that it is equal to.
    value[0] = (scores[place] as number) + 0;
    const low = words[lowWord] as number;
    const high = words[highWord] as number;
    const negative = high >>> 31 === 1;
    out.place[i] = place;
    out.low[i] = negative ? low : ~low;
    out.high[i] = negative ? high : ~high ^ 0x80000000;
  }
  return out;
}

/** One pass by 11 bits of the upper word; false where all are the same there, and nothing was done. */
function sortByDigit(from: Keyed, to: Keyed, shift: number): boolean {
  const { place, low, high } = from;
  const count = place.length;
  const next = new Int32Array(radix);
  for (let i = 0; i < count; i++) {
    const digit = ((high[i] as number) >>> shift) & (radix - 1);
    next[digit] = (next[digit] as number) + 1;
  }
  if (count === 0 || next[((high[0] as number) >>> shift) & (radix - 1)] === count) return false;
  for (let digit = 0, sum = 0; digit < radix; digit++) {
    const own = next[digit] as number;
    next[digit] = sum;
    sum += own;
  }
  for (let i = 0; i < count; i++) {
    const key = high[i] as number;
    const digit = (key >>> shift) & (radix - 1);
    const at = next[digit] as number;
    next[digit] = at + 1;
    to.place[at] = place[i] as number;
    to.low[at] = low[i] as number;
    to.high[at] = key;
  }
  return true;
}

/** Sorts places `first` to `end - 1`, whose upper words are the same, by the lower ones. */
function sortByLow({ place, low }: Keyed, first: number, end: number): void {
  let sorted = true;
  for (let i = first + 1; i < end && sorted; i++) sorted = (low[i - 1] as number) <= (low[i] as number);
  if (sorted) return;
  const order = Int32Array.from({ length: end - first }, (_, i) => first + i);
  order.sort((a, b) => (low[a] as number) - (low[b] as number) || a - b);
  place.set(
    order.map((i) => place[i] as number),
    first,
  );
}
