/**
 * What a process may do while the store does not answer: go on at the pace it had. Each of its grants that ages out may be
 * given out once more. The grants of all processes together were within the limit, so they stay within it, whatever anyone
 * knows of the others; more than that is refused until the store answers. When it does, it keeps free what each had until all
 * have told what they did. (If the store answers all but this process, the others take what ages out of it for free, and the
 * limit may be exceeded by this process's part.)
 */
import type { Use } from "./recent-use.ts";

/** Null: no limit is known, and so there is none to keep. */
export interface OwnPace {
  readonly requests: number | null;
  readonly tokens: number | null;
  readonly inFlight: number | null;
}

/** @param now what the process has used of the last window, and how many of its calls are under way */
export function keepsPace(pace: OwnPace, now: Use & { inFlight: number }, tokens: number): boolean {
  if (pace.inFlight !== null && now.inFlight + 1 > pace.inFlight) return false;
  if (pace.requests !== null && now.requests + 1 > pace.requests) return false;
  return pace.tokens === null || now.tokens + tokens <= pace.tokens;
}
