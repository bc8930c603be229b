/**
 * Model calls that go through a provider's batch API. Every statement may be repeated: a call has one outcome, the first.
 *
 * Lock order: tasks by id, and only then calls by id, and batches; what others have locked is left to the next pass.
 */
import type { Statement } from "../database.ts";
import { encodeJson } from "../json.ts";

export interface DeferredCall {
  /** A UUID. */
  readonly id: string;
  readonly taskId: string;
  readonly tenant: string;
  readonly model: string;
  readonly request: object;
  /** In milliseconds from now. */
  readonly expiresInMs: number;
}

/** Writes the call down if it is not there yet; what its task asked before is of no use any more. */
export function keepDeferredStatements(call: DeferredCall): Statement[] {
  const { id, taskId, tenant, model, request, expiresInMs } = call;
  return [
    {
      text: `delete from deferred_call where task_id = $1 and id <> $2 and outcome->>'status' <> 'withdrawn'`,
      values: [taskId, id],
    },
    {
      text: `insert into deferred_call (id, task_id, tenant, model, request, expires_at)
             values ($1, $2, $3, $4, $5::json, holdfast_now() + $6::float8 * interval '1 millisecond')
             on conflict (id) do nothing`,
      values: [id, taskId, tenant, model, encodeJson(request), expiresInMs],
    },
    outcomeStatement(id),
  ];
}

/** Gives a call up that has no outcome yet: it is not sent, or what comes of it is no longer waited for. */
export function withdrawDeferredStatements(id: string): Statement[] {
  return [
    {
      text: `update deferred_call set outcome = '{"status":"withdrawn"}', request = null, told = true
             where id = $1 and outcome is null`,
      values: [id],
    },
    outcomeStatement(id),
  ];
}

/** Rows are `{outcome, batchId}`. */
function outcomeStatement(id: string): Statement {
  return { text: `select outcome, batch_id as "batchId" from deferred_call where id = $1`, values: [id] };
}

export interface TakenCall {
  readonly id: string;
  readonly model: string;
  readonly request: object;
}

/**
 * Puts calls of one model of the provider into a new batch. Only those whose tasks have come to rest: a task at work may yet decide
 * otherwise. Rows are `TakenCall`; none: there is nothing to send.
 */
export function takeDeferredStatement(take: {
  batchId: string;
  provider: string;
  most: number;
  settleMs: number;
}): Statement {
  return { text: takeSql, values: [take.batchId, take.most, take.settleMs, take.provider] };
}

/** The provider has taken the batch, under this name. */
export function batchSentStatement(sent: { batchId: string; providerId: string; pollMs: number }): Statement {
  return {
    text: `update deferred_batch set provider_id = $2, due_at = holdfast_now() + $3::float8 * interval '1 millisecond'
           where id = $1`,
    values: [sent.batchId, sent.providerId, sent.pollMs],
  };
}

/** The provider has not taken the batch: its calls go again. */
export function putBackStatements({ batchId, alone }: { batchId: string; alone: boolean }): Statement[] {
  return [
    {
      text: `update deferred_call set batch_id = null, alone = $2::boolean where ${openInBatch}`,
      values: [batchId, alone],
    },
    { text: "delete from deferred_batch where id = $1", values: [batchId] },
  ];
}

export interface DueBatch {
  readonly id: string;
  readonly model: string;
  readonly providerId: string | null;
  readonly sentAt: number;
}

/** Takes batches that are to be looked after, for `pollMs`. Rows are `DueBatch`. */
export function dueBatchesStatement({ most, pollMs }: { most: number; pollMs: number }): Statement {
  return {
    text: `with due as materialized (
             select id from deferred_batch where due_at <= holdfast_now() order by due_at limit $1 for update skip locked
           )
           update deferred_batch b set due_at = holdfast_now() + $2::float8 * interval '1 millisecond'
           from due where b.id = due.id
           returning b.id, b.model, b.provider_id as "providerId", b.sent_at as "sentAt"`,
    values: [most, pollMs],
  };
}

/** Of these names of the provider those that belong to batches which are known. Rows are `{providerId}`. */
export function knownBatchesStatement(providerIds: readonly string[]): Statement {
  return {
    text: `select provider_id as "providerId" from deferred_batch where provider_id = any($1::text[])`,
    values: [providerIds],
  };
}

