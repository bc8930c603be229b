import type { Clock } from "./clock.ts";

/** Runs something again and again until the answered function is called. What it runs must not throw. */
export function repeat(clock: Clock, everyMs: number, run: () => void): () => void {
  let cancel = (): void => {};
  const arm = (): void => {
    cancel = clock.timer(everyMs, () => {
      run();
      arm();
    });
  };
  arm();
  return () => cancel();
}
