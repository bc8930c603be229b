/** What a failure of the task itself does to its state: how long it waits, whether it is over, whether it was too long to be taken. */
import type { FailureEntry } from "./journal.ts";

/** A failure for want of a model passes with the outage, however often it is met: it counts by time and not by number. */
export interface Failures {
  /** Not for want of a model. */
  readonly own: number;
  readonly outages: number;
  /** When the first of these outages was met. */
  readonly outageSince: number | null;
}

export interface Failing {
  /** In a row, and when to try again. */
  readonly failures: Failures;
  readonly retryAt: number | null;
  /** The failure that no retry can mend. */
  readonly fatal: { readonly code: string; readonly message: string } | null;
  /** Why the last model turn was refused as too long, if none was taken since. */
  readonly tooLong: string | null;
}

export const noFailures: Failures = { own: 0, outages: 0, outageSince: null };

/** Whether a failure with this code is for want of a model that will be there again. */
export function isOutage(code: string): boolean {
  return code === "model_unavailable" || code === "model_rate_limited";
}

export function afterFailure({ failures, tooLong }: Failing, entry: FailureEntry & { at: number }): Failing {
  const { own, outages, outageSince } = failures;
  return {
    failures: isOutage(entry.code)
      ? { own, outages: outages + 1, outageSince: outageSince ?? entry.at }
      : { ...failures, own: own + 1 },
    retryAt: entry.retryAt,
    fatal: entry.retryAt === null ? entry : null,
    tooLong: entry.code === "model_context_too_long" ? entry.message : tooLong,
  };
}
