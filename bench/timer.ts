/** One side of a comparison. */
export interface Contestant {
  readonly name: string;
  /** Runs `repetitions` times and returns the seconds that all of them took. */
  run(repetitions: number): number | Promise<number>;
}

export interface Timing {
  readonly name: string;
  /** Seconds of one repetition. */
  readonly median: number;
  readonly best: number;
  readonly worst: number;
}

export interface CompareOptions {
  /** Rounds counted; in each round every contestant runs once, so that all see the machine in the same moods. */
  readonly rounds?: number;
  /** Rounds not counted, first. */
  readonly warmup?: number;
  readonly repetitions?: number;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] as number;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] as number) + upper) / 2;
}

/** Times contestants in turn, A B A B ..., after a warm-up. */
export async function compare(
  contestants: readonly Contestant[],
  options: CompareOptions = {},
): Promise<Timing[]> {
  const { rounds = 15, warmup = 3, repetitions = 1 } = options;
  const seconds = contestants.map((): number[] => []);
  for (let round = -warmup; round < rounds; round++) {
    for (const [i, contestant] of contestants.entries()) {
      const each = (await contestant.run(repetitions)) / repetitions;
      if (round >= 0) seconds[i]?.push(each);
    }
  }
  return contestants.map(({ name }, i) => {
    const mine = seconds[i] as number[];
    return { name, median: median(mine), best: Math.min(...mine), worst: Math.max(...mine) };
  });
}

/** A contestant of this process. */
export function here(name: string, body: () => void): Contestant {
  return {
    name,
    run(repetitions) {
      const start = process.hrtime.bigint();
      for (let i = 0; i < repetitions; i++) body();
      return Number(process.hrtime.bigint() - start) / 1e9;
    },
  };
}

function duration(seconds: number): string {
  if (seconds < 1e-5) return `${(seconds * 1e9).toFixed(0)} ns`;
  if (seconds < 1e-2) return `${(seconds * 1e6).toFixed(1)} us`;
  return `${(seconds * 1e3).toFixed(1)} ms`;
}

/** Prints timings with their ratio to the one named `against`, the first unless told. */
export function report(title: string, timings: readonly Timing[], against = timings[0]?.name): void {
  const base = timings.find(({ name }) => name === against)?.median ?? Number.NaN;
  const width = Math.max(...timings.map(({ name }) => name.length));
  process.stdout.write(`\n${title}\n`);
  for (const { name, median: middle, best, worst } of timings) {
    const ratio = `${(middle / base).toFixed(3)} x`;
    const range = `${duration(best)} .. ${duration(worst)}`;
    process.stdout.write(
      `  ${name.padEnd(width)}  ${duration(middle).padStart(10)}  ${ratio.padStart(9)}  (${range})\n`,
    );
  }
}