/** The calls of a batch that have no outcome. Rows are `{id}`. */
export function openCallsStatement(batchId: string): Statement {
  return { text: "select id from deferred_call where batch_id = $1 and outcome is null", values: [batchId] };
}

export interface Landing {
  readonly id: string;
  readonly outcome: object;
}

/** Of a call that nobody waits for any more: it was paid for all the same. */
export interface LateCall {
  readonly id: string;
  readonly tenant: string;
  readonly agent: string;
  readonly sessionId: string;
  readonly userId: string | null;
}

/** Rows are `LateCall`, for those among them that nobody waits for; again, if they land again. */
export function landDeferredStatement(landings: readonly Landing[]): Statement {
  return {
    text: landSql,
    values: [landings.map(({ id }) => id), landings.map(({ outcome }) => encodeJson(outcome))],
  };
}

/** Calls that the provider said nothing of are given this outcome. */
export function endBatchStatements({ batchId, outcome }: { batchId: string; outcome: object }): Statement[] {
  return [
    {
      text: `update deferred_call set outcome = $2::json, request = null where ${openInBatch}`,
      values: [batchId, encodeJson(outcome)],
    },
    { text: "delete from deferred_batch where id = $1", values: [batchId] },
  ];
}

/** Ends the wait of tasks whose calls have an outcome. Rows are `{id}`, of the tasks. */
export function wakeDeferredStatement(): Statement {
  return { text: wakeSql, values: [] };
}

/** Of the batch $1, and locked. */
const openInBatch = `outcome is null and id in (
  select id from deferred_call where batch_id = $1 and outcome is null order by id for no key update)`;

const waits = "t.status = 'waiting' and c.batch_id is null and c.outcome is null and c.expires_at > holdfast_now()";

const takeSql = `
with next as materialized (
  select c.model, c.alone from deferred_call c join task t on t.id = c.task_id where ${waits} and split_part(c.model, '/', 1) = $4
  order by c.id limit 1
), picked as materialized (
  select c.id from deferred_call c join task t on t.id = c.task_id
  where ${waits} and (c.model, c.alone) in (select model, alone from next)
  order by c.id limit (select case when alone then 1 else $2::int end from next)
  for update of c skip locked
), batch as (
  insert into deferred_batch (id, model, sent_at, due_at)
  select $1, model, holdfast_now(), holdfast_now() + $3::float8 * interval '1 millisecond'
  from next where exists (select from picked)
)
update deferred_call c set batch_id = $1 from picked p where c.id = p.id returning c.id, c.model, c.request`;

// What lands on a call that was withdrawn, or whose task has ended, is late. The row says so, and it is told of again if it
// lands a second time: whoever heard of it first may not have got to write down what it cost.
const landSql = `
with held as materialized (
  select id from deferred_call where id = any($1::uuid[]) order by id for no key update
), landed as (
  update deferred_call c
  set outcome = case when c.outcome is null and t.finished_at is null then i.outcome::json else '{"status":"late"}' end,
      request = null
  from unnest($1::uuid[], $2::text[]) as i(id, outcome), held h, task t
  where c.id = i.id and h.id = i.id and t.id = c.task_id and (c.outcome is null or c.outcome->>'status' in ('withdrawn', 'late'))
  returning c.id, c.outcome->>'status' as status, c.task_id
)
select l.id, t.tenant, t.agent, t.session_id as "sessionId", t.user_id as "userId"
from landed l join task t on t.id = l.task_id where l.status = 'late'`;

// A task that runs will come to rest, and is woken by a later pass; whatever it waits for, it looks at its call first.
const wakeSql = `
with told as materialized (
  select t.id, c.id as call_id, t.status from task t join deferred_call c on c.task_id = t.id
  where c.outcome is not null and not c.told and t.status <> 'running'
  order by t.id limit 1000 for no key update of t skip locked
), marked as (
  update deferred_call c set told = true from told where c.id = told.call_id
)
update task t set wake_at = holdfast_now() from told where t.id = told.id and t.status = 'waiting' and t.wake_at is not null
returning t.id`;
