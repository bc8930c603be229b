/**
 * A process that cannot keep up takes no new work, so that what it has goes on: submits are refused with 503 while its
 * event loop is late. What it has accepted, reading, deciding and cancelling are never refused.
 *
 * States: accepting → (late twice in a row) shedding → (in time three times in a row) accepting. Between the two bounds
 * nothing changes.
 */
import type { Clock } from "../platform/clock.ts";
import { InvalidInputError, UnavailableError } from "../platform/errors.ts";
import type { EventLoop } from "../platform/event-loop.ts";
import type { Random } from "../platform/random.ts";
import { repeat } from "../platform/repeat.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";

/** Milliseconds by which the event loop is late, in the mean of a second. */
export interface OverloadOptions {
  /** New tasks are refused above it; default 500. */
  readonly shedAboveMs?: number;
  /** They are accepted again below it; default half of `shedAboveMs`. */
  readonly acceptBelowMs?: number;
}

export type OverloadLimits = Required<OverloadOptions>;

export interface Overload {
  readonly isShedding: boolean;
  /** @throws UnavailableError `overloaded` */
  admit(): void;
  /** Looks at the event loop, as happens once a second. */
  look(): void;
  stop(): void;
}

export interface OverloadDeps {
  readonly eventLoop: EventLoop;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Undefined: nothing is ever refused. */
  readonly limits: OverloadLimits | undefined;
}

export interface Shedding {
  readonly isShedding: boolean;
  /** Looks in a row that spoke for the other state. */
  readonly against: number;
}

export const accepting: Shedding = { isShedding: false, against: 0 };

const lookEveryMs = 1_000;
const looksToShed = 2;
const looksToAccept = 3;
const comeBackMs = { least: 1_000, most: 5_000 };
const defaultShedAboveMs = 500;

/** @throws InvalidInputError `invalid_config` */
export function overloadLimits(options: OverloadOptions): OverloadLimits {
  const { shedAboveMs = defaultShedAboveMs, acceptBelowMs = shedAboveMs / 2 } = options;
  if (acceptBelowMs > 0 && acceptBelowMs <= shedAboveMs && Number.isFinite(shedAboveMs)) {
    return { shedAboveMs, acceptBelowMs };
  }
  const message = `/overload: shedAboveMs is ${shedAboveMs} and acceptBelowMs ${acceptBelowMs}; the second must be above 0 and not above the first.`;
  throw new InvalidInputError("invalid_config", message, "/overload");
}

/** The state after one more look. */
export function nextShedding(state: Shedding, lagMs: number, limits: OverloadLimits): Shedding {
  const speaksAgainst = state.isShedding ? lagMs < limits.acceptBelowMs : lagMs > limits.shedAboveMs;
  const against = speaksAgainst ? state.against + 1 : 0;
  if (against < (state.isShedding ? looksToAccept : looksToShed)) return { ...state, against };
  return { isShedding: !state.isShedding, against: 0 };
}

export function watchOverload({ eventLoop, clock, random, log, metrics, limits }: OverloadDeps): Overload {
  let state = accepting;
  let lagMs = 0;

  const look = (): void => {
    lagMs = eventLoop.look();
    if (limits === undefined) return;
    const next = nextShedding(state, lagMs, limits);
    if (next.isShedding !== state.isShedding) {
      const lag = { lagMs: Math.round(lagMs) };
      if (next.isShedding) log.warn(lag, "this process cannot keep up: new tasks are refused until it can");
      else log.info(lag, "this process keeps up again: new tasks are accepted");
    }
    state = next;
  };
  const unobserve = metrics.observeProcess(() => ({ lagMs, isShedding: state.isShedding }));
  const stopLooking = repeat(clock, lookEveryMs, look);

  return {
    get isShedding() {
      return state.isShedding;
    },
    look,
    admit() {
      if (!state.isShedding) return;
      metrics.taskRejected("overloaded");
      const afterMs = comeBackMs.least + random() * (comeBackMs.most - comeBackMs.least);
      throw new UnavailableError("overloaded", "This process has more to do than it can. Try again later.", {
        afterMs,
      });
    },
    stop() {
      stopLooking();
      unobserve();
      eventLoop.stop();
    },
  };
}
