/** Leases runnable tasks to a worker: the heads of their sessions, by priority, then in the order submitted. */
import type { Statement } from "../database.ts";

export interface ClaimRequest {
  readonly worker: string;
  /** Only tasks of these agents: a process never claims what it does not host. */
  readonly agents: readonly string[];
  readonly limit: number;
}

/** Rows are `ClaimedTask`. */
export function claimStatement({ worker, agents, limit }: ClaimRequest): Statement {
  return { name: "claim", text: claimSql, values: [worker, agents, limit] };
}

/** Gives a task back unfinished, for anyone to claim: at once, or, if its run broke, after a pause; that is counted. */
export function releaseStatement(release: { taskId: string; epoch: number; pauseMs: number }): Statement {
  return {
    text: `update task
           set status = case when $3::float8 > 0 then 'waiting' else 'pending' end, lease_owner = null,
               takeovers = takeovers + case when $3::float8 > 0 then 1 else 0 end,
               wake_at = case when $3::float8 > 0 then holdfast_now() + $3::float8 * interval '1 millisecond' end
           where id = $1 and epoch = $2 and status = 'running' returning id`,
    values: [release.taskId, release.epoch, release.pauseMs],
  };
}

/** Makes tasks whose time has come runnable again; answers their number and in how many ms the next one is due. */
export function wakeDueStatement(): Statement {
  return { name: "wake_due", text: wakeDueSql, values: [] };
}

// A worker that is gone from the registry, or about to go, claims nothing: its tasks would be held by nobody for ever. The
// lock on its row makes a reaper leave it alone until this has committed, and a heartbeat does not wait for it.
const claimSql = `
with claimant as materialized (
  select id from worker where id = $1 and expires_at > holdfast_now() for key share
), next as materialized (
  select id from task
  where status = 'pending' and is_head and agent = any($2::text[]) and exists (select from claimant)
  order by priority desc, id
  limit $3
  for update skip locked
)
update task t
set status = 'running', lease_owner = $1, epoch = t.epoch + 1, started_at = coalesce(t.started_at, holdfast_now())
from next, session s
where t.id = next.id and s.tenant = t.tenant and s.id = t.session_id
returning t.id, t.tenant, t.session_id as "sessionId", t.position, t.agent, t.input, t.user_id as "userId", t.epoch, t.takeovers,
  t.created_at as "createdAt", t.epoch = 1 and t.forked_from is null as "isNew", s.version as "sessionVersion", s.created_at as "sessionCreatedAt",
  t.cancel_requested_by as "cancelRequestedBy", t.unheard`;

// The time as a subquery: it is had once, so that both look-ups go straight to their place in the index. As a call, which
// may say something else for every row, all the tasks that sleep would be looked through (13 ms for 3,000 of them).
const wakeDueSql = `
with due as materialized (
  select id from task where status = 'waiting' and wake_at <= (select holdfast_now())
  order by wake_at limit 1000 for update skip locked
), woken as (
  update task t set status = 'pending', wake_at = null from due where t.id = due.id returning t.id
)
select (select count(*)::int from woken) as woken,
       (select extract(epoch from min(wake_at) - holdfast_now()) * 1000 from task
        where status = 'waiting' and wake_at > (select holdfast_now())) as "nextInMs"`;
