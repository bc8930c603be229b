/** What is read. Looking up single tasks is what everybody who waits does, so these look-ups travel together. */
import type { Entry, EntryBody } from "../agent/journal.ts";
import type { Json, JsonObject } from "../agent/json.ts";
import { NotFoundError } from "../platform/errors.ts";
import { createCoalescer } from "./coalescer.ts";
import type { Database, Statement } from "./database.ts";
import { approvalsStatement, approvalStatement, type ApprovalFilter } from "./queries/approvals.ts";
import { journalsStatement, journalStatement, partialStatement, type EntryRow } from "./queries/journal.ts";
import { largeValueStatement } from "./queries/large-values.ts";
import { exchangesStatement, sessionStatement, type Exchanges } from "./queries/sessions.ts";
import {
  backlogStatement,
  tasksByIdStatement,
  tasksStatement,
  type TaskFilter,
  type TaskKey,
} from "./queries/tasks.ts";
import type { TaskInput, TaskRow } from "./task-row.ts";

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

const mostPerRead = 500;

export function createReads(database: Database) {
  const one = async <Row>(statement: Statement): Promise<Row | undefined> => (await database.query<Row>(statement))[0];

  return {
    task: createCoalescer<TaskKey, TaskRow | undefined>({
      maxItems: mostPerRead,
      flush: async (keys) => {
        const rows = await database.query<TaskRow>(tasksByIdStatement(keys));
        const byKey = new Map(rows.map((row) => [`${row.tenant} ${row.id}`, row]));
        return keys.map(({ tenant, id }) => byKey.get(`${tenant} ${id}`));
      },
    }),
    tasks: (filter: TaskFilter) => database.query<TaskRow>(tasksStatement(filter)),
    journals: async (taskIds: readonly string[]) =>
      groupByTask(await database.query<EntryRow>(journalsStatement(taskIds))),
    exchanges: (page: Exchanges) => database.query<ExchangeRow>(exchangesStatement(page)),
    backlog: async (most: number) => (await one<{ waiting: number }>(backlogStatement(most)))?.waiting ?? 0,
    journal: async (page: { tenant: string; taskId: string; afterSeq: number; limit: number }) =>
      (await database.query<EntryRow>(journalStatement(page))).map(toEntry),
    partial: async (taskId: string) => (await one<{ text: string }>(partialStatement(taskId)))?.text ?? "",
    approval: (tenant: string, id: string) => one<ApprovalRow>(approvalStatement(tenant, id)),
    approvals: (filter: ApprovalFilter) => database.query<ApprovalRow>(approvalsStatement(filter)),
    session: (tenant: string, id: string) => one<SessionRow>(sessionStatement(tenant, id)),
    /** The JSON text. @throws NotFoundError `large_value_not_found` */
    largeValue: async (tenant: string, hash: string) => {
      const row = await one<{ content: string }>(largeValueStatement(tenant, hash));
      if (row === undefined)
        throw new NotFoundError("large_value_not_found", `There is no value with the hash ${hash}.`);
      return row.content;
    },
  };
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
