/**
 * Appends entries of many tasks in one statement, each fenced by the epoch of its lease.
 *
 * The task row is locked but not updated: an update per step would cost a dead row version and four index entries. The
 * lock is what makes the fence exact, since a claim, which raises the epoch, updates the row. Rows are locked by id.
 *
 * A repeat after a lost acknowledgement changes nothing (`on conflict do nothing`) and is acknowledged again.
 *
 * What the calls among the entries cost goes to the ledger by the same statement; see usage.ts.
 */
import type { Entry } from "../../agent/journal.ts";
import type { Statement } from "../database.ts";
import { encodeJson } from "../json.ts";
import { chargeArrays, chargeSql } from "./usage.ts";

export interface Append {
  readonly taskId: string;
  readonly epoch: number;
  readonly entries: readonly Entry[];
}

/** Rows are `HeldTask`, for those of the tasks that run; nothing is written where the epoch is not the one that was sent. */
export function appendStatement(appends: readonly Append[]): Statement {
  return { name: "append", text: appendSql, values: [appends.map(({ taskId }) => taskId), ...journalArrays(appends)] };
}

/**
 * The answer to every write of a worker: it holds the task while the epoch is its own; and whether somebody wants it
 * cancelled, and how many messages it has not heard.
 */
export interface HeldTask {
  readonly id: string;
  readonly epoch: number;
  readonly cancelRequestedBy: string | null;
  readonly unheard: number;
}

/** The entries as parameters, and what they cost. */
export function journalArrays(appends: readonly Append[]): unknown[] {
  return [...entryArrays(appends), ...chargeArrays(appends)];
}

/** The statement's part that writes the rows of `entryRows` to the ledger; the parameters are those of `journalArrays`. */
export function chargeRows(first: number, tasks: string): string {
  return chargeSql(first + 6, tasks);
}

/**
 * The entries as parameters, one array per column, which is the cheapest form for the server to take apart. JSON text has
 * no line breaks, so the bodies go as lines of one text: quoting each for an array would double every quotation mark.
 */
function entryArrays(appends: readonly Append[]): [string[], number[], number[], string[], number[], string] {
  const columns: ReturnType<typeof entryArrays> = [[], [], [], [], [], ""];
  const [taskIds, epochs, seqs, kinds, times] = columns;
  const bodies: string[] = [];
  for (const { taskId, epoch, entries } of appends) {
    for (const entry of entries) {
      taskIds.push(taskId);
      epochs.push(epoch);
      seqs.push(entry.seq);
      kinds.push(entry.kind);
      times.push(entry.at);
      // What has a column of its own is left out. (JSON.stringify takes four times as long for a `...rest` object.)
      bodies.push(encodeJson({ ...entry, seq: undefined, kind: undefined, at: undefined }));
    }
  }
  columns[5] = bodies.join("\n");
  return columns;
}

/** The rows (task_id, epoch, seq, kind, at, body) of `journalArrays` that begin at parameter number `first`. */
export function entryRows(first: number): string {
  const [taskIds, epochs, seqs, kinds, times, bodies] = Array.from({ length: 6 }, (_, index) => `$${first + index}`);
  return `(
    select task_id, epoch, seq, kind, to_timestamp(at / 1000) as at, body::json as body
    from unnest(${taskIds}::uuid[], ${epochs}::int[], ${seqs}::int[], ${kinds}::text[], ${times}::float8[],
                string_to_array(${bodies}::text, e'\\n')) as r(task_id, epoch, seq, kind, at, body))`;
}

/**
 * `any` of an array parameter whose length the planner cannot see. It would otherwise think a generic plan, made for ten
 * elements, dearer than one made anew for every short array, and plan each time.
 */
export function anyOf(parameter: string, type: string): string {
  return `any ((select ${parameter}::${type}[])::${type}[])`;
}

// The tasks are found by an array: joined to a record set the planner, which knows nothing of its size, prefers to scan
// every running task. The entries are compared with them by a hashed subplan, for the same reason (`is true` allows it).
const appendSql = `
with held as materialized (
  select t.id, t.epoch, t.cancel_requested_by, t.unheard, t.tenant, t.agent, t.session_id, t.user_id, t.key_id
  from task t
  where t.id = ${anyOf("$1", "uuid")} and t.status = 'running'
  order by t.id
  for no key update
), written as (
  insert into entry (task_id, seq, epoch, kind, at, body)
  select i.task_id, i.seq, i.epoch, i.kind, i.at, i.body
  from ${entryRows(2)} i
  where ((i.task_id, i.epoch) in (select id, epoch from held)) is true
  on conflict do nothing
  returning task_id, seq
), charged as (${chargeRows(2, "held")}
)
select id, epoch, cancel_requested_by as "cancelRequestedBy", unheard from held`;
