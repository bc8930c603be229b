/**
 * What workers write. Writes of many tasks that happen at the same time travel together (submit, append and finish, each
 * through a coalescer); what is rare goes alone. Everything but a submit is fenced by the epoch of the task's lease.
 */
import type { JsonObject } from "../agent/json.ts";
import { UnavailableError } from "../platform/errors.ts";
import { createCoalescer } from "./coalescer.ts";
import type { Database } from "./database.ts";
import { packLarge, writeWithLarge, type Packed } from "./large.ts";
import { appendStatement, type Append, type HeldTask } from "./queries/append.ts";
import {
  claimStatements,
  releaseStatement,
  wakeDueStatement,
  type ClaimedRow,
  type ClaimRequest,
  type Release,
} from "./queries/claim.ts";
import { finishStatements, type Finish } from "./queries/finish.ts";
import {
  deliverStatements,
  finishUnheardStatements,
  hearStatement,
  mostUnheard,
  unheardStatement,
  type AtWork,
  type Delivery,
  type Hearing,
  type UnheardMessage,
} from "./queries/inbox.ts";
import { savePartialsStatement, type PartialText } from "./queries/journal.ts";
import { parkStatement, type Park } from "./queries/park.ts";
import {
  submitStatement,
  tasksByKeyStatement,
  type RefusedTask,
  type StoredTask,
  type Submit,
} from "./queries/submit.ts";
import {
  deathsStatement,
  heartbeatStatement,
  hostedAgentsStatement,
  reapAllStatements,
  reapStatements,
  reconcileStatement,
  registerWorkerStatement,
  unregisterWorkerStatements,
  type Deaths,
  type Reconciling,
  type WorkerLease,
} from "./queries/workers.ts";
import { StoreError } from "./store-error.ts";
import type { NewTask } from "./task-row.ts";

/** What came of a submit: a new row, or the task that used the idempotency key before; perhaps for a message to it. */
export type Submitted = ({ readonly created: true } & StoredTask) | Repeat | Refused;

export interface Repeat {
  readonly created: false;
  readonly id: string;
  readonly messageId: string | null;
  readonly requestHash: string | null;
  readonly sessionIsFull?: undefined;
}

/** Nothing was stored. */
export interface Refused {
  readonly created: false;
  readonly sessionIsFull: true;
  readonly id: string;
}

type KeyedTask = Pick<NewTask, "tenant" | "idempotencyKey">;

/** What came of a message: it was left for the task at work, or it is a task, or its key was used before. */
export type Delivered =
  | { readonly created: true; readonly leftFor: AtWork }
  | (Submitted & { readonly leftFor?: undefined });

export interface Woken {
  readonly woken: number;
  readonly nextInMs: number | null;
  /** Some task waits for a worker. */
  readonly mayRun: boolean;
}

export interface Finished {
  /** False: the lease was lost, or there are messages that the task has not heard, and nothing was written. */
  readonly held: boolean;
  /** Milliseconds since the epoch. */
  readonly finishedAt: number;
  /** Some task became the head of its session by this flush: there may be work. */
  readonly promoted: boolean;
}

/** More travel in the next flush: bounds the size of a statement, and the time its locks are held. */
const mostPerFlush = 500;

export function createWorkerWrites(database: Database) {
  return { ...createTaskWrites(database), ...createLeaseWrites(database) };
}

