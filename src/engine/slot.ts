/**
 * A slot of a worker: runs one claimed task under the worker's lease, and hears what is wanted of it meanwhile. Whatever
 * happens to the run, its task has ended, waits, was given back, or belongs to somebody else.
 */
import type { Hub } from "../events/hub.ts";
import type { Clock } from "../platform/clock.ts";
import { messageOf } from "../platform/errors.ts";
import type { Random } from "../platform/random.ts";
import type { Store } from "../store/store.ts";
import type { ClaimedTask } from "../store/task-row.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { logStoreTrouble } from "../telemetry/store-trouble.ts";
import type { Conversations } from "./conversations.ts";
import { Inbox } from "./inbox.ts";
import type { OpenProgram } from "./program.ts";
import { LeaseLostError, TaskJournal } from "./task-journal.ts";
import { runTask, TaskCancelled, type RetryPolicy, type RunOutcome } from "./task-run.ts";

export interface SlotDeps {
  readonly store: Store;
  readonly hub: Hub;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly openProgram: OpenProgram;
  readonly conversations: Conversations;
  /** How long a write that meets a dead database is tried again: as long as the lease. */
  readonly retryMs: number;
  readonly retries: RetryPolicy;
  /** Gives the task back at its next boundary. */
  readonly stopping: AbortSignal;
}

/** `lost`: another worker has the task, or may. `broken`: the run failed for no reason of the task's own. */
export type SlotOutcome = RunOutcome | "lost" | "broken";

/** A task that has lost so many workers without coming to rest is not given another. */
const mostTakeovers = 25;
/** A task whose run broke for no reason of its own is left alone for a while, so that it cannot break in a hot loop. */
const brokenPauseMs = 5_000;

const outcomeLog: Readonly<Record<SlotOutcome, string>> = {
  completed: "a task completed",
  failed: "a task failed; it is a dead letter now",
  cancelled: "a task was cancelled",
  parked: "a task waits",
  handed_back: "a task was handed back",
  lost: "a task was left to another worker",
  broken: "a task's run broke",
};

export class Slot {
  readonly #deps: SlotDeps;
  readonly #task: ClaimedTask;
  readonly #cancelled = new AbortController();
  readonly #abandoned = new AbortController();
  readonly #inbox: Inbox;
  /** Its journal is open, so that effects may have happened. */
  #hasBegun = false;
  #isUntold = false;

  constructor(deps: SlotDeps, task: ClaimedTask) {
    this.#deps = deps;
    this.#task = task;
    this.#inbox = new Inbox({ hasNews: task.unheard > 0 });
    if (task.cancelRequestedBy !== null) this.cancel(task.cancelRequestedBy);
  }

  get tenant(): string {
    return this.#task.tenant;
  }

  /**
   * The lease of a run that was left in the middle, which the store has not been told: a model call may have been made that
   * the journal does not know of.
   */
  get untold(): Pick<ClaimedTask, "id" | "epoch"> | undefined {
    return this.#isUntold ? this.#task : undefined;
  }

  /** Runs the task once. Never rejects. */
  async run(): Promise<SlotOutcome> {
    const { log } = this.#deps;
    const { id, agent } = this.#task;
    const outcome = await this.#runOrRelease();
    log.info({ task: id, agent }, outcomeLog[outcome]);
    return outcome;
  }

  /** Somebody wants the task cancelled. */
  cancel(by: string): void {
    this.#cancelled.abort(new TaskCancelled(by));
  }

  /** The task is not this worker's any more, or the time to stop is over: everything is dropped now. */
  abandon(): void {
    this.#abandoned.abort(new LeaseLostError(this.#task.id));
    this.#cancelled.abort(this.#abandoned.signal.reason);
  }

  /** A message to the task interrupts its model turn. */
  interrupt(messageId: string): void {
    this.#inbox.interrupt(messageId);
  }

  /**
   * Interrupts by what the store says: a hint may be of a message that was heard long ago. What cannot be read now is told
   * by the next heartbeat.
   */
  async lookForInterrupts(): Promise<void> {
    const { store, log } = this.#deps;
    const { id: taskId, epoch } = this.#task;
    try {
      const unheard = (await store.unheard({ taskId, epoch })) ?? [];
      for (const { id, interrupts } of unheard) if (interrupts) this.interrupt(id);
    } catch (error) {
      logStoreTrouble(log, error, `cannot read the messages to task ${taskId}`);
    }
  }

  async #runOrRelease(): Promise<SlotOutcome> {
    const { log } = this.#deps;
    const { id: task } = this.#task;
    try {
      const outcome = await this.#runToBoundary();
      if (outcome === "handed_back") await this.#release(0);
      return outcome;
    } catch (error) {
      // Calls that only read may be under way although their turn could not be written.
      this.abandon();
      if (error instanceof LeaseLostError) {
        log.warn({ task }, error.message);
        this.#isUntold = this.#hasBegun;
        return "lost";
      }
      log.error({ task, error: messageOf(error) }, "a run broke; its task is given back");
      await this.#release(brokenPauseMs);
      return "broken";
    }
  }

  async #runToBoundary(): Promise<RunOutcome> {
    const { store, openProgram, conversations } = this.#deps;
    const task = this.#task;
    const entries = await store.open(task);
    this.#inbox.hear(entries.flatMap((entry) => (entry.kind === "message" ? entry.messageId : [])));
    const program = await openProgram(task);
    const run = {
      ...this.#deps,
      program,
      inbox: this.#inbox,
      abandoned: this.#abandoned.signal,
      cancelled: this.#cancelled.signal,
    };
    const lostText = task.callMayBeLost ? await store.textInFlight(task.id, entries.at(-1)?.seq ?? 0) : undefined;
    this.#hasBegun = true;
    const journal = new TaskJournal({ ...run, task, entries, lostText, onCancel: (by) => this.cancel(by) });
    if (task.takeovers >= mostTakeovers) {
      const errorMessage = `The worker of this task was lost ${task.takeovers} times in a row; it may be the task that kills it.`;
      await journal.finish({ status: "failed", error: "worker_lost_repeatedly", errorMessage }, { forward: true });
      return "failed";
    }
    const outcome = await runTask({ ...run, taskId: task.id, journal });
    if (outcome === "completed") conversations.completed(task, program.said());
    return outcome;
  }

  /** What cannot be given back now is given back when the worker compares what runs here with the store. */
  async #release(pauseMs: number): Promise<void> {
    const { store, hub, log } = this.#deps;
    const { id: taskId, epoch } = this.#task;
    // A run that broke may have made a call whose reply it could not write.
    const callMayBeLost = this.#hasBegun && pauseMs > 0;
    try {
      await store.release({ taskId, epoch, pauseMs, callMayBeLost });
      hub.hint({ type: "work" });
    } catch (error) {
      this.#isUntold = callMayBeLost;
      logStoreTrouble(log, error, `cannot give task ${taskId} back; trying again later`);
    }
  }
}
