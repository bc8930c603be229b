/**
 * A worker: N slots that claim tasks and run them, under one lease.
 *
 * States: working → stopping (claims nothing, gives each task back at its next boundary) → stopped. A lost lease abandons
 * every task at once and is followed by a new lease. Whatever happens to a run, its task either ended, waits, was given
 * back, or belongs to somebody else.
 */
import type { Entry } from "../agent/journal.ts";
import type { JsonObject } from "../agent/json.ts";
import type { Hub } from "../events/hub.ts";
import { createSignal } from "../platform/abort.ts";
import { createBackground } from "../platform/background.ts";
import type { Clock } from "../platform/clock.ts";
import { messageOf } from "../platform/errors.ts";
import type { NewId } from "../platform/ids.ts";
import type { Random } from "../platform/random.ts";
import type { ProcessLock } from "../store/database.ts";
import { firstTurn } from "../store/queries/claim.ts";
import type { Store } from "../store/store.ts";
import type { ClaimedTask } from "../store/task-row.ts";
import type { Wishes } from "../store/worker-writes.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { Conversations } from "./conversations.ts";
import { Inbox } from "./inbox.ts";
import { takeLease, type Lease } from "./lease.ts";
import type { QueueRules } from "./queue-rules.ts";
import type { OpenProgram } from "./program.ts";
import { reap } from "./reaper.ts";
import { logStoreTrouble } from "../telemetry/store-trouble.ts";
import { sweep } from "./sweeper.ts";
import { LeaseLostError, TaskJournal } from "./task-journal.ts";
import { turnAfter } from "./turns.ts";
import { runTask, TaskCancelled, type RetryPolicy, type RunOutcome } from "./task-run.ts";

export interface WorkerDeps {
  readonly store: Store;
  readonly hub: Hub;
  readonly clock: Clock;
  readonly random: Random;
  readonly newId: NewId;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** By which others see that this process died. */
  readonly lock: ProcessLock;
  readonly openProgram: OpenProgram;
  readonly conversations: Conversations;
  readonly settings: WorkerSettings;
  readonly queue: Pick<QueueRules, "shares" | "limitsRunning">;
}

export interface WorkerSettings {
  /** The agents this process hosts; it claims no other task. */
  readonly agents: readonly string[];
  /** Tasks that run at the same time. */
  readonly slots: number;
  /** How long after its last heartbeat a process is taken for dead. */
  readonly leaseMs: number;
  /** How often the store is asked for work of which no word came. */
  readonly pollMs: number;
  /** How long `stop` waits for what is in flight. */
  readonly drainMs: number;
  readonly retries: RetryPolicy;
  /** About this process, for whoever looks at the registry. */
  readonly info: JsonObject;
}

/** A task that has lost so many workers without coming to rest is not given another. */
const mostTakeovers = 25;
/** More tasks are claimed by the next statement: bounds the time its locks are held. */
const mostPerClaim = 200;
/** A task whose run broke for no reason of its own is left alone for a while, so that it cannot break in a hot loop. */
const brokenPauseMs = 5_000;

const runLog = {
  completed: "a task completed",
  failed: "a task failed; it is a dead letter now",
  cancelled: "a task was cancelled",
  parked: "a task waits",
  handed_back: "a task was handed back",
  lost: "a task was left to another worker",
  broken: "a task's run broke",
};

/** One task in a slot. */
interface Run {
  readonly task: ClaimedTask;
  readonly cancelled: AbortController;
  readonly abandoned: AbortController;
  readonly inbox: Inbox;
}

/** A slot kept free for a task that is being submitted. */
export interface Reservation {
  readonly workerId: string;
  /** The task was stored with the lease of this worker: runs it. */
  launch(task: ClaimedTask): void;
  /** It was not, or nobody knows. */
  cancel(): void;
}