function createTaskWrites(database: Database) {
  return {
    submit: createCoalescer<Submit, Submitted>({
      maxItems: mostPerFlush,
      flush: (submits) => submit(database, submits),
    }),

    /** What the idempotency key of a task was used for before, if it has one. */
    taskOfKey: async (task: KeyedTask) =>
      task.idempotencyKey === null ? undefined : (await holdersOfKeys(database, [task])).get(keyOf(task)),

    /** Undefined: the lease is lost, and nothing was written. */
    append: createCoalescer<Append, HeldTask | undefined>({
      maxItems: mostPerFlush,
      flush: (appends) => append(database, appends),
    }),

    finish: createCoalescer<Finish, Finished>({
      maxItems: mostPerFlush,
      keyOf: ({ taskId }) => taskId,
      flush: async (finishes) => {
        const packed = finishes.map(packEntries);
        const statements = finishStatements(packed.map(({ write }) => write));
        const [, ended = [], promoted = []] = await writeWithLarge(database, statements, packed);
        const times = timesOf(ended);
        return finishes.map(({ taskId }) => toFinished(times.get(taskId), promoted));
      },
    }),
    /** Ends a task all the same if there are messages that it has not heard: they become tasks of their own. */
    finishUnheard: async (finish: Finish) => {
      const packed = packEntries(finish);
      const statements = finishUnheardStatements(packed.write);
      const [, , ended = [], promoted = []] = await writeWithLarge(database, statements, [packed]);
      return toFinished(timesOf(ended).get(finish.taskId), promoted);
    },
    /** What a task has not heard, in the order it came. Undefined: the lease is lost. */
    unheard: async (held: { taskId: string; epoch: number }) => {
      const rows = await database.query<UnheardMessage | { id: null }>(unheardStatement(held));
      return rows.length === 0 ? undefined : rows.filter((row): row is UnheardMessage => row.id !== null);
    },
    /** Appends entries with messages that the task hears now. False: the lease is lost, and nothing was written. */
    hear: async (hearing: Hearing) => {
      const packed = packEntries(hearing);
      const [heard = []] = await writeWithLarge(database, [hearStatement(packed.write)], [packed]);
      return heard.length > 0;
    },
    /** Leaves a message for the task at work in its session, or stores it as a task. @throws UnavailableError `inbox_full` */
    deliver: (delivery: Delivery) => deliver(database, delivery),

    /** Undefined: the lease is lost, and nothing was written. */
    park: async (park: Park) => {
      const packed = packEntries(park);
      const [[held] = []] = await writeWithLarge(database, [parkStatement(packed.write)], [packed]);
      return held as unknown as HeldTask | undefined;
    },
    /** What was claimed is to be opened (see reads.ts) before it is run. */
    claim: async (request: ClaimRequest) =>
      ((await database.batch(claimStatements(request))).at(-1) ?? []) as unknown as ClaimedRow[],
    release: (release: Release) => database.query(releaseStatement(release)),
    wakeDue: async () => {
      const [row] = await database.query<Woken>(wakeDueStatement());
      return row ?? { woken: 0, nextInMs: null, mayRun: true };
    },
    savePartials: (partials: readonly PartialText[]) => database.query(savePartialsStatement(partials)),
  };
}

function createLeaseWrites(database: Database) {
  return {
    registerWorker: (worker: WorkerLease & { info: JsonObject }) => database.query(registerWorkerStatement(worker)),
    /** Undefined: the lease is lost. */
    heartbeat: async (worker: WorkerLease) => (await database.query<Wishes>(heartbeatStatement(worker)))[0],
    unregisterWorker: (id: string) => database.batch(unregisterWorkerStatements(id)),
    reconcile: (worker: Reconciling) => database.query<{ id: string }>(reconcileStatement(worker)),
    /** The agents of each worker that lives; null: it does not say. */
    hostedAgents: async () => {
      const rows = await database.query<{ agents: readonly string[] | null }>(hostedAgentsStatement());
      return rows.map(({ agents }) => agents);
    },
    deaths: async (): Promise<Deaths> =>
      (await database.query<Deaths>(deathsStatement()))[0] ?? { workers: 0, expired: 0, freeLocks: [] },
    /** @param freeLocks of processes that are dead, as `deaths` told before */
    reap: (freeLocks: readonly string[] = []) =>
      database.batch(reapStatements(freeLocks)).then(([, freed = []]) => freed),
    reapAll: () => database.batch(reapAllStatements()).then(([, freed = []]) => freed),
  };
}

async function append(database: Database, appends: readonly Append[]): Promise<(HeldTask | undefined)[]> {
  const packed = appends.map(packEntries);
  const statement = appendStatement(packed.map(({ write }) => write));
  const [rows = []] = await writeWithLarge(database, [statement], packed);
  const byId = new Map((rows as unknown as HeldTask[]).map((row) => [row.id, row]));
  return appends.map(({ taskId, epoch }) => {
    const row = byId.get(taskId);
    return row?.epoch === epoch ? row : undefined;
  });
}

/** What a heartbeat tells of the worker's tasks. */
export interface Wishes {
  readonly cancelled: readonly { readonly id: string; readonly by: string }[];
  readonly interrupts: readonly { readonly taskId: string; readonly messageId: string }[];
}

type Row = Record<string, unknown>;

interface PackedWrite<Write> {
  readonly taskId: string;
  readonly write: Write;
  readonly contents: Packed<object>["contents"];
}

