/** How long the event loop keeps others waiting, behind an interface: measured here, told by a test elsewhere. */
import { monitorEventLoopDelay } from "node:perf_hooks";

export interface EventLoop {
  /** By how many milliseconds, in the mean, timers were late since the last look. */
  look(): number;
  stop(): void;
}

const resolutionMs = 20;

export function watchEventLoop(): EventLoop {
  const histogram = monitorEventLoopDelay({ resolution: resolutionMs });
  histogram.enable();
  return {
    look() {
      const { count, mean } = histogram;
      histogram.reset();
      // What is recorded is the time between two rings of a timer, in nanoseconds.
      return count === 0 ? 0 : Math.max(0, mean / 1e6 - resolutionMs);
    },
    stop: () => void histogram.disable(),
  };
}
