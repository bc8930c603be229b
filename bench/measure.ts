/** Runs a task again and again, so many at a time, and says how many were done and how long each took. */

export interface Load {
  readonly warmUpMs: number;
  readonly measureMs: number;
}

export interface Measured {
  readonly tasksPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Including those of the warm-up. */
  readonly allTasks: number;
}

export async function measure(
  task: () => Promise<void>,
  { warmUpMs, measureMs, concurrency }: Load & { concurrency: number },
): Promise<Measured> {
  const begin = performance.now();
  const measureFrom = begin + warmUpMs;
  const end = measureFrom + measureMs;
  const durations: number[] = [];
  let allTasks = 0;
  const client = async (): Promise<void> => {
    for (let now = performance.now(); now < end; now = performance.now()) {
      await task();
      allTasks += 1;
      const done = performance.now();
      if (done >= measureFrom && done < end) durations.push(done - now);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, client));
  durations.sort((a, b) => a - b);
  return {
    tasksPerSecond: durations.length / (measureMs / 1_000),
    p50Ms: percentile(durations, 0.5),
    p99Ms: percentile(durations, 0.99),
    allTasks,
  };
}

function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
