/**
 * Stores new tasks, many in one statement.
 *
 * The upsert of the session takes its row lock, which orders submits and completions of one conversation: a position is
 * visible only after all smaller ones, and `open_tasks` tells truly whether the new task is the head.
 */
import type { Statement } from "../database.ts";
import { encodeJson } from "../json.ts";
import type { NewTask } from "../task-row.ts";

/** Answers the ids that were stored; those missing repeat an idempotency key. */
export function submitStatement(tasks: readonly NewTask[]): Statement {
  return { name: "submit", text: submitSql, values: [encodeJson(tasks.map(toRow))] };
}

/** The tasks that hold these keys. */
export function tasksByKeyStatement(tenant: string, keys: readonly string[]): Statement {
  return {
    text: `select id, idempotency_key as "key", request_hash as "requestHash" from task
           where tenant = $1 and idempotency_key = any($2::text[])`,
    values: [tenant, keys],
  };
}

function toRow(task: NewTask): Record<string, unknown> {
  return {
    id: task.id,
    tenant: task.tenant,
    session_id: task.sessionId,
    agent: task.agent,
    priority: task.priority,
    input: task.input,
    user_id: task.userId,
    metadata: task.metadata,
    idempotency_key: task.idempotencyKey,
    request_hash: task.requestHash,
    forked_from: task.forkedFrom,
  };
}

const submitSql = `
with input as materialized (
  select i.* from jsonb_to_recordset($1::jsonb) as i(
    id uuid, tenant text, session_id text, agent text, priority smallint, input jsonb, user_id text, metadata jsonb,
    idempotency_key text, request_hash text, forked_from uuid)
), fresh as materialized (
  select i.*,
    row_number() over (partition by tenant, session_id order by id) as place,
    count(*) over (partition by tenant, session_id) as together
  from input i
  where i.idempotency_key is null or not exists (
    select from task t where t.tenant = i.tenant and t.idempotency_key = i.idempotency_key)
), conversation as (
  insert into session as s (tenant, id, open_tasks, last_position)
  select tenant, session_id, count(*), count(*) from fresh group by tenant, session_id order by tenant, session_id
  on conflict (tenant, id) do update
    set open_tasks = s.open_tasks + excluded.open_tasks,
        last_position = s.last_position + excluded.last_position,
        updated_at = holdfast_now()
  returning s.tenant, s.id, s.open_tasks, s.last_position
)
insert into task (id, tenant, session_id, position, is_head, agent, priority, input, user_id, metadata,
                  idempotency_key, request_hash, forked_from)
select f.id, f.tenant, f.session_id, c.last_position - f.together + f.place, c.open_tasks = f.together and f.place = 1,
       f.agent, f.priority, f.input, f.user_id, f.metadata, f.idempotency_key, f.request_hash, f.forked_from
from fresh f join conversation c on c.tenant = f.tenant and c.id = f.session_id
returning id`;
