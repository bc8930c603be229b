/**
 * Everything that is durable, as functions. Writes of many tasks that happen at the same time travel together (submit,
 * append, finish each through a coalescer); what is rare goes alone.
 */
import type { Entry, EntryBody } from "../agent/journal.ts";
import type { Json, JsonObject } from "../agent/json.ts";
import { NotFoundError, UnavailableError } from "../platform/errors.ts";
import { createCoalescer } from "./coalescer.ts";
import type { Database, Statement } from "./database.ts";
import { appendStatement, type Append, type HeldTask } from "./queries/append.ts";
import { approvalsStatement, approvalStatement, type ApprovalFilter } from "./queries/approvals.ts";
import { claimStatement, releaseStatement, wakeDueStatement, type ClaimRequest } from "./queries/claim.ts";
import {
  answerStatements,
  cancelStatements,
  discardStatement,
  replayStatements,
  type AnswerCommand,
} from "./queries/control.ts";
import { finishStatements, type Finish } from "./queries/finish.ts";
import {
  copyJournalStatement,
  journalsStatement,
  journalStatement,
  partialStatement,
  savePartialsStatement,
  type EntryRow,
} from "./queries/journal.ts";
import { keepLargeStatement, largeValueStatement, type LargeContent } from "./queries/large-values.ts";
import { parkStatement, type Park } from "./queries/park.ts";
import { deleteSessionStatements, exchangesStatement, sessionStatement, type Exchanges } from "./queries/sessions.ts";
import { submitStatement, tasksByKeyStatement, type StoredTask, type Submit } from "./queries/submit.ts";
import { backlogStatement, tasksByIdStatement, tasksStatement, type TaskFilter, type TaskKey } from "./queries/tasks.ts";
import {
  heartbeatStatement,
  reapAllStatement,
  reapStatement,
  reconcileStatement,
  registerWorkerStatement,
  unregisterWorkerStatement,
} from "./queries/workers.ts";
import { StoreError } from "./store-error.ts";
import type { ClaimedTask, NewTask, TaskInput, TaskRow, TaskStatus } from "./task-row.ts";

/** What came of a submit: a new row, or the task that used the idempotency key before. */
export type Submitted =
  | ({ readonly created: true } & StoredTask)
  | { readonly created: false; readonly id: string; readonly requestHash: string | null };

export interface Finished {
  /** False: the lease was lost, and nothing was written. */
  readonly held: boolean;
  /** Some task became the head of its session by this flush: there may be work. */
  readonly promoted: boolean;
}

export interface ApprovalRow {
  readonly id: string;
  readonly taskId: string;
  readonly agent: string;
  readonly kind: "tool" | "uncertain" | "limit" | "stutter";
  readonly callId: string | null;
  readonly tool: string | null;
  readonly input: Json;
  readonly inputHash: string;
  readonly reason: string;
  readonly status: "pending" | "answered" | "cancelled";
  readonly answer: JsonObject | null;
  readonly answeredBy: string | null;
  readonly createdAt: number;
  readonly answeredAt: number | null;
  readonly expiresAt: number | null;
}

export interface SessionRow {
  readonly id: string;
  readonly openTasks: number;
  readonly version: number;
  readonly createdAt: number;
  readonly updatedAt: number;
}

export interface ExchangeRow {
  readonly id: string;
  readonly position: number;
  readonly input: TaskInput;
}

export type Store = ReturnType<typeof createStore>;

/** More travel in the next flush: bounds the size of a statement, and the time its locks are held. */
const mostPerFlush = 500;

