/** What is new in many tasks at once, for those who watch them. Every one of them is found by its key. */
import type { Statement } from "../database.ts";
import type { EndedTask, TaskStatus } from "../task-row.ts";
import type { TaskKey } from "./tasks.ts";

export interface NewsKey extends TaskKey {
  /** Entries after this number; `noEntries`: none. */
  readonly afterSeq: number;
}

/** Beyond every entry. */
export const noEntries = 2 ** 31 - 1;

export interface NewsRow extends Omit<EndedTask, "status"> {
  /** Which of the keys it belongs to, from 1. */
  readonly n: number;
  readonly status: TaskStatus;
  readonly lastSeq: number | null;
  /** Null, and so is the rest of it: the task has no text in flight. */
  readonly text: string | null;
  readonly afterSeq: number;
  readonly textEpoch: number;
  readonly attempt: number;
}

const wanted = "unnest($1::text[], $2::uuid[], $3::int[]) with ordinality as w(tenant, id, after_seq, n)";

function keyArrays(keys: readonly NewsKey[]): unknown[] {
  return [keys.map(({ tenant }) => tenant), keys.map(({ id }) => id), keys.map(({ afterSeq }) => afterSeq)];
}

/**
 * Rows are `NewsRow`: of the tasks that have ended, have more entries (or fewer) than the reader knows of, or text in
 * flight. What a task came to is told of the ended ones alone.
 */
export function taskNewsStatement(keys: readonly NewsKey[]): Statement {
  return { name: "task_news", text: taskNewsSql, values: keyArrays(keys) };
}

/** Rows are `EntryRow` with the number `n` of their key, from 1: for each key at most `limit`, in order. */
export function entriesAfterStatement(keys: readonly NewsKey[], limit: number): Statement {
  return {
    name: "entries_after",
    text: `select w.n, e.task_id as "taskId", e.seq, e.at, e.kind, e.body
           from ${wanted} join task t on t.id = w.id and t.tenant = w.tenant
           cross join lateral (
             select * from entry where task_id = w.id and seq > w.after_seq order by seq limit $4
           ) e
           order by w.n, e.seq`,
    values: [...keyArrays(keys), limit],
  };
}

const taskNewsSql = `
select w.n, t.id, t.session_id as "sessionId", t.status, l.seq as "lastSeq",
  case when f.finished then t.output end as output, t.error, case when f.finished then t.error_message end as "errorMessage",
  t.steps_used as "stepsUsed", t.tokens_used as "tokensUsed", t.tool_calls as "toolCalls", t.cost_micros as "costMicros",
  t.created_at as "createdAt", t.finished_at as "finishedAt",
  p.text, p.after_seq as "afterSeq", p.epoch as "textEpoch", p.attempt
from ${wanted} join task t on t.id = w.id and t.tenant = w.tenant
cross join lateral (select t.status in ('completed', 'failed', 'cancelled') as finished) f
left join lateral (
  select seq from entry where task_id = w.id and w.after_seq < ${noEntries} order by seq desc limit 1
) l on true
left join partial p on p.task_id = w.id and t.status = 'running' and w.after_seq < ${noEntries}
where f.finished or p.task_id is not null or (l.seq is distinct from w.after_seq and w.after_seq < ${noEntries})`;
