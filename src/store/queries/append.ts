/**
 * Appends entries of many tasks in one statement, each fenced by the epoch of its lease.
 *
 * The task row is locked but not updated: an update per step would cost a dead row version and four index entries. The
 * lock is what makes the fence exact, since a claim, which raises the epoch, updates the row. Rows are locked by id.
 *
 * A repeat after a lost acknowledgement changes nothing (`on conflict do nothing`) and is acknowledged again.
 */
import type { Entry } from "../../agent/journal.ts";
import type { Statement } from "../database.ts";
import { encodeJson } from "../json.ts";

export interface Append {
  readonly taskId: string;
  readonly epoch: number;
  readonly entries: readonly Entry[];
}

/** Rows are `HeldTask`, for those of the tasks that run; nothing is written where the epoch is not the one that was sent. */
export function appendStatement(appends: readonly Append[]): Statement {
  const values = [encodeJson(appends.flatMap(entryRows)), appends.map(({ taskId }) => taskId)];
  return { name: "append", text: appendSql, values };
}

/** The answer to every write of a worker: it holds the task while the epoch is its own; and whether somebody wants it cancelled. */
export interface HeldTask {
  readonly id: string;
  readonly epoch: number;
  readonly cancelRequestedBy: string | null;
}

export function entryRows({ taskId, epoch, entries }: Append): Record<string, unknown>[] {
  return entries.map(({ seq, at, kind, ...body }) => ({ task_id: taskId, epoch, seq, kind, at, body }));
}

/** The columns of an entry as they travel in JSON. */
export const entryColumns = "task_id uuid, epoch int, seq int, kind text, at float8, body json";

// The tasks are found by `= any(array)`: joined by a record set the planner, which knows nothing of its size, prefers to
// scan every running task (twice the time of the whole statement for 128 of them).
const appendSql = `
with held as materialized (
  select t.id, t.epoch, t.cancel_requested_by from task t
  where t.id = any($2::uuid[]) and t.status = 'running'
  order by t.id
  for no key update
), written as (
  insert into entry (task_id, seq, epoch, kind, at, body)
  select i.task_id, i.seq, i.epoch, i.kind, to_timestamp(i.at / 1000), i.body
  from json_to_recordset($1::json) as i(${entryColumns}) join held h on h.id = i.task_id and h.epoch = i.epoch
  on conflict do nothing
)
select id, epoch, cancel_requested_by as "cancelRequestedBy" from held`;
