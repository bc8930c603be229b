/** Attempts at one model, one after the other, as long as another one is worth it and the retry budget has one. */
import type { Clock } from "../../platform/clock.ts";
import type { Random } from "../../platform/random.ts";
import type { ModelFailure } from "../call/classify.ts";
import type { OutsideTime } from "../call/outside-time.ts";
import { isTransient, retryPauseMs } from "../call/retry-pause.ts";
import type { ModelRecords } from "./model-records.ts";

export type Outcome<Reply> = { readonly reply: Reply } | { readonly failure: ModelFailure; readonly repeat: Repeat };

/**
 * Whether to ask the same model again: not if it was not even asked this time; only where there is nobody else, if it took its
 * time to fail.
 */
export type Repeat = "soon" | "if_alone" | "never";

export interface RepeatParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly records: ModelRecords;
  /** Attempts at one model. */
  readonly attempts: number;
  readonly observer: { retried(model: string): void };
}

/** A call that may wait. */
export interface Waits {
  readonly signal: AbortSignal;
  readonly time: OutsideTime;
  /** How long it may still wait, for the gate or between attempts, before it must give its slot back. */
  waitLeftMs: number;
}

/** What a call may wait in all: nothing holds a worker for long. */
export const longestWaitMs = 20_000;

export interface Tries<Reply> {
  readonly model: string;
  /** Nobody else can be asked instead. */
  readonly isAlone: boolean;
  readonly attempt: () => Promise<Outcome<Reply>>;
}

/** @throws the signal's reason when it aborts, and what `attempt` does */
export async function tryRepeatedly<Reply>(
  { clock, random, records, attempts, observer }: RepeatParts,
  call: Waits,
  { model, isAlone, attempt }: Tries<Reply>,
): Promise<{ reply: Reply } | { failure: ModelFailure }> {
  const { retries, breaker } = records.of(model);
  retries.payIn();
  for (let tried = 1; ; tried++) {
    call.signal.throwIfAborted();
    const outcome = await attempt();
    if ("reply" in outcome) return outcome;
    const { failure, repeat } = outcome;
    const again = repeat === "soon" || (repeat === "if_alone" && isAlone);
    if (!again || tried >= attempts || !isTransient(failure.code)) return outcome;
    // This failure may have been the one too many.
    if (!breaker.admits) return { failure: { ...failure, retryAfterMs: Math.ceil(breaker.openForMs) } };
    const waitMs = retryPauseMs(failure, { tried, random });
    if (waitMs > call.waitLeftMs || !retries.take()) return outcome;
    observer.retried(model);
    call.waitLeftMs -= waitMs;
    await call.time.during(() => clock.sleep(waitMs, call.signal));
  }
}
