/**
 * Ends tasks, many in one transaction of three statements: lock their sessions, write the ends, promote what was behind
 * them. They are three because each must see what committed while the one before it waited for a lock: a submit that
 * slipped in between must find its task promoted.
 */
import type { Statement } from "../database.ts";
import { encodeJson } from "../json.ts";
import type { TaskResult } from "../task-row.ts";
import { entryColumns, entryRows, type Append } from "./append.ts";

export interface Finish extends Append {
  readonly tenant: string;
  readonly sessionId: string;
  readonly result: TaskResult;
}

/** The rows of the second statement are `{id}` of the tasks whose lease still held, of the third `{id}` of the promoted. */
export function finishStatements(finishes: readonly Finish[]): Statement[] {
  const ids = finishes.map(({ taskId }) => taskId);
  const ends = encodeJson(finishes.map(toRow));
  const entries = encodeJson(finishes.flatMap(entryRows));
  return [
    { name: "lock_sessions", text: lockSessionsSql, values: [finishes.map(({ sessionId }) => sessionId)] },
    { name: "finish", text: finishSql, values: [ends, entries, ids] },
    promoteStatement(ids),
  ];
}

/** Makes the first open task behind each of these ended ones the head of its session, if it had none. */
export function promoteStatement(endedIds: readonly string[]): Statement {
  return { name: "promote", text: promoteSql, values: [endedIds] };
}

function toRow({ taskId, epoch, result }: Finish): Record<string, unknown> {
  return {
    id: taskId,
    epoch,
    status: result.status,
    output: result.output,
    error: result.error,
    error_message: result.errorMessage,
    steps_used: result.stepsUsed,
    tokens_used: result.tokensUsed,
    tool_calls: result.toolCalls,
    cost_micros: result.costMicros,
  };
}

const lockSessionsSql = `
select from session where id = any($1::text[]) order by id, tenant for no key update`;

const finishSql = `
with input as materialized (
  select * from json_to_recordset($1::json) as i(
    id uuid, epoch int, status text, output text, error text, error_message text,
    steps_used int, tokens_used int, tool_calls int, cost_micros bigint)
), ended as (
  update task t
  set status = i.status, output = i.output, error = i.error, error_message = i.error_message,
      steps_used = i.steps_used, tokens_used = i.tokens_used, tool_calls = i.tool_calls, cost_micros = i.cost_micros,
      dead_letter = i.status = 'failed', lease_owner = null, finished_at = holdfast_now()
  from input i
  where t.id = any($3::uuid[]) and t.id = i.id and t.epoch = i.epoch and t.status = 'running'
  returning t.id, t.tenant, t.session_id, t.status, t.finished_at
), written as (
  insert into entry (task_id, seq, epoch, kind, at, body)
  select i.task_id, i.seq, i.epoch, i.kind, to_timestamp(i.at / 1000), i.body
  from json_to_recordset($2::json) as i(${entryColumns}) join ended e on e.id = i.task_id
  on conflict do nothing
), counted as (
  update session s
  set open_tasks = s.open_tasks - e.ended, version = s.version + e.completed, updated_at = holdfast_now()
  from (
    select tenant, session_id, count(*) as ended, count(*) filter (where status = 'completed') as completed
    from ended group by tenant, session_id
  ) e
  where s.tenant = e.tenant and s.id = e.session_id
), cleared as (
  delete from partial p using ended e where p.task_id = e.id
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
where ended.id = any($1::uuid[]) and ended.is_head and ended.status in ('completed', 'failed', 'cancelled')
  and next.id = behind.id and not next.is_head
returning next.id`;
