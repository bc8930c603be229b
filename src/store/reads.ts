/** What is read. Looking up single tasks is what everybody who waits does, so these look-ups travel together. */
import type { Entry, EntryBody } from "../agent/journal.ts";
import type { Json, JsonObject } from "../agent/json.ts";
import { NotFoundError } from "../platform/errors.ts";
import { createCoalescer } from "./coalescer.ts";
import type { Database, Statement } from "./database.ts";
import { checked, inputsOf, isWhole, unpackLarge } from "./large.ts";
import { approvalsStatement, approvalStatement, type ApprovalFilter } from "./queries/approvals.ts";
import {
  journalsStatement,
  journalStatement,
  partialStatement,
  type EntryRow,
  type PartialText,
} from "./queries/journal.ts";
import { largeValueStatement } from "./queries/large-values.ts";
import { agentOfSessionStatement, exchangesStatement, sessionStatement, type Exchanges } from "./queries/sessions.ts";
import {
  entriesAfterStatement,
  noEntries,
  taskNewsStatement,
  type NewsKey,
  type NewsRow,
} from "./queries/task-news.ts";
import {
  queueStatement,
  tasksByIdStatement,
  tasksStatement,
  type QueueRow,
  type TaskFilter,
  type TaskKey,
} from "./queries/tasks.ts";
import type { ClaimedTask, EndedTask, TaskInput, TaskRow } from "./task-row.ts";

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

/** What a watcher of a task is told at once. */
export interface TaskNews {
  /** What comes after the entries it knows; of many only the first. */
  readonly entries: readonly Entry[];
  readonly lastSeq: number;
  /** What it came to, if it has ended. */
  readonly ended: EndedTask | undefined;
  /** The text of a turn in flight, perhaps of one that is over. */
  readonly partial: Omit<PartialText, "taskId"> | undefined;
}

const mostPerRead = 500;
/** Of the entries of one task: with news, and where somebody is far behind. */
const entriesWithNews = 20;
const entriesPerPage = 200;
/** So many tasks' pages travel together. */
const mostPages = 50;

export function createReads(database: Database) {
  const one = async <Row>(statement: Statement): Promise<Row | undefined> => (await database.query<Row>(statement))[0];

  const approvals = async (statement: Statement): Promise<ApprovalRow[]> => {
    const rows = await database.query<ApprovalRow & { large: unknown }>(statement);
    const whole = rows.map(({ large, ...row }) => ({ ...row, ...(large !== null && { $large: large }) }));
    await unpackLarge(
      database,
      whole.map((body) => ({ taskId: body.taskId, body })),
    );
    return whole;
  };

  return {
    open: taskOpener(database),
    /** What the model had said when the worker was lost that had called it after this entry; "" if nothing was kept. */
    textInFlight: async (taskId: string, afterSeq: number) =>
      (await one<{ text: string }>(partialStatement(taskId, afterSeq)))?.text ?? "",
    task: createCoalescer<TaskKey, TaskRow | undefined>({
      maxItems: mostPerRead,
      flush: async (keys) => {
        const rows = await database.query<TaskRow>(tasksByIdStatement(keys));
        await unpackLarge(database, inputsOf(rows));
        const byKey = new Map(rows.map((row) => [`${row.tenant} ${row.id}`, row]));
        return keys.map(({ tenant, id }) => byKey.get(`${tenant} ${id}`));
      },
    }),
    /** Of a large prompt or context only the beginning. */
    tasks: (filter: TaskFilter) => database.query<TaskRow>(tasksStatement(filter)),
    journals: async (taskIds: readonly string[]) =>
      groupByTask(await readEntries(database, journalsStatement(taskIds))),
    exchanges: async (page: Exchanges) => {
      const rows = await database.query<ExchangeRow>(exchangesStatement(page));
      await unpackLarge(database, inputsOf(rows));
      return rows;
    },
    taskNews: createCoalescer<NewsKey, TaskNews>({
      maxItems: mostPerRead,
      flush: (keys) => sharingReads(keys, (places) => readNews(database, places)),
    }),
    /** A page of the entries that come next. */
    entriesAfter: createCoalescer<NewsKey, readonly Entry[]>({
      maxItems: mostPages,
      flush: (keys) =>
        sharingReads(keys, async (places) => {
          const rows = await database.query<KeyedEntryRow>(entriesAfterStatement(places, entriesPerPage));
          await unpackLarge(database, rows);
          return groupByKey(places, rows);
        }),
    }),
    queue: (look: { since: string; most: number }) => database.query<QueueRow>(queueStatement(look)),
    journal: async (page: { tenant: string; taskId: string; afterSeq: number; limit: number }) =>
      (await readEntries(database, journalStatement(page))).map(toEntry),
    approval: async (tenant: string, id: string) => (await approvals(approvalStatement(tenant, id)))[0],
    approvals: (filter: ApprovalFilter) => approvals(approvalsStatement(filter)),
    agentOfSession: async (tenant: string, id: string) =>
      (await one<{ agent: string }>(agentOfSessionStatement(tenant, id)))?.agent,
    session: (tenant: string, id: string) => one<SessionRow>(sessionStatement(tenant, id)),
    /** The JSON text. @throws NotFoundError `large_value_not_found` */
    largeValue: async (tenant: string, hash: string) => {
      const row = await one<{ content: string }>(largeValueStatement(tenant, hash));
      if (row === undefined)
        throw new NotFoundError("large_value_not_found", `There is no value with the hash ${hash}.`);
      return checked(hash, row.content);
    },
  };
}

