/**
 * A clock that stands still until a test moves it. Nothing waits in real time.
 *
 * @example
 * const clock = createVirtualClock();
 * const slept = clock.sleep(60_000);
 * await clock.advance(60_000);
 * await slept;
 */
import { setImmediate as continuations } from "node:timers/promises";
import type { Clock } from "../platform/clock.ts";

export interface VirtualClock extends Clock {
  /**
   * Moves the time on. Whatever falls due on the way runs in order, each at its own time, and what it sets off in promises has
   * run before the next: a loop that sleeps again and again goes round as often as it would have.
   */
  advance(ms: number): Promise<void>;
  /** How many sleeps and timers wait. */
  readonly pending: number;
}

interface Alarm {
  readonly at: number;
  readonly run: () => void;
}

/** @param start milliseconds since the epoch; default 0 */
export function createVirtualClock(start = 0): VirtualClock {
  let now = start;
  const alarms = new Set<Alarm>();

  function timer(ms: number, run: () => void): () => void {
    const alarm: Alarm = { at: now + Math.max(0, ms), run };
    alarms.add(alarm);
    return () => void alarms.delete(alarm);
  }

  // A set keeps the order of insertion, so alarms of one moment ring in the order they were set.
  function nextDue(until: number): Alarm | undefined {
    let next: Alarm | undefined;
    for (const alarm of alarms) {
      if (alarm.at <= until && (next === undefined || alarm.at < next.at)) next = alarm;
    }
    return next;
  }

  return {
    now: () => now,
    monotonic: () => now - start,
    timer,
    sleep: sleepOn(timer),
    async advance(ms) {
      const until = now + ms;
      await continuations();
      for (let due = nextDue(until); due; due = nextDue(until)) {
        alarms.delete(due);
        now = due.at;
        due.run();
        await continuations();
      }
      now = until;
    },
    get pending() {
      return alarms.size;
    },
  };
}

/** The sleep of a clock whose timers are these. */
export function sleepOn(timer: Clock["timer"]): Clock["sleep"] {
  return (ms, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const onAbort = (): void => {
        cancel();
        reject(signal?.reason);
      };
      const cancel = timer(ms, () => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      });
      signal?.addEventListener("abort", onAbort, { once: true });
    });
}
