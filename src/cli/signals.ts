/** Being told to stop: the first time it is done in order, the second time at once. */
import type { Clock } from "../platform/clock.ts";

/** npm passes Ctrl-C on to a process that the terminal has told already: two so close together are one. */
const togetherMs = 300;

/** @returns what to call each time: it runs `first` the first time, and `again` from the second time on */
export function inTwoStages<Args extends readonly unknown[]>(
  clock: Clock,
  { first, again }: { first: (...args: Args) => void; again: (...args: Args) => void },
): (...args: Args) => void {
  let firstAt: number | undefined;
  return (...args) => {
    if (firstAt === undefined) {
      firstAt = clock.monotonic();
      first(...args);
    } else if (clock.monotonic() - firstAt > togetherMs) again(...args);
  };
}

const parentCheckMs = 1000;

/**
 * Resolves when the process that started this one is gone. npm runs a script in a shell that dies of a signal without passing
 * it on: the server would live on unseen, with its port and its data.
 */
export async function untilOrphaned(clock: Clock, signal: AbortSignal): Promise<void> {
  const parent = process.ppid;
  while (process.ppid === parent && !signal.aborted) await clock.sleep(parentCheckMs, signal);
}

/** Resolves with the first SIGINT or SIGTERM. From then on another one ends the process at once. */
export function untilSignalled(clock: Clock): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    const onSignal = inTwoStages<[signal: NodeJS.Signals, number: number]>(clock, {
      first: (signal) => resolve(signal),
      again: (_signal, number) => process.exit(128 + number),
    });
    process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
  });
}
