/**
 * A worker: N slots that claim tasks and run them, under one lease.
 *
 * States: working → stopping (claims nothing, gives each task back at its next boundary) → stopped. A lost lease abandons
 * every task at once and is followed by a new lease.
 */
import type { JsonObject } from "../agent/json.ts";
import { createSignal } from "../platform/abort.ts";
import { createBackground } from "../platform/background.ts";
import { messageOf } from "../platform/errors.ts";
import type { NewId } from "../platform/ids.ts";
import type { ProcessLock } from "../store/database.ts";
import { firstTurn } from "../store/queries/claim.ts";
import type { ClaimedTask } from "../store/task-row.ts";
import type { Wishes } from "../store/worker-writes.ts";
import { logStoreTrouble } from "../telemetry/store-trouble.ts";
import { takeLease, type Lease } from "./lease.ts";
import type { QueueRules } from "./queue-rules.ts";
import { reap } from "./reaper.ts";
import { Slot, type SlotDeps } from "./slot.ts";
import { sweep } from "./sweeper.ts";
import type { RetryPolicy } from "./task-run.ts";
import { turnAfter } from "./turns.ts";

export interface WorkerDeps extends Omit<SlotDeps, "retryMs" | "retries" | "stopping"> {
  readonly newId: NewId;
  /** By which others see that this process died. */
  readonly lock: ProcessLock;
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

/** More tasks are claimed by the next statement: bounds the time its locks are held. */
const mostPerClaim = 200;

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
  readonly #slots = new Map<string, Slot>();
  /** Slots kept for tasks that are being submitted. */
  #reserved = 0;
  /** Slots kept for the claim that is under way. */
  #claiming = 0;
  /** The last claim left tasks waiting that could not be taken: those come before any that is submitted now. */
  #behind = true;
  /** Whose turn it is among the tenants that wait. */
  #turn = firstTurn;
  #reconciledAt = Number.NEGATIVE_INFINITY;
  /** Runs that were left in the middle since, by their tasks; the store may still say that they run here. */
  readonly #untold = new Map<string, Pick<ClaimedTask, "id" | "epoch">>();
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
      if (hint.type === "cancel") this.#slots.get(hint.taskId)?.cancel(hint.by);
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
    return this.#slots.size;
  }

  /** Whose task it is, if it runs in this process. */
  tenantOf(taskId: string): string | undefined {
    return this.#slots.get(taskId)?.tenant;
  }

  /**
   * Keeps a slot for a task that is about to be submitted, so that it runs at once, claimed by the statement that stores
   * it. Undefined when it must wait its turn: no slot is free, others wait already, or how many may run is bounded.
   */
  reserve({ tenant, agent }: Pick<ClaimedTask, "tenant" | "agent">): Reservation | undefined {
    const { settings, queue } = this.#deps;
    const lease = this.#lease;
    if (lease === undefined || lease.lost.aborted || this.#stopping.signal.aborted) return undefined;
    if (this.#behind || this.#reconcileIsDue() || this.#free() <= 0) return undefined;
    if (!settings.agents.includes(agent) || queue.limitsRunning(tenant, agent)) return undefined;
    this.#reserved += 1;
    return {
      workerId: lease.workerId,
      launch: (task) => {
        this.#reserved -= 1;
        this.#launch(task);
        if (lease.lost.aborted) this.#slots.get(task.id)?.abandon();
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
      log.warn({ tasks: this.#slots.size }, "not all tasks reached a boundary in time; they are abandoned");
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
      for (const { id, by } of cancelled) this.#slots.get(id)?.cancel(by);
      for (const { taskId, messageId } of interrupts) this.#slots.get(taskId)?.interrupt(messageId);
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
   * its run was left because nobody knew whether a write had come through, or it could not be given back when it should
   * have been. Nothing is claimed meanwhile.
   */
  async #reconcile({ workerId }: Lease): Promise<void> {
    const { store, clock, log } = this.#deps;
    if (this.#reserved > 0 || !this.#reconcileIsDue()) return;
    this.#behind = true;
    try {
      const left = [...this.#untold.values()];
      const freed = await store.reconcile({ id: workerId, running: [...this.#slots.keys()], left });
      for (const run of left) if (this.#untold.get(run.id) === run) this.#untold.delete(run.id);
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
      for (const task of tasks) this.#launch(task);
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
    return this.#deps.settings.slots - this.#slots.size - this.#reserved - this.#claiming;
  }

  #launch(task: ClaimedTask): void {
    const { hub, clock, metrics, queue, settings } = this.#deps;
    const { leaseMs: retryMs, retries } = settings;
    const slot = new Slot({ ...this.#deps, retryMs, retries, stopping: this.#stopping.signal }, task);
    this.#slots.set(task.id, slot);
    const waitedMs = task.isNew ? clock.now() - task.createdAt : undefined;
    metrics.taskStarted({ agent: task.agent, waitedMs });
    this.#running.start(`task ${task.id}`, async () => {
      const outcome = await slot.run();
      // After a lost lease the same task may be here again, in another slot.
      if (this.#slots.get(task.id) === slot) this.#slots.delete(task.id);
      if (slot.untold !== undefined) this.#untold.set(task.id, slot.untold);
      metrics.taskRun(task.agent, outcome);
      hub.changed(task.id);
      // Where how many may run is bounded, another one may now, in whichever process.
      if (queue.limitsRunning(task.tenant, task.agent)) hub.hint({ type: "work" });
      else if (this.#behind) this.#wake.set();
    });
  }

  #lookForInterrupts(taskId: string): void {
    const slot = this.#slots.get(taskId);
    if (slot !== undefined) this.#background.start(`messages of task ${taskId}`, () => slot.lookForInterrupts());
  }

  #abandonAll(): void {
    for (const slot of this.#slots.values()) slot.abandon();
    this.#wake.set();
  }

  #broke(what: string, error: unknown): void {
    this.#deps.log.error({ error: messageOf(error) }, `${what} broke`);
  }
}
