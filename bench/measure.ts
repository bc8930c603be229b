/**
 * Runs a task again and again, so many at a time, and says how many were done and how long each took.
 *
 * A client takes the next task when it has the result of the last one. Warming up and measuring both last until at least
 * as many tasks were done as there are clients, so that an engine whose tasks take longer than the time that was given is
 * still measured, and not by what happened to fall into a window.
 */

export interface Load {
  readonly warmUpMs: number;
  readonly measureMs: number;
}

export interface Measured {
  readonly tasksPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Those that the figures above come from. */
  readonly tasks: number;
  /** Including those of the warm-up, and those in flight when the time was over. */
  readonly allTasks: number;
}

interface MeasureOptions extends Load {
  readonly concurrency: number;
  /** Called when measuring begins and when it ends. */
  readonly onEdge?: (edge: "begin" | "end") => void;
}

export async function measure(task: () => Promise<void>, options: MeasureOptions): Promise<Measured> {
  const { warmUpMs, measureMs, concurrency, onEdge } = options;
  const durations: number[] = [];
  const begin = performance.now();
  let measureFrom: number | undefined;
  let measuredMs: number | undefined;
  let allTasks = 0;

  const count = (durationMs: number, now: number): void => {
    allTasks += 1;
    if (measuredMs !== undefined) return;
    if (measureFrom === undefined) {
      if (now - begin < warmUpMs || allTasks < concurrency) return;
      measureFrom = now;
      return onEdge?.("begin");
    }
    durations.push(durationMs);
    if (now - measureFrom < measureMs || durations.length < concurrency) return;
    measuredMs = now - measureFrom;
    onEdge?.("end");
  };
  const client = async (): Promise<void> => {
    while (measuredMs === undefined) {
      const from = performance.now();
      await task();
      const now = performance.now();
      count(now - from, now);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, client));

  durations.sort((a, b) => a - b);
  return {
    tasksPerSecond: (durations.length / (measuredMs ?? Number.NaN)) * 1_000,
    p50Ms: percentile(durations, 0.5),
    p99Ms: percentile(durations, 0.99),
    tasks: durations.length,
    allTasks,
  };
}

/** @param sorted ascending; NaN of none */
export function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
