/**
 * Reading conversations. A conversation is the journals of its completed tasks, in order: completing a task is what adds
 * to it, in the same transaction by nature, and nothing is stored twice.
 */
import type { Statement } from "../database.ts";

/** Rows are `{id, openTasks, tasks, version, createdAt, updatedAt}`. */
export function sessionStatement(tenant: string, id: string): Statement {
  return {
    text: `select id, open_tasks as "openTasks", version, created_at as "createdAt", updated_at as "updatedAt"
           from session where tenant = $1 and id = $2`,
    values: [tenant, id],
  };
}

export interface Exchanges {
  readonly tenant: string;
  readonly sessionId: string;
  /** Only tasks before this position; null: all. */
  readonly before: number | null;
  readonly limit: number;
  /** Of the tasks with larger journals together only the newest; absent: however large they are. */
  readonly mostBytes?: number;
}

/** The last completed tasks of a session. Rows are `{id, position, input}`, newest first. */
export function exchangesStatement({ tenant, sessionId, before, limit, mostBytes }: Exchanges): Statement {
  return mostBytes === undefined
    ? { name: "exchanges", text: exchangesSql, values: [tenant, sessionId, before, limit] }
    : { name: "exchanges_within", text: exchangesWithinSql, values: [tenant, sessionId, before, limit, mostBytes] };
}

const exchangesSql = `
select id, position, input from task
where tenant = $1 and session_id = $2 and status = 'completed' and ($3::bigint is null or position < $3)
order by position desc limit $4`;

// The size is that of the stored, perhaps compressed, values, which is known without reading them.
const exchangesWithinSql = `
select id, position, input from (
  select t.id, t.position, t.input, sum(j.bytes) over (order by t.position desc) - j.bytes as newer
  from (${exchangesSql}) t
  cross join lateral (select coalesce(sum(pg_column_size(e.body)), 0) as bytes from entry e where e.task_id = t.id) j
) t
where newer < $5 order by position desc`;

/** Of the task that was submitted to it last; no row: it has none. */
export function agentOfSessionStatement(tenant: string, id: string): Statement {
  return {
    text: `select agent from task where tenant = $1 and session_id = $2 order by position desc limit 1`,
    values: [tenant, id],
  };
}

/**
 * Deletes a conversation with its tasks, journals and approvals, unless a task of it is open. The second statement's row
 * is `{open_tasks}` as it was; none: no such session.
 */
export function deleteSessionStatements(tenant: string, id: string): Statement[] {
  const values = [tenant, id];
  return [
    { text: "select from session where tenant = $1 and id = $2 for update", values },
    {
      text: `
with target as materialized (
  select tenant, id, open_tasks from session where tenant = $1 and id = $2
), doomed as materialized (
  select t.id from task t join target s on s.tenant = t.tenant and s.id = t.session_id where s.open_tasks = 0
), entries as (
  delete from entry e using doomed d where e.task_id = d.id
), tasks as (
  delete from task t using doomed d where t.id = d.id
), gone as (
  delete from session s using target t where s.tenant = t.tenant and s.id = t.id and t.open_tasks = 0
)
select open_tasks from target`,
      values,
    },
  ];
}