export function createStore(database: Database) {
  const one = async <Row>(statement: Statement): Promise<Row | undefined> => (await database.query<Row>(statement))[0];
  /** The rows of the statement of a transaction that carries its answer. */
  const answered = async <Row>(statements: Statement[], index: number): Promise<Row[]> =>
    ((await database.batch(statements))[index] ?? []) as Row[];

  return {
    database,

    // --- what workers do -------------------------------------------------------------------------------------------
    submit: createCoalescer<Submit, Submitted>({ maxItems: mostPerFlush, flush: (submits) => submit(database, submits) }),

    /** Undefined: the lease is lost, and nothing was written. */
    append: createCoalescer<Append, HeldTask | undefined>({ lanes: 2,
      maxItems: mostPerFlush,
      flush: async (appends) => {
        const held = await database.query<HeldTask>(appendStatement(appends));
        const byId = new Map(held.map((row) => [row.id, row]));
        return appends.map(({ taskId, epoch }) => {
          const row = byId.get(taskId);
          return row?.epoch === epoch ? row : undefined;
        });
      },
    }),

    finish: createCoalescer<Finish, Finished>({
      maxItems: mostPerFlush,
      flush: async (finishes) => {
        const [, ended = [], promoted = []] = await database.batch(finishStatements(finishes));
        const ids = new Set(ended.map(({ id }) => id));
        return finishes.map(({ taskId }) => ({ held: ids.has(taskId), promoted: promoted.length > 0 }));
      },
    }),

    park: (park: Park) => one<HeldTask>(parkStatement(park)),
    claim: (request: ClaimRequest) => database.query<ClaimedTask>(claimStatement(request)),
    release: (release: { taskId: string; epoch: number; pauseMs: number }) => database.query(releaseStatement(release)),
    wakeDue: async () => {
      const row = await one<{ woken: number; nextAt: number | null }>(wakeDueStatement());
      return row ?? { woken: 0, nextAt: null };
    },
    journals: async (taskIds: readonly string[]) => groupByTask(await database.query<EntryRow>(journalsStatement(taskIds))),
    exchanges: (page: Exchanges) => database.query<ExchangeRow>(exchangesStatement(page)),
    savePartials: (partials: readonly { taskId: string; text: string }[]) =>
      database.query(savePartialsStatement(partials)),

    registerWorker: (worker: { id: string; leaseMs: number; info: JsonObject }) =>
      database.query(registerWorkerStatement(worker)),
    /** Undefined: the lease is lost. */
    heartbeat: (worker: { id: string; leaseMs: number }) => one<{ cancelled: { id: string; by: string }[] }>(heartbeatStatement(worker)),
    unregisterWorker: (id: string) => database.query(unregisterWorkerStatement(id)),
    reconcile: (worker: { id: string; running: readonly string[] }) =>
      database.query<{ id: string }>(reconcileStatement(worker)),
    reap: () => database.query<{ id: string }>(reapStatement()),
    reapAll: () => database.query<{ id: string }>(reapAllStatement()),

    // --- what people do --------------------------------------------------------------------------------------------
    /** The status before, or undefined if there is no such task. */
    cancel: async (command: TaskKey & { by: string }) =>
      (await answered<{ status: TaskStatus }>(cancelStatements(command), 2))[0]?.status,
    /** False: answered before, or its task no longer waits. */
    answer: async (command: AnswerCommand) => (await answered(answerStatements(command), 2)).length > 0,
    /** False: it is no dead letter. */
    replay: async (command: TaskKey & { prompt: string | null; by: string }) =>
      (await answered(replayStatements(command), 2)).length > 0,
    /** False: it is no dead letter. */
    discard: async (key: TaskKey) => (await database.query(discardStatement(key))).length > 0,
    /** Stores a task whose journal begins with a copy of another's: what comes after `afterSeq`, up to `upToSeq`. */
    fork: (task: NewTask, copy: { from: string; afterSeq: number; upToSeq: number }) =>
      database.batch([submitStatement([{ task, worker: null }]), copyJournalStatement({ ...copy, to: task.id })]),
    /** False: a task of it is open. Undefined: there is no such session. */
    deleteSession: async (tenant: string, id: string) => {
      const [row] = await answered<{ open_tasks: number }>(deleteSessionStatements(tenant, id), 1);
      return row === undefined ? undefined : row.open_tasks === 0;
    },

    // --- what is read ----------------------------------------------------------------------------------------------
    task: createCoalescer<TaskKey, TaskRow | undefined>({
      maxItems: mostPerFlush,
      flush: async (keys) => {
        const rows = await database.query<TaskRow>(tasksByIdStatement(keys));
        const byKey = new Map(rows.map((row) => [`${row.tenant} ${row.id}`, row]));
        return keys.map(({ tenant, id }) => byKey.get(`${tenant} ${id}`));
      },
    }),
    tasks: (filter: TaskFilter) => database.query<TaskRow>(tasksStatement(filter)),
    backlog: async (most: number) => (await one<{ waiting: number }>(backlogStatement(most)))?.waiting ?? 0,
    journal: async (page: { tenant: string; taskId: string; afterSeq: number; limit: number }) =>
      (await database.query<EntryRow>(journalStatement(page))).map(toEntry),
    partial: async (taskId: string) => (await one<{ text: string }>(partialStatement(taskId)))?.text ?? "",
    approval: (tenant: string, id: string) => one<ApprovalRow>(approvalStatement(tenant, id)),
    approvals: (filter: ApprovalFilter) => database.query<ApprovalRow>(approvalsStatement(filter)),
    session: (tenant: string, id: string) => one<SessionRow>(sessionStatement(tenant, id)),
    keepLarge: (content: LargeContent) => database.query(keepLargeStatement(content)),
    /** The JSON text. @throws NotFoundError `large_value_not_found` */
    largeValue: async (tenant: string, hash: string) => {
      const row = await one<{ content: string }>(largeValueStatement(tenant, hash));
      if (row === undefined) throw new NotFoundError("large_value_not_found", `There is no value with the hash ${hash}.`);
      return row.content;
    },
  };
}

