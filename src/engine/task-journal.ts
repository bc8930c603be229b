/**
 * The writing end of one task's journal, for the worker that holds its lease.
 *
 * Entries get their numbers here and are folded at once; `flush` makes them durable, one write at a time and in order, so
 * the journal never has a gap. Whoever watches the task hears of entries only after they are durable.
 */
import type { Entry, EntryBody, MessageEntry } from "../agent/journal.ts";
import type { Hub } from "../events/hub.ts";
import type { Clock } from "../platform/clock.ts";
import { HoldfastError } from "../platform/errors.ts";
import type { Store } from "../store/store.ts";
import { insist, mayPass } from "../store/insist.ts";
import type { ClaimedTask, TaskProgress, TaskResult } from "../store/task-row.ts";
import type { Inbox } from "./inbox.ts";
import type { OpenedProgram } from "./program.ts";

/** Another worker holds the task now, or may: this one must leave it alone. */
export class LeaseLostError extends HoldfastError {
  constructor(taskId: string, cause?: unknown) {
    super("lease_lost", `The lease on task ${taskId} is lost; another worker goes on with it.`, { cause });
    this.name = "LeaseLostError";
  }
}

export interface TaskJournalDeps {
  readonly store: Store;
  readonly hub: Hub;
  readonly clock: Clock;
  readonly task: ClaimedTask;
  readonly program: OpenedProgram;
  /** The journal so far. */
  readonly entries: readonly Entry[];
  /** What a model call had said whose worker was lost; undefined: none was. */
  readonly lostText: string | undefined;
  /** A write that meets a dead database is tried again for this long: the lease. */
  readonly retryMs: number;
  readonly onCancel: (by: string) => void;
  readonly inbox: Inbox;
  /** The task is not this worker's any more: no write is tried again. */
  readonly abandoned: AbortSignal;
}

export class TaskJournal {
  readonly #deps: TaskJournalDeps;
  #lastSeq: number;
  #unwritten: Entry[] = [];
  #writing: Promise<void> = Promise.resolve();
  /** The write that comes next is asked for, and takes along whatever is added until its statement is made. */
  #gathering = false;