export class Worker {
  readonly #deps: WorkerDeps;
  readonly #runs = new Map<string, Run>();
  /** Slots kept for tasks that are being submitted. */
  #reserved = 0;
  /** Slots kept for the claim that is under way. */
  #claiming = 0;
  /** The last claim left tasks waiting that could not be taken: those come before any that is submitted now. */
  #behind = true;
  /** Whose turn it is among the tenants that wait. */
  #turn = firstTurn;
  #reconciledAt = Number.NEGATIVE_INFINITY;
  readonly #wake = createSignal();
  /** Aborts when nothing more is claimed. */
  readonly #stopping = new AbortController();
  /** Aborts when the lease is not needed any more. */
  readonly #drained = new AbortController();
  readonly #background = createBackground((name, error) => this.#broke(name, error));
  readonly #running = createBackground((name, error) => this.#broke(name, error));
  #lease: Lease | undefined;

  constructor(deps: WorkerDeps) {
    this.#deps = deps;
  }

  start(): void {
    const { hub, settings } = this.#deps;
    const stopListening = hub.onHint((hint) => {
      if (hint.type === "work") this.#wake.set();
      if (hint.type === "cancel") this.#cancel(hint.taskId, hint.by);
      if (hint.type === "interrupt") this.#lookForInterrupts(hint.taskId);
    });
    this.#stopping.signal.addEventListener("abort", stopListening, { once: true });
    const { pollMs, leaseMs } = settings;
    const housekeeping = { ...this.#deps, pollMs, longestQuietMs: leaseMs / 5, wake: this.#wake };
    this.#background.start("worker", () => this.#work());
    this.#background.start("sweeper", () => sweep(housekeeping, this.#stopping.signal));
    this.#background.start("reaper", () => reap(housekeeping, this.#stopping.signal));
  }

  /** The number of tasks that run in this process now. */
  get running(): number {
    return this.#runs.size;
  }

  runs(taskId: string): boolean {
    return this.#runs.has(taskId);
  }

  /**
   * Keeps a slot for a task that is about to be submitted, so that it runs at once, claimed by the statement that stores
   * it. Undefined when it must wait its turn: no slot is free, others wait already, or how many may run is bounded.
   */
  reserve({ tenant, agent }: Pick<ClaimedTask, "tenant" | "agent">): Reservation | undefined {
    const { settings, queue } = this.#deps;
    if (
      this.#stopping.signal.aborted ||
      this.#behind ||
      this.#reconcileIsDue() ||
      this.#lease === undefined ||
      !this.leased
    )
      return undefined;
    if (this.#free() <= 0 || !settings.agents.includes(agent) || queue.limitsRunning(tenant, agent)) return undefined;
    this.#reserved += 1;
    const lease = this.#lease;
    return {
      workerId: lease.workerId,
      launch: (task) => {
        this.#reserved -= 1;
        this.#launch(task, []);
        if (lease.lost.aborted) this.#abandon(task.id);
      },
      cancel: () => {
        this.#reserved -= 1;
        this.#wake.set();
      },
    };
  }

  /** Whether this process holds a lease, without which it runs nothing. */
  get leased(): boolean {
    return this.#lease?.lost.aborted === false;
  }

  /** Claims nothing more, gives every task back at its next boundary, and abandons what is not there in `drainMs`. */
  async stop(): Promise<void> {
    const { clock, hub, lock, log, settings, store } = this.#deps;
    this.#stopping.abort();
    const cancelDrain = clock.timer(settings.drainMs, () => {
      log.warn({ tasks: this.#runs.size }, "not all tasks reached a boundary in time; they are abandoned");
      this.#abandonAll();
    });
    await this.#running.settled();
    cancelDrain();
    this.#drained.abort();
    await this.#background.settled();
    // What was being claimed when the stop began.
    await this.#running.settled();
    if (this.#lease !== undefined) {
      await store.unregisterWorker(this.#lease.workerId).catch((error: unknown) => this.#broke("the farewell", error));
      hub.hint({ type: "work" });
    }
    await lock.release();
  }

  async #work(): Promise<void> {
    const { settings } = this.#deps;
    const onWishes = ({ cancelled, interrupts }: Wishes): void => {
      for (const { id, by } of cancelled) this.#cancel(id, by);
      for (const { taskId, messageId } of interrupts) this.#runs.get(taskId)?.inbox.interrupt(messageId);
    };
    while (!this.#stopping.signal.aborted) {
      const { leaseMs, info } = settings;
      const lease = await takeLease(
        { ...this.#deps, background: this.#background, leaseMs, info, onWishes },
        { stopping: this.#stopping.signal, drained: this.#drained.signal },
      );
      if (lease === undefined) return;
      this.#lease = lease;
      await this.#workUnder(lease);
    }
  }

  async #workUnder(lease: Lease): Promise<void> {
    lease.lost.addEventListener("abort", () => this.#abandonAll(), { once: true });
    while (!this.#stopping.signal.aborted && !lease.lost.aborted) {
      await this.#reconcile(lease);
      if (!(await this.#claim(lease))) await this.#wake.wait(this.#stopping.signal);
    }
  }

  /**
   * From time to time, what the store says is ours and does not run here is given back: the answer to its claim was lost,
   * or it could not be given back when it should have been. Nothing is claimed meanwhile.
   */
  async #reconcile({ workerId }: Lease): Promise<void> {
    const { store, clock, log } = this.#deps;
    if (this.#reserved > 0 || !this.#reconcileIsDue()) return;
    this.#behind = true;
    try {
      const freed = await store.reconcile({ id: workerId, running: [...this.#runs.keys()] });
      if (freed.length > 0) log.warn({ tasks: freed.length }, "gave back tasks that were claimed and did not run");
      this.#reconciledAt = clock.monotonic();
    } catch (error) {
      logStoreTrouble(log, error, "cannot compare what runs here with the store; trying again");
    }
  }

  #reconcileIsDue(): boolean {
    const { clock, settings } = this.#deps;
    return clock.monotonic() - this.#reconciledAt >= settings.leaseMs;
  }

  /** @returns whether there may be more to claim right now */
  async #claim({ workerId, lost }: Lease): Promise<boolean> {
    const { store, log, settings, queue } = this.#deps;
    const limit = Math.min(this.#free(), mostPerClaim);
    if (limit <= 0) {
      this.#behind = true;
      return false;
    }
    this.#claiming = limit;
    try {
      const { agents } = settings;
      const tasks = await store.claim({ worker: workerId, agents, limit, turn: this.#turn, shares: queue.shares });
      this.#turn = turnAfter(this.#turn, tasks, limit);
      const resumed = tasks.filter((task) => !task.isNew).map(({ id }) => id);
      const journals = resumed.length === 0 ? undefined : await store.journals(resumed);
      for (const task of tasks) this.#launch(task, journals?.get(task.id) ?? []);
      if (lost.aborted) this.#abandonAll();
      this.#behind = tasks.some(({ more }) => more);
      return this.#behind;
    } catch (error) {
      this.#behind = true;
      logStoreTrouble(log, error, "cannot claim tasks; trying again");
      return false;
    } finally {
      this.#claiming = 0;
    }
  }

  #free(): number {
    return this.#deps.settings.slots - this.#runs.size - this.#reserved - this.#claiming;
  }

  #launch(task: ClaimedTask, entries: readonly Entry[]): void {
    const { hub, clock, metrics, log, queue } = this.#deps;
    const heard = entries.flatMap((entry) => (entry.kind === "message" ? entry.messageId : []));
    const inbox = new Inbox({ hasNews: task.unheard > 0, heard });
    const run: Run = { task, cancelled: new AbortController(), abandoned: new AbortController(), inbox };
    this.#runs.set(task.id, run);
    if (task.cancelRequestedBy !== null) this.#cancel(task.id, task.cancelRequestedBy);
    const waitedMs = task.isNew ? clock.now() - task.createdAt : undefined;
    metrics.taskStarted({ agent: task.agent, waitedMs });
    this.#running.start(`task ${task.id}`, async () => {
      const outcome = await this.#run(run, entries);
      // After a lost lease the same task may be here again, as another run.
      if (this.#runs.get(task.id) === run) this.#runs.delete(task.id);
      metrics.taskRun(task.agent, outcome);
      log.info({ task: task.id, agent: task.agent }, runLog[outcome]);
      hub.hint({ type: "changed", taskId: task.id });
      // Where how many may run is bounded, another one may now, in whichever process.
      if (queue.limitsRunning(task.tenant, task.agent)) hub.hint({ type: "work" });
      else if (this.#behind) this.#wake.set();
    });
  }

  async #run(run: Run, entries: readonly Entry[]): Promise<RunOutcome | "lost" | "broken"> {
    const { log } = this.#deps;
    const { id: taskId, epoch } = run.task;
    try {
      const outcome = await this.#runToBoundary(run, entries);
      if (outcome === "handed_back") await this.#release({ taskId, epoch, pauseMs: 0 });
      return outcome;
    } catch (error) {
      if (error instanceof LeaseLostError) {
        log.warn({ task: taskId }, error.message);
        return "lost";
      }
      log.error({ task: taskId, error: messageOf(error) }, "a run broke; its task is given back");
      await this.#release({ taskId, epoch, pauseMs: brokenPauseMs });
      return "broken";
    }
  }

  async #runToBoundary({ task, cancelled, abandoned, inbox }: Run, entries: readonly Entry[]): Promise<RunOutcome> {
    const { settings, conversations } = this.#deps;
    const program = await this.#deps.openProgram(task);
    const journal = new TaskJournal({
      ...this.#deps,
      task,
      program,
      entries,
      retryMs: settings.leaseMs,
      onCancel: (by) => this.#cancel(task.id, by),
      inbox,
      abandoned: abandoned.signal,
    });
    if (task.takeovers >= mostTakeovers) {
      const errorMessage = `The worker of this task was lost ${task.takeovers} times in a row; it may be the task that kills it.`;
      await journal.finish({ status: "failed", error: "worker_lost_repeatedly", errorMessage }, { forward: true });
      return "failed";
    }
    const outcome = await runTask({
      ...this.#deps,
      taskId: task.id,
      journal,
      program,
      stopping: this.#stopping.signal,
      abandoned: abandoned.signal,
      cancelled: cancelled.signal,
      inbox,
      retries: settings.retries,
    });
    if (outcome === "completed") conversations.completed(task, program.said());
    return outcome;
  }

  /** What cannot be given back now is given back by `#reconcile`. */
  async #release(release: { taskId: string; epoch: number; pauseMs: number }): Promise<void> {
    const { store, hub, log } = this.#deps;
    try {
      await store.release(release);
      hub.hint({ type: "work" });
    } catch (error) {
      logStoreTrouble(log, error, `cannot give task ${release.taskId} back; trying again later`);
    }
  }

  #cancel(taskId: string, by: string): void {
    this.#runs.get(taskId)?.cancelled.abort(new TaskCancelled(by));
  }

  /** A hint may be of a message that was heard long ago: what counts is what the store says. */
  #lookForInterrupts(taskId: string): void {
    const run = this.#runs.get(taskId);
    if (run === undefined) return;
    this.#background.start(`messages of task ${taskId}`, async () => {
      const unheard = (await this.#deps.store.unheard({ taskId, epoch: run.task.epoch })) ?? [];
      for (const { id, interrupts } of unheard) if (interrupts) run.inbox.interrupt(id);
    });
  }

  #abandonAll(): void {
    for (const taskId of this.#runs.keys()) this.#abandon(taskId);
    this.#wake.set();
  }

  #abandon(taskId: string): void {
    const run = this.#runs.get(taskId);
    run?.abandoned.abort(new LeaseLostError(taskId));
    run?.cancelled.abort(run.abandoned.signal.reason);
  }

  #broke(what: string, error: unknown): void {
    this.#deps.log.error({ error: messageOf(error) }, `${what} broke`);
  }
}
