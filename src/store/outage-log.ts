/**
 * What is told of a database in trouble: one line when it begins, one when it is over, and one now and then in between,
 * however many calls fail. Trouble is over when a call was answered and none has failed for a while, so that a server which
 * answers one call and refuses the next (too many connections, say) is one trouble and not a hundred.
 */
import type { Clock } from "../platform/clock.ts";
import { driverMessage } from "./store-error.ts";

export interface OutageLog {
  /** A connection was lost or refused, or the server cannot serve. */
  failed(error: unknown): void;
  answered(): void;
}

export interface OutageLogDeps {
  /** The server's name in the log. */
  readonly where: string;
  readonly clock: Clock;
  readonly log: (message: string) => void;
}

/** So long after the last failure an answer means that it is over. */
const calmMs = 2_000;
const remindEveryMs = 30_000;

interface Trouble {
  readonly since: number;
  failures: number;
  lastFailureAt: number;
  /** The first answer after the last failure. */
  answeredAt: number | undefined;
  remindedAt: number;
}

export function createOutageLog({ where, clock, log }: OutageLogDeps): OutageLog {
  let trouble: Trouble | undefined;

  function failed(error: unknown): void {
    const now = clock.monotonic();
    if (trouble === undefined) {
      trouble = { since: now, failures: 1, lastFailureAt: now, answeredAt: undefined, remindedAt: now };
      log(`Trouble with PostgreSQL at ${where}: ${driverMessage(error)}. It is tried again.`);
      return;
    }
    trouble.failures += 1;
    trouble.lastFailureAt = now;
    trouble.answeredAt = undefined;
    if (now - trouble.remindedAt < remindEveryMs) return;
    trouble.remindedAt = now;
    log(`Still trouble with PostgreSQL at ${where}, ${lengthOf(trouble, now)}: ${driverMessage(error)}.`);
  }

  function answered(): void {
    if (trouble === undefined) return;
    const now = clock.monotonic();
    trouble.answeredAt ??= now;
    if (now - trouble.lastFailureAt < calmMs) return;
    log(`PostgreSQL at ${where} is well again, ${lengthOf(trouble, trouble.answeredAt)}.`);
    trouble = undefined;
  }

  return { failed, answered };
}

function lengthOf({ since, failures }: Trouble, until: number): string {
  return `after ${((until - since) / 1_000).toFixed(1)} s and ${failures} ${failures === 1 ? "failure" : "failures"}`;
}
