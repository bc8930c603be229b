/**
 * Leases runnable tasks to a worker: the heads of their sessions. Tenants take turns, each with as many tasks as it has
 * weight; within a tenant the order is by priority, then as submitted. How many tasks of a tenant or an agent run may be
 * bounded.
 *
 * A turn goes from tenant to tenant by one look into the index each (there is no `distinct` that skips), beginning behind
 * where the worker's last claim ended; so a claim costs what it takes, however many tasks and tenants wait.
 */
import type { Statement } from "../database.ts";
import type { ClaimedTask } from "../task-row.ts";

export interface ClaimRequest {
  readonly worker: string;
  /** Only tasks of these agents: a process never claims what it does not host. */
  readonly agents: readonly string[];
  readonly limit: number;
  readonly turn?: Turn;
  readonly shares?: Shares;
}

/** Where the turns stand: a tenant whose turn has begun has so many tasks left of it; after that come those behind it. */
export interface Turn {
  readonly tenant: string;
  readonly left: number;
}

/** How tenants and agents share the workers. A bound counts the tasks that run in all processes; null: there is none. */
export interface Shares {
  /** Of a tenant that is not named. */
  readonly tenant: Share;
  readonly tenants: ReadonlyMap<string, Share>;
  /** Of agents that have a bound. */
  readonly agents: ReadonlyMap<string, number>;
}

export interface Share {
  /** Tasks in a row when it is the tenant's turn. */
  readonly weight: number;
  readonly maxRunning: number | null;
}

/** A task as claimed, and its tenant's turn in this claim. */
export interface ClaimedRow extends ClaimedTask {
  /** The place of the tenant in the order of this claim. */
  readonly place: number;
  /** What the tenant could get at most. */
  readonly quota: number;
  /** There may be more to claim. */
  readonly more: boolean;
}

export const firstTurn: Turn = { tenant: "", left: 0 };
export const evenShares: Shares = { tenant: { weight: 1, maxRunning: null }, tenants: new Map(), agents: new Map() };

/** The rows of the last statement are `ClaimedRow`, in no order. */
export function claimStatements(request: ClaimRequest): Statement[] {
  const { worker, agents, limit, turn = firstTurn, shares = evenShares } = request;
  const { tenant, tenants } = shares;
  const isBounded =
    tenant.maxRunning !== null ||
    [...tenants.values()].some(({ maxRunning }) => maxRunning !== null) ||
    agents.some((agent) => shares.agents.has(agent));
  const named = [...tenants];
  const values = [
    worker,
    limit,
    agents,
    agents.map((agent) => shares.agents.get(agent) ?? null),
    turn.tenant,
    turn.left,
    named.map(([name]) => name),
    named.map(([, share]) => share.weight),
    named.map(([, share]) => share.maxRunning),
    tenant.weight,
    tenant.maxRunning,
    isBounded,
  ];
  return [
    isBounded
      ? { name: "prepare_bounded_claim", text: prepareBoundedSql, values: [claimLock] }
      : { name: "prepare_claim", text: prepareSql, values: [] },
    { name: "claim", text: claimSql, values },
  ];
}

export interface Release {
  readonly taskId: string;
  readonly epoch: number;
  readonly pauseMs: number;
  /** A model call may have been made that the journal does not know of. */
  readonly callMayBeLost?: boolean;
}

/**
 * Gives a task back unfinished, for anyone to claim: at once, or, if its run broke, after a pause; that is counted as the
 * loss of a worker is.
 */
export function releaseStatement(release: Release): Statement {
  return {
    text: `update task
           set status = case when $3::float8 > 0 then 'waiting' else 'pending' end, lease_owner = null,
               takeovers = takeovers + case when $3::float8 > 0 then 1 else 0 end,
               lost_epoch = case when $4::boolean then epoch else lost_epoch end,
               wake_at = case when $3::float8 > 0 then holdfast_now() + $3::float8 * interval '1 millisecond' end
           where id = $1 and epoch = $2 and status = 'running' returning id`,
    values: [release.taskId, release.epoch, release.pauseMs, release.callMayBeLost ?? false],
  };
}

/**
 * Makes tasks whose time has come runnable again; answers their number, in how many ms the next one is due, and whether
 * any task waits for a worker: a claim that finds nothing costs several times as much as this look.
 */
export function wakeDueStatement(): Statement {
  return { name: "wake_due", text: wakeDueSql, values: [] };
}

// To plan a claim anew takes three times as long as to run it (1.1 ms of 1.5), and the planner would do so for ever: it
// takes the plan that fits any values for the dearer one, though it is the same. A plan is kept for long, so it must not
// come of a time when the table was small and any plan was good.
const prepareSql =
  "select set_config('plan_cache_mode', 'force_generic_plan', true), set_config('enable_seqscan', 'off', true)";

// Where tasks are bounded, claims go one after another, or two would each take what there is room for. The lock is taken
// by a statement of its own, so that the claim sees what was committed while it was waited for.
const prepareBoundedSql = `${prepareSql}, pg_advisory_xact_lock($1::bigint)`;
// Any number will do: "claim" in ASCII.
const claimLock = 0x636c61696d;

// The tenant after $tenant that has tasks for an open agent: one look into the index for each agent.
const nextTenant = (tenant: string): string => `(
  select min(next.tenant) from open_agent a cross join lateral (
    select t.tenant from task t
    where t.status = 'pending' and t.is_head and t.agent = a.agent and t.tenant > ${tenant}
    order by t.tenant limit 1
  ) next)`;

/**
 * Of the task `t`: who holds it after its worker was lost writes first what a call in flight may have cost; any entry of a
 * later lease says that this was done, or that nothing was due.
 */
