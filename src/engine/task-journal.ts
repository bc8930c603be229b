/**
 * The writing end of one task's journal, for the worker that holds its lease.
 *
 * Entries get their numbers here and are folded at once; `flush` makes them durable, one write at a time and in order, so
 * the journal never has a gap. Whoever watches the task hears of entries only after they are durable.
 */
import type { Entry, EntryBody } from "../agent/journal.ts";
import type { Hub } from "../events/hub.ts";
import type { Clock } from "../platform/clock.ts";
import { HoldfastError } from "../platform/errors.ts";
import type { Store } from "../store/store.ts";
import { StoreError } from "../store/store-error.ts";
import type { ClaimedTask, TaskProgress, TaskResult } from "../store/task-row.ts";
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
  /** A write that meets a dead database is tried again for this long: the lease. */
  readonly retryMs: number;
  readonly onCancel: (by: string) => void;
}

export type TaskJournal = ReturnType<typeof createTaskJournal>;

export function createTaskJournal(deps: TaskJournalDeps) {
  const { store, hub, clock, task, program } = deps;
  let lastSeq = deps.entries.at(-1)?.seq ?? 0;
  let unwritten: Entry[] = [];
  let writing: Promise<void> = Promise.resolve();
  for (const entry of deps.entries) program.fold(entry);

  const add = (bodies: readonly EntryBody[]): void => {
    for (const body of bodies) {
      const entry: Entry = { ...body, seq: ++lastSeq, at: clock.now() };
      unwritten.push(entry);
      program.fold(entry);
    }
  };

  const written = (entries: readonly Entry[]): void => {
    unwritten = unwritten.slice(entries.length);
    if (entries.length > 0) hub.entries(task.id, entries);
  };

  const write = async (): Promise<void> => {
    const entries = [...unwritten];
    if (entries.length === 0) return;
    const held = await persist(deps, () => store.append({ taskId: task.id, epoch: task.epoch, entries }));
    if (held === undefined) throw new LeaseLostError(task.id);
    written(entries);
    if (held.cancelRequestedBy !== null) deps.onCancel(held.cancelRequestedBy);
  };

  const flush = (): Promise<void> => {
    writing = writing.then(write);
    return writing;
  };

  return {
    add,
    flush,

    append: (body: EntryBody): Promise<void> => {
      add([body]);
      return flush();
    },

    /** Ends the task with what is unwritten and its last entry, in one transaction. */
    async finish(end: Omit<TaskResult, keyof TaskProgress>): Promise<void> {
      await writing;
      add([{ kind: "end", status: end.status, error: end.error, message: end.errorMessage }]);
      const entries = [...unwritten];
      const result: TaskResult = { ...program.progress(), ...end };
      const { id: taskId, tenant, sessionId, epoch } = task;
      const finished = await persist(deps, () => store.finish({ taskId, tenant, sessionId, epoch, entries, result }));
      if (!finished.held) throw new LeaseLostError(task.id);
      written(entries);
      if (finished.promoted) hub.hint({ type: "work" });
    },

    /** Lets the task wait. @returns false if somebody wants it cancelled: then it is not parked */
    async park(bodies: readonly EntryBody[], wakeAt: number | null): Promise<boolean> {
      await writing;
      add(bodies);
      const entries = [...unwritten];
      const { id: taskId, tenant, agent, epoch } = task;
      const progress = program.progress();
      const held = await persist(deps, () => store.park({ taskId, tenant, agent, epoch, entries, wakeAt, progress }));
      if (held === undefined) throw new LeaseLostError(task.id);
      if (held.cancelRequestedBy !== null) {
        deps.onCancel(held.cancelRequestedBy);
        return false;
      }
      written(entries);
      return true;
    },
  };
}

/** Writes, and tries again while the database is away. Every write is safe to repeat: it is fenced, and changes nothing twice. */
async function persist<Result>(deps: TaskJournalDeps, write: () => Promise<Result>): Promise<Result> {
  const { clock, task, retryMs } = deps;
  const giveUpAt = clock.monotonic() + retryMs;
  for (;;) {
    try {
      return await write();
    } catch (error) {
      if (!(error instanceof StoreError) || error.retry === "never") throw error;
      const pauseMs = error.retry === "now" ? 10 : error.retry.afterMs;
      if (clock.monotonic() + pauseMs > giveUpAt) throw new LeaseLostError(task.id, error);
      await clock.sleep(pauseMs);
    }
  }
}
