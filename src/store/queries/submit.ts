/**
 * Stores new tasks, many in one statement.
 *
 * The upsert of the session takes its row lock, which orders submits and completions of one conversation: a position is
 * visible only after all smaller ones, and `open_tasks` tells truly whether the new task is the head.
 */
import type { Statement } from "../database.ts";
import { encodeJson } from "../json.ts";
import type { NewTask } from "../task-row.ts";

/** A task to store. If it is the head of its session it is at once leased to `worker`, unless that is null. */
export interface Submit {
  readonly task: NewTask;
  readonly worker: string | null;
  /** The task is refused if its session holds so many that have not ended; default: none is. */
  readonly mostOpen?: number;
}

/** What was stored. Times are milliseconds since the epoch. */
export interface StoredTask {
  readonly id: string;
  /** It is leased, with epoch 1, to the worker that was named. */
  readonly claimed: boolean;
  readonly position: number;
  readonly createdAt: number;
  readonly sessionVersion: number;
  readonly sessionCreatedAt: number;
}

/** Rows are `StoredTask`, or `RefusedTask`; those missing repeat an idempotency key, or do not meet the condition on their row `i`. */
export function submitStatement(submits: readonly Submit[], condition?: string): Statement {
  const mostOpen = Math.min(...submits.map((submit) => submit.mostOpen ?? unbounded));
  const values = [encodeJson(submits.map(toRow)), mostOpen];
  if (condition === undefined) return { name: "submit", text: submitSql("true"), values };
  return { text: submitSql(condition), values };
}

/** Its session is full: nothing was stored. */
export interface RefusedTask {
  readonly id: string;
  readonly claimed: null;
}

/** The largest integer of PostgreSQL. */
const unbounded = 2 ** 31 - 1;

/** The tasks that hold these keys. With a `messageId`: the key is that of a message to this task. */
export function tasksByKeyStatement(tenant: string, keys: readonly string[]): Statement {
  return {
    text: `select id, null as "messageId", idempotency_key as "key", request_hash as "requestHash" from task
           where tenant = $1 and idempotency_key = any($2::text[])
           union all
           select task_id, id, idempotency_key, request_hash from inbox
           where tenant = $1 and idempotency_key = any($2::text[])`,
    values: [tenant, keys],
  };
}

function toRow({ task, worker }: Submit): Record<string, unknown> {
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
    result_to: task.resultTo,
    key_id: task.key?.id,
    key_charged: task.key?.chargedMicros,
    worker,
  };
}

// As in claim.ts, a worker that is gone from the registry is given nothing.
const submitSql = (condition: string): string => `
with input as materialized (
  select i.* from jsonb_to_recordset($1::jsonb) as i(
    id uuid, tenant text, session_id text, agent text, priority smallint, input jsonb, user_id text, metadata jsonb,
    idempotency_key text, request_hash text, forked_from uuid, result_to text, key_id uuid, key_charged bigint, worker uuid)
), claimant as materialized (
  select id from worker where id in (select worker from input) and expires_at > holdfast_now() order by id for key share
), fresh as materialized (
  select i.*,
    row_number() over (partition by tenant, session_id order by id) as place,
    count(*) over (partition by tenant, session_id) as together
  from input i
  where (i.idempotency_key is null or not exists (
    select from task t where t.tenant = i.tenant and t.idempotency_key = i.idempotency_key
    union all
    select from inbox m where m.tenant = i.tenant and m.idempotency_key = i.idempotency_key)) and ${condition}
), conversation as (
  insert into session as s (tenant, id, open_tasks, last_position)
  select tenant, session_id, count(*), count(*) from fresh group by tenant, session_id order by session_id, tenant
  on conflict (id, tenant) do update
    set open_tasks = s.open_tasks + excluded.open_tasks,
        last_position = s.last_position + excluded.last_position,
        updated_at = holdfast_now()
    where s.open_tasks < $2
  returning s.tenant, s.id, s.open_tasks, s.last_position, s.version, s.created_at
), placed as (
  select f.*, c.last_position - f.together + f.place as position, c.open_tasks = f.together and f.place = 1 as is_head
  from fresh f join conversation c on c.tenant = f.tenant and c.id = f.session_id
), stored as (
  insert into task (id, tenant, session_id, position, is_head, agent, priority, input, user_id, metadata,
                    idempotency_key, request_hash, forked_from, result_to, key_id, key_charged, status, lease_owner, epoch, started_at)
  select p.id, p.tenant, p.session_id, p.position, p.is_head, p.agent, p.priority, p.input, p.user_id, p.metadata,
         p.idempotency_key, p.request_hash, p.forked_from, p.result_to, p.key_id, p.key_charged,
         case when claims then 'running' else 'pending' end, case when claims then p.worker end, claims::int, case when claims then holdfast_now() end
  from placed p cross join lateral (select p.is_head and exists (select from claimant w where w.id = p.worker) as claims) c
  returning id, tenant, session_id, status, position, created_at
)
select f.id, t.status = 'running' as claimed, t.position, t.created_at as "createdAt", c.version as "sessionVersion",
       c.created_at as "sessionCreatedAt"
from fresh f
left join stored t on t.id = f.id
left join conversation c on c.tenant = f.tenant and c.id = f.session_id`;
