/**
 * Ends tasks, many in one transaction of three statements: lock their sessions, write the ends, promote what was behind
 * them. They are three because each must see what committed while the one before it waited for a lock: a submit that
 * slipped in between must find its task promoted.
 */
import type { Statement } from "../database.ts";
import { encodeText } from "../json.ts";
import type { TaskResult } from "../task-row.ts";
import { anyOf, chargeRows, entryRows, journalArrays, type Append } from "./append.ts";
import { settleTasks } from "./virtual-keys.ts";

export interface Finish extends Append {
  readonly tenant: string;
  readonly sessionId: string;
  readonly result: TaskResult;
}

/**
 * The rows of the second statement are `{id}` of the tasks that ended: whose lease still held and that have heard every
 * message; of the third `{id}` of the promoted.
 * @param finishes at most one of each task
 */
export function finishStatements(finishes: readonly Finish[]): Statement[] {
  const ids = finishes.map(({ taskId }) => taskId);
  return [
    lockSessionsStatement(finishes.map(({ sessionId }) => sessionId)),
    { name: "finish", text: finishSql, values: [ids, ...resultArrays(finishes), ...journalArrays(finishes)] },
    promoteStatement(ids),
  ];
}

export function lockSessionsStatement(ids: readonly string[]): Statement {
  return { name: "lock_sessions", text: lockSessionsSql, values: [ids] };
}

/** Makes the first open task behind each of these ended ones the head of its session, if it had none. */
export function promoteStatement(endedIds: readonly string[]): Statement {
  return { name: "promote", text: promoteSql, values: [endedIds] };
}

function resultArrays(finishes: readonly Finish[]): unknown[][] {
  return [
    finishes.map(({ epoch }) => epoch),
    finishes.map(({ result }) => result.status),
    finishes.map(({ result }) => encodeText(result.output)),
    finishes.map(({ result }) => result.error),
    finishes.map(({ result }) => encodeText(result.errorMessage)),
    finishes.map(({ result }) => result.stepsUsed),
    finishes.map(({ result }) => result.tokensUsed),
    finishes.map(({ result }) => result.toolCalls),
    finishes.map(({ result }) => result.costMicros),
  ];
}

const lockSessionsSql = `
select from session where id = ${anyOf("$1", "text")} order by id, tenant for no key update`;

// The arrays are indexed by where a task stands in the first: joined to a record set, whose size the planner does not
// know, they would be compared row by row.
const finishSql = `
with ended as (
  update task t
  set (status, output, error, error_message, steps_used, tokens_used, tool_calls, cost_micros, dead_letter) = (
        select ($3::text[])[n], ($4::text[])[n], ($5::text[])[n], ($6::text[])[n], ($7::int[])[n], ($8::int[])[n],
               ($9::int[])[n], ($10::bigint[])[n], ($3::text[])[n] = 'failed'
        from array_position($1::uuid[], t.id) n),
      lease_owner = null, finished_at = holdfast_now()
  where t.id = ${anyOf("$1", "uuid")} and t.status = 'running' and t.unheard = 0
    and t.epoch = ($2::int[])[array_position($1::uuid[], t.id)]
  returning t.id, t.tenant, t.session_id, t.agent, t.user_id, t.status, t.finished_at, t.created_at, t.cost_micros,
    t.key_id, t.key_charged
), written as (
  insert into entry (task_id, seq, epoch, kind, at, body)
  select i.task_id, i.seq, i.epoch, i.kind, i.at, i.body
  from ${entryRows(11)} i
  where (i.task_id in (select id from ended)) is true
  on conflict do nothing
  returning task_id, seq
), charged as (${chargeRows(11, "ended")}
), ${settleTasks("ended")}, counted as (
  update session s
  set open_tasks = s.open_tasks - e.ended, version = s.version + e.completed, updated_at = holdfast_now()
  from (
    select tenant, session_id, count(*) as ended, count(*) filter (where status = 'completed') as completed
    from ended group by tenant, session_id
  ) e
  where s.tenant = e.tenant and s.id = e.session_id
), cleared as (
  -- Who saves texts locks rows in an order of its own: to wait for it is a deadlock now and then, and a whole flush undone.
  -- What is skipped it removes itself, or goes with the task.
  delete from partial where task_id in (
    select p.task_id from partial p join ended e on e.id = p.task_id for update of p skip locked)
)
select id, finished_at as "finishedAt" from ended`;

const promoteSql = `
update task next set is_head = true
from task ended
cross join lateral (
  select t.id from task t
  where t.tenant = ended.tenant and t.session_id = ended.session_id and t.position > ended.position
    and t.status in ('pending', 'running', 'waiting')
  order by t.position limit 1
) behind
where ended.id = ${anyOf("$1", "uuid")} and ended.is_head and ended.status in ('completed', 'failed', 'cancelled')
  and next.id = behind.id and not next.is_head
returning next.id`;
