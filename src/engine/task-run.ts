/**
 * Runs one claimed task until it ends, waits, is given back, or is lost. This loop is the engine's specification: what was
 * decided upon is durable before anything follows from it, and nothing is held in memory that the journal does not have.
 */
import type { EntryBody } from "../agent/journal.ts";
import { isOutage } from "../agent/failures.ts";
import type { Clock } from "../platform/clock.ts";
import { HoldfastError, messageOf, type Retry } from "../platform/errors.ts";
import type { Random } from "../platform/random.ts";
import { ModelCallError } from "../gateway/model-gateway.ts";
import { StoreError } from "../store/store-error.ts";
import type { Inbox } from "./inbox.ts";
import { LeaseLostError, type TaskJournal } from "./task-journal.ts";
import type { EffectContext, OpenedProgram, Step } from "./program.ts";

export interface TaskRunDeps {
  readonly taskId: string;
  readonly journal: TaskJournal;
  readonly program: OpenedProgram;
  readonly clock: Clock;
  readonly random: Random;
  /** Gives the task back at the next boundary. */
  readonly stopping: AbortSignal;
  /** Drops the task now: the lease is lost, or the time to stop is over. */
  readonly abandoned: AbortSignal;
  /** Aborted with a `TaskCancelled`, or together with `abandoned`. */
  readonly cancelled: AbortSignal;
  readonly inbox: Inbox;
  readonly retries: RetryPolicy;
}

/** How a task that failed as a whole is tried again: exponential backoff with full jitter. */
export interface RetryPolicy {
  /** After so many failures in a row it is a dead letter; those for want of a model do not count. */
  readonly attempts: number;
  readonly baseMs: number;
  readonly mostMs: number;
  /** How long it waits for a model, where its own deadline does not come first. */
  readonly outageMs: number;
}

/** A weekend: an outage of the providers delays work and does not fail it, and yet no task waits for ever. */
const longestOutageMs = 72 * 3_600_000;

export const defaultRetries: RetryPolicy = {
  attempts: 20,
  baseMs: 1_000,
  mostMs: 300_000,
  outageMs: longestOutageMs,
};

/** Why `cancelled` aborts when somebody asked for it. */
export class TaskCancelled extends HoldfastError {
  readonly by: string;

  constructor(by: string) {
    super("cancelled", `Cancelled by ${by}.`);
    this.name = "TaskCancelled";
    this.by = by;
  }
}

export type RunOutcome = "completed" | "failed" | "cancelled" | "parked" | "handed_back";

/**
 * @returns "handed_back" when the worker must release the lease
 * @throws LeaseLostError when it must not touch the task any more; StoreError when the store refuses
 */
export async function runTask(run: TaskRunDeps): Promise<RunOutcome> {
  const { journal, program, clock, inbox } = run;
  // Bounded by the program's own limits: every step but the last leads to a model call, a tool call or a question.
  for (;;) {
    const step: Step = isCancelled(run) ? cancelStep(run) : program.next(clock.now());
    switch (step.type) {
      case "effect": {
        const written = journal.flush();
        if (!step.onlyReads || run.stopping.aborted || run.cancelled.aborted) await written;
        if (run.stopping.aborted) return "handed_back";
        if (isCancelled(run)) break;
        // The flush has told of messages that came since the last one.
        if (inbox.hasNews && (await hear(run))) break;
        const [entries] = await Promise.all([performEffect(run, step), written]);
        journal.add(entries);
        break;
      }
      case "park": {
        if (await journal.park(step.entries, step.until)) return "parked";
        // Somebody wants it cancelled. If this worker is to leave it alone, another one ends it.
        if (run.abandoned.aborted) throw new LeaseLostError(run.taskId, run.abandoned.reason);
        break;
      }
      case "end": {
        const { status, error, message } = step;
        const forward = inbox.hasNews;
        if (forward && (await hear(run))) break;
        if (await journal.finish({ status, error, errorMessage: message }, { forward })) return status;
        break;
      }
    }
  }
}

/**
 * Gives the task what users said to it meanwhile, as many messages as it can still answer to, in the order they came.
 * @returns whether it has heard something, so that what to do is to be decided anew
 */
async function hear({ journal, program, clock, inbox, cancelled }: TaskRunDeps): Promise<boolean> {
  if (cancelled.aborted || !program.listens(clock.now())) return false;
  // Word of another message may come while these are read.
  inbox.hasNews = false;
  const unheard = await journal.unheard();
  const fitting = unheard.findLastIndex((_message, last) => program.hears(unheard.slice(0, last + 1), clock.now()));
  const messages = unheard.slice(0, fitting + 1);
  if (messages.length < unheard.length) inbox.hasNews = true;
  if (messages.length === 0) return false;
  await journal.hear(messages.map(({ interrupts: _interrupts, ...message }) => message));
  return true;
}

function isCancelled({ cancelled, abandoned }: TaskRunDeps): boolean {
  return cancelled.aborted && !abandoned.aborted;
}

function cancelStep({ cancelled }: TaskRunDeps): Step {
  return { type: "end", status: "cancelled", error: "cancelled", message: messageOf(cancelled.reason) };
}

/** Runs an effect; what it throws becomes a journaled failure with a time to try again, or the end of the task. */
async function performEffect(run: TaskRunDeps, step: Step & { type: "effect" }): Promise<readonly EntryBody[]> {
  const context: EffectContext = {
    append: (entry) => run.journal.append(entry),
    abandoned: run.abandoned,
    cancelled: run.cancelled,
    interruption: () => run.inbox.interruption,
  };
  try {
    return await step.run(context);
  } catch (error) {
    if (run.abandoned.aborted) throw new LeaseLostError(run.taskId, run.abandoned.reason);
    if (run.cancelled.aborted) return [];
    if (error instanceof LeaseLostError || error instanceof StoreError) throw error;
    return [failureEntry(run, error)];
  }
}

function failureEntry(run: TaskRunDeps, error: unknown): EntryBody {
  const { retries, program, clock, random } = run;
  const retry: Retry = error instanceof HoldfastError ? error.retry : "now";
  const code = error instanceof HoldfastError ? error.code : "internal_error";
  const now = clock.now();
  const { own, outages, outageSince } = program.failures();
  const exhausted = isOutage(code) ? now - (outageSince ?? now) >= retries.outageMs : own + 1 >= retries.attempts;
  const backoffMs = random() * Math.min(retries.mostMs, retries.baseMs * 2 ** (own + outages));
  // The pause comes on top of what was asked for: many tasks were told the same time, and must not come back together.
  const leastMs = typeof retry === "object" ? retry.afterMs : 0;
  return {
    kind: "failure",
    code,
    message: messageOf(error),
    attempts: error instanceof ModelCallError ? error.attempts : [],
    retryAt: retry === "never" || exhausted ? null : now + leastMs + backoffMs,
  };
}