async function submit(database: Database, submits: readonly Submit[]): Promise<Submitted[]> {
  const stored = new Map((await storeTasks(database, submits)).map((row) => [row.id, row]));
  const repeats = submits.map(({ task }) => task).filter(({ id }) => !stored.has(id));
  const holders = await holdersOfKeys(database, repeats);
  return submits.map(({ task }) => {
    const row = stored.get(task.id);
    if (row !== undefined) return { created: true, ...row };
    const holder = holders.get(keyOf(task));
    // Deleted between our insert and our look.
    if (holder === undefined) throw new UnavailableError("key_in_transit", "Try again.", { afterMs: 10 });
    return holder;
  });
}

async function storeTasks(database: Database, submits: readonly Submit[]): Promise<StoredTask[]> {
  try {
    return await database.query<StoredTask>(submitStatement(submits));
  } catch (error) {
    // Another process used the key between our look and our insert. (Of several tasks each is tried again alone.)
    if (submits.length === 1 && error instanceof StoreError && error.code === "unique_violation") return [];
    throw error;
  }
}

async function holdersOfKeys(database: Database, repeats: readonly NewTask[]): Promise<Map<string, Submitted>> {
  const holders = new Map<string, Submitted>();
  const byTenant = Map.groupBy(repeats, ({ tenant }) => tenant);
  for (const [tenant, tasks] of byTenant) {
    const keys = tasks.flatMap(({ idempotencyKey }) => idempotencyKey ?? []);
    type Row = { id: string; key: string; requestHash: string | null };
    for (const row of await database.query<Row>(tasksByKeyStatement(tenant, keys))) {
      holders.set(`${tenant} ${row.key}`, { created: false, id: row.id, requestHash: row.requestHash });
    }
  }
  return holders;
}

function keyOf({ tenant, idempotencyKey }: NewTask): string {
  return `${tenant} ${idempotencyKey}`;
}

function groupByTask(rows: readonly EntryRow[]): Map<string, Entry[]> {
  const journals = new Map<string, Entry[]>();
  for (const row of rows) {
    const journal = journals.get(row.taskId) ?? [];
    if (journal.length === 0) journals.set(row.taskId, journal);
    journal.push(toEntry(row));
  }
  return journals;
}

/** The journal is written by this program alone, so the body is what its kind says. */
function toEntry({ seq, at, kind, body }: EntryRow): Entry {
  return { ...(body as unknown as EntryBody), kind, seq, at } as Entry;
}