function packEntries<Write extends Append>(write: Write): PackedWrite<Write> {
  const packed = write.entries.map((entry) => packLarge(entry));
  const contents = packed.flatMap((entry) => entry.contents);
  const packedWrite = contents.length === 0 ? write : { ...write, entries: packed.map(({ value }) => value) };
  return { taskId: write.taskId, write: packedWrite, contents };
}

function timesOf(ended: readonly Row[]): Map<unknown, number> {
  return new Map(ended.map(({ id, finishedAt }) => [id, finishedAt as number]));
}

function toFinished(finishedAt: number | undefined, promoted: readonly Row[]): Finished {
  return { held: finishedAt !== undefined, finishedAt: finishedAt ?? 0, promoted: promoted.length > 0 };
}

async function deliver(database: Database, delivery: Delivery): Promise<Delivered> {
  const { task } = delivery;
  const [, , atWork = [], stored = []] = await database.batch(deliverStatements(delivery)).catch(noneIfKeyIsUsed);
  const [working] = atWork as unknown as AtWork[];
  if (working?.left === true) return { created: true, leftFor: working };
  const [row] = stored as unknown as (StoredTask | RefusedTask)[];
  if (row !== undefined) return toSubmitted(row);
  const repeat = (await holdersOfKeys(database, [task])).get(keyOf(task));
  if (repeat !== undefined) return repeat;
  // Deleted, or ended, between our statement and our look.
  if (working === undefined) throw new UnavailableError("key_in_transit", "Try again.", { afterMs: 10 });
  const message = `${mostUnheard} messages wait to be heard by task ${working.taskId}, which is the most allowed. Try again later.`;
  throw new UnavailableError("inbox_full", message, { afterMs: 1_000 });
}

/** Another process used the key between our look and our insert. */
function noneIfKeyIsUsed(error: unknown): Row[][] {
  if (error instanceof StoreError && error.code === "unique_violation") return [];
  throw error;
}

function toSubmitted(row: StoredTask | RefusedTask): ({ created: true } & StoredTask) | Refused {
  return row.claimed === null ? { created: false, sessionIsFull: true, id: row.id } : { created: true, ...row };
}

async function submit(database: Database, submits: readonly Submit[]): Promise<Submitted[]> {
  const stored = new Map((await storeTasks(database, submits)).map((row) => [row.id, row]));
  const repeats = submits.map(({ task }) => task).filter(({ id }) => !stored.has(id));
  const holders = await holdersOfKeys(database, repeats);
  return submits.map(({ task }) => {
    const row = stored.get(task.id);
    if (row !== undefined) return toSubmitted(row);
    const holder = holders.get(keyOf(task));
    // Deleted between our insert and our look.
    if (holder === undefined) throw new UnavailableError("key_in_transit", "Try again.", { afterMs: 10 });
    return holder;
  });
}

async function storeTasks(database: Database, submits: readonly Submit[]): Promise<(StoredTask | RefusedTask)[]> {
  try {
    const packed = submits.map(({ task, ...terms }) => {
      const { value: input, contents } = packLarge(task.input);
      return { taskId: task.id, tenant: task.tenant, contents, write: { task: { ...task, input }, ...terms } };
    });
    const statement = submitStatement(packed.map(({ write }) => write));
    const [stored = []] = await writeWithLarge(database, [statement], packed);
    return stored as unknown as (StoredTask | RefusedTask)[];
  } catch (error) {
    // Another process used the key between our look and our insert. (Of several tasks each is tried again alone.)
    if (submits.length === 1 && error instanceof StoreError && error.code === "unique_violation") return [];
    throw error;
  }
}

async function holdersOfKeys(database: Database, repeats: readonly KeyedTask[]): Promise<Map<string, Repeat>> {
  const holders = new Map<string, Repeat>();
  const byTenant = Map.groupBy(repeats, ({ tenant }) => tenant);
  for (const [tenant, tasks] of byTenant) {
    const keys = tasks.flatMap(({ idempotencyKey }) => idempotencyKey ?? []);
    for (const { key, ...holder } of await database.query<Omit<Repeat, "created"> & { key: string }>(
      tasksByKeyStatement(tenant, keys),
    )) {
      holders.set(`${tenant} ${key}`, { created: false, ...holder });
    }
  }
  return holders;
}

function keyOf({ tenant, idempotencyKey }: KeyedTask): string {
  return `${tenant} ${idempotencyKey}`;
}