  constructor(deps: TaskJournalDeps) {
    this.#deps = deps;
    this.#lastSeq = deps.entries.at(-1)?.seq ?? 0;
    for (const entry of deps.entries) deps.program.fold(entry);
    const { assignment } = deps.task.input;
    // With the first write, which comes before any effect.
    if (this.#lastSeq === 0 && assignment !== undefined) this.add([{ kind: "assignment", ...assignment }]);
    // With the next write, which comes before any effect: whatever this worker does, it is written once.
    if (deps.lostText !== undefined) this.add(deps.program.lost({ text: deps.lostText, now: deps.clock.now() }));
  }

  /** Numbers and folds entries; the next write takes them along. */
  add(bodies: readonly EntryBody[]): void {
    for (const body of bodies) {
      const entry = this.#next(body);
      this.#lastSeq = entry.seq;
      this.#unwritten.push(entry);
      this.#deps.program.fold(entry);
    }
  }

  /** Resolves when everything added before is durable. */
  flush(): Promise<void> {
    if (!this.#gathering && this.#unwritten.length > 0) {
      this.#gathering = true;
      this.#writing = this.#writing.then(() => this.#write());
    }
    return this.#writing;
  }

  append(body: EntryBody): Promise<void> {
    this.add([body]);
    return this.flush();
  }

  /**
   * Ends the task with what is unwritten and its last entry, in one transaction. What it has not heard becomes tasks of
   * their own if `forward` says so.
   * @returns false if there is something that it has not heard: then nothing was written, and it goes on
   */
  async finish(end: Omit<TaskResult, keyof TaskProgress>, { forward = false } = {}): Promise<boolean> {
    await this.#writing;
    const { store, hub, task, program, inbox } = this.#deps;
    const { id: taskId, tenant, sessionId, epoch } = task;
    const last = this.#next({ kind: "end", status: end.status, error: end.error, message: end.errorMessage });
    const entries = [...this.#unwritten, last];
    const result: TaskResult = { ...program.progress(), ...end };
    const write = forward ? store.finishUnheard : store.finish;
    const finished = await persist(this.#deps, () => write({ taskId, tenant, sessionId, epoch, entries, result }));
    if (!finished.held) {
      const unheard = forward ? [] : await this.unheard();
      if (unheard.length === 0) throw new LeaseLostError(taskId);
      inbox.hasNews = true;
      return false;
    }
    program.fold(last);
    this.#lastSeq = last.seq;
    this.#written(entries);
    hub.ended({ id: taskId, sessionId, createdAt: task.createdAt, finishedAt: finished.finishedAt, ...result });
    if (finished.promoted) hub.hint({ type: "work" });
    return true;
  }

  /** The messages that the task has not heard, in the order they came. */
  async unheard(): Promise<(MessageEntry & { readonly interrupts: boolean })[]> {
    const { store, task } = this.#deps;
    const rows = await persist(this.#deps, () => store.unheard({ taskId: task.id, epoch: task.epoch }));
    if (rows === undefined) throw new LeaseLostError(task.id);
    return rows.map(({ id, input: { prompt, context }, userId, interrupts }) => {
      return { kind: "message", messageId: id, prompt, context, userId, interrupts };
    });
  }

  /** Writes messages, after all that is unwritten, and marks them as heard, in one statement. */
  async hear(messages: readonly MessageEntry[]): Promise<void> {
    await this.#writing;
    this.add(messages);
    const { store, task, inbox } = this.#deps;
    const entries = [...this.#unwritten];
    const messageIds = messages.map(({ messageId }) => messageId);
    const hearing = { taskId: task.id, epoch: task.epoch, entries, messageIds };
    if (!(await persist(this.#deps, () => store.hear(hearing)))) throw new LeaseLostError(task.id);
    inbox.hear(messageIds);
    this.#written(entries);
  }

  /**
   * Lets the task wait. @returns false if somebody wants it cancelled: then it is not parked, and nobody is asked what it
   * would have asked
   */
  async park(bodies: readonly EntryBody[], wakeAt: number | null): Promise<boolean> {
    await this.#writing;
    const { store, task, program, clock } = this.#deps;
    const { id: taskId, tenant, agent, epoch } = task;
    // Folded by whoever goes on: what is parked is over here, and what is not has asked nothing.
    const entries = [...this.#unwritten, ...bodies.map((body, index) => this.#next(body, index))];
    const progress = program.progress();
    // A span and not a time: the database wakes the task by its own clock, which may not be ours.
    const wakeInMs = wakeAt === null ? null : Math.max(0, wakeAt - clock.now());
    const held = await persist(this.#deps, () =>
      store.park({ taskId, tenant, agent, epoch, entries, wakeInMs, progress }),
    );
    if (held === undefined) throw new LeaseLostError(taskId);
    if (held.cancelRequestedBy !== null) {
      this.#deps.onCancel(held.cancelRequestedBy);
      return false;
    }
    this.#written(entries);
    return true;
  }

  async #write(): Promise<void> {
    const { store, task, onCancel, inbox } = this.#deps;
    let entries: readonly Entry[] = [];
    const take = (): readonly Entry[] => {
      this.#gathering = false;
      return (entries = [...this.#unwritten]);
    };
    const append = {
      taskId: task.id,
      epoch: task.epoch,
      /** Taken when the statement is made: what came while it waited for its turn travels, too. */
      get entries() {
        return take();
      },
    };
    const held = await persist(this.#deps, () => store.append(append));
    if (held === undefined) throw new LeaseLostError(task.id);
    this.#written(entries);
    if (held.cancelRequestedBy !== null) onCancel(held.cancelRequestedBy);
    if (held.unheard > 0) inbox.hasNews = true;
  }

  #next(body: EntryBody, behind = 0): Entry {
    return { ...body, seq: this.#lastSeq + 1 + behind, at: this.#deps.clock.now() };
  }

  #written(entries: readonly Entry[]): void {
    this.#unwritten = this.#unwritten.slice(entries.length);
    if (entries.length > 0) this.#deps.hub.entries(this.#deps.task.id, entries);
  }
}

/** Every write is safe to repeat: it is fenced, and changes nothing twice. */
async function persist<Result>(deps: TaskJournalDeps, write: () => Promise<Result>): Promise<Result> {
  const { clock, task, retryMs: forMs, abandoned: signal } = deps;
  try {
    return await insist(write, { clock, forMs, signal });
  } catch (error) {
    throw mayPass(error) ? new LeaseLostError(task.id, error) : error;
  }
}