export const callMayBeLost = `case when t.lost_epoch is null then false else not exists (
    select from entry e where e.task_id = t.id and e.epoch > t.lost_epoch) end`;

// A worker that is gone from the registry, or about to go, claims nothing: its tasks would be held by nobody for ever. The
// lock on its row makes a reaper leave it alone until this has committed, and a heartbeat does not wait for it.
//
// `lane` goes round the tenants once, from the turn's on ($5) to the end and from the beginning back to it, and stops when
// it has found a few more than can be served; the others are for those that other workers have just emptied. Each lane
// gets whole rounds, in the first of which the one whose turn has begun gets what is left of it ($6).
//
// The candidates of a lane are read for each agent and merged before any is locked: only what is taken is locked, in
// order, and some more are read than are wanted, since another worker may have locked the first. (Their status is looked
// at again under the lock, in a form that does not make the planner look for them among all that wait.)
const claimSql = `
with recursive claimant as materialized (
  select id from worker where id = $1 and expires_at > holdfast_now() for key share
), running as materialized (
  select tenant, agent, count(*) as tasks from task
  where $12::boolean and lease_owner is not null and status = 'running' group by tenant, agent
), open_agent as materialized (
  select a.agent, a.room
  from (
    select h.agent, h.most - coalesce((select sum(r.tasks) from running r where r.agent = h.agent), 0) as room
    from unnest($3::text[], $4::int[]) as h(agent, most)
  ) a
  where a.room is null or a.room > 0
), named as materialized (
  select * from unnest($7::text[], $8::int[], $9::int[]) as n(tenant, weight, most)
), tenant_room as materialized (
  select r.tenant, case when n.tenant is null then $11::int else n.most end - sum(r.tasks) as room
  from running r left join named n on n.tenant = r.tenant
  group by r.tenant, n.tenant, n.most
), closed as materialized (
  select coalesce(array_agg(tenant), '{}') as tenants from tenant_room where room <= 0
), lane as (
  select 0 as place, 0 as lap, $5::text collate "C" as tenant, 0 as found from claimant
  union all
  select l.place + 1, next.lap, next.tenant, l.found + (next.tenant <> all(c.tenants))::int
  from lane l cross join closed c cross join lateral (
    select * from (
      select 0 as lap, case when l.lap = 0 then ${nextTenant("l.tenant")} end as tenant
      union all
      select 1, ${nextTenant("case l.lap when 0 then '' else l.tenant end")}
    ) n
    where n.tenant is not null and (n.lap = 0 or n.tenant < $5 or n.tenant = $5 and $6::int = 0)
    limit 1
  ) next
  where l.found < $2::int + 8
), open_lane as materialized (
  select l.place, l.tenant, coalesce(n.weight, $10::int) as weight, l.found >= $2 + 8 as is_last,
    case when r.tenant is not null then r.room when n.tenant is not null then n.most else $11 end as room,
    count(*) over () as lanes, greatest(1, $2 / sum(coalesce(n.weight, $10)) over ())::int as rounds
  from lane l cross join closed c left join named n on n.tenant = l.tenant left join tenant_room r on r.tenant = l.tenant
  where l.tenant <> all(c.tenants) and (l.place > 0 or $6 > 0)
), share as materialized (
  select place, tenant, is_last, (64 / lanes)::int + 1 as spare,
    least(room, case when place = 0 and rounds = 1 then $6 else weight * rounds end)::int as quota
  from open_lane order by place
), picked as materialized (
  select s.place, s.quota, p.id, p.agent, p.priority, p.candidates
  from (select * from share order by place) s
  cross join lateral (
    select t.id, t.agent, t.priority, c.candidates
    from (
      select first.id, first.priority, count(*) over () as candidates
      from open_agent a cross join lateral (
        select t.id, t.priority from task t
        where t.status = 'pending' and t.is_head and t.agent = a.agent and t.tenant = s.tenant
        order by t.priority desc, t.id limit s.quota + s.spare
      ) first
      order by first.priority desc, first.id
    ) c join task t on t.id = c.id
    where coalesce(t.status, '') = 'pending' and t.is_head
    order by c.priority desc, c.id
    limit s.quota
    for update of t skip locked
  ) p
  limit $2
), granted as (
  select p.id, p.place, p.quota,
    p.candidates > count(*) over (partition by p.place) or count(*) over () >= $2 or (select bool_or(is_last) from share) as more,
    row_number() over (partition by p.agent order by p.place, p.priority desc, p.id) as nth
  from picked p
), next as materialized (
  select g.id, g.place, g.quota, g.more from granted g join picked p on p.id = g.id join open_agent a on a.agent = p.agent
  where a.room is null or g.nth <= a.room
)
update task t
set status = 'running', lease_owner = $1, epoch = t.epoch + 1, started_at = coalesce(t.started_at, holdfast_now())
from next, session s
where t.id = next.id and s.tenant = t.tenant and s.id = t.session_id
returning t.id, t.tenant, t.session_id as "sessionId", t.position, t.agent, t.input, t.user_id as "userId", t.epoch, t.takeovers,
  t.created_at as "createdAt", t.epoch = 1 and t.forked_from is null as "isNew", s.version as "sessionVersion", s.created_at as "sessionCreatedAt",
  t.cancel_requested_by as "cancelRequestedBy", t.unheard, ${callMayBeLost} as "callMayBeLost", next.place, next.quota, next.more`;

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
       exists (select from woken) or exists (select from task where status = 'pending' and is_head) as "mayRun",
       (select extract(epoch from min(wake_at) - holdfast_now()) * 1000 from task
        where status = 'waiting' and wake_at > (select holdfast_now())) as "nextInMs"`;