/**
 * Makes a task that was claimed ready to run: puts back what its input lacks, in place, and reads its journal. Of tasks
 * claimed together the reads travel together; a task that cannot be read whole fails alone.
 * @throws NotFoundError `large_value_not_found`; HoldfastError `large_value_corrupt`
 */
function taskOpener(database: Database): (task: ClaimedTask) => Promise<readonly Entry[]> {
  const read = createCoalescer<ClaimedTask, readonly Entry[]>({
    maxItems: mostPerRead,
    flush: async (tasks) => {
      await unpackLarge(database, inputsOf(tasks));
      const begun = tasks.filter(({ isNew }) => !isNew).map(({ id }) => id);
      const journals =
        begun.length === 0 ? undefined : groupByTask(await readEntries(database, journalsStatement(begun)));
      return tasks.map(({ id }) => journals?.get(id) ?? []);
    },
  });
  return (task) => (task.isNew && isWhole(task.input) ? Promise.resolve([]) : read(task));
}

async function readEntries(database: Database, statement: Statement): Promise<EntryRow[]> {
  const rows = await database.query<EntryRow>(statement);
  await unpackLarge(database, rows);
  return rows;
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

type KeyedEntryRow = EntryRow & { readonly n: number };

/** Readers at the same place of the same task are answered by one read. */
async function sharingReads<Result>(
  keys: readonly NewsKey[],
  read: (places: readonly NewsKey[]) => Promise<Result[]>,
): Promise<Result[]> {
  const placeOf = ({ tenant, id, afterSeq }: NewsKey): string => `${tenant} ${id} ${afterSeq}`;
  const places = new Map(keys.map((key) => [placeOf(key), key]));
  const results = await read([...places.values()]);
  const numbers = new Map([...places.keys()].map((place, index) => [place, index]));
  return keys.map((key) => results[numbers.get(placeOf(key))!]!);
}

async function readNews(database: Database, keys: readonly NewsKey[]): Promise<TaskNews[]> {
  // In this order: of a task that has ended by the first every entry is seen by the second.
  const [rows = [], entryRows = []] = await database.batch([
    taskNewsStatement(keys),
    entriesAfterStatement(keys, entriesWithNews),
  ]);
  await unpackLarge(database, entryRows as unknown as KeyedEntryRow[]);
  const entries = groupByKey(keys, entryRows as unknown as KeyedEntryRow[]);
  const news = keys.map(({ afterSeq }, index): TaskNews => {
    const some = entries[index]!;
    const known = afterSeq === noEntries ? 0 : afterSeq;
    return { entries: some, lastSeq: some.at(-1)?.seq ?? known, ended: undefined, partial: undefined };
  });
  for (const row of rows as unknown as NewsRow[]) news[row.n - 1] = toNews(row, entries[row.n - 1]!);
  return news;
}

function toNews(row: NewsRow, entries: readonly Entry[]): TaskNews {
  const { n: _n, lastSeq, status, text, afterSeq, textEpoch, attempt, ...task } = row;
  const isOver = status === "completed" || status === "failed" || status === "cancelled";
  return {
    entries,
    lastSeq: Math.max(lastSeq ?? 0, entries.at(-1)?.seq ?? 0),
    ended: isOver ? { ...task, status } : undefined,
    partial: text === null ? undefined : { turn: { afterSeq, epoch: textEpoch, attempt }, text },
  };
}

function groupByKey(keys: readonly NewsKey[], rows: readonly KeyedEntryRow[]): Entry[][] {
  const groups = keys.map((): Entry[] => []);
  for (const row of rows) groups[row.n - 1]!.push(toEntry(row));
  return groups;
}
