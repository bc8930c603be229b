/**
 * Deleting what is past its retention, a page at a time.
 *
 * The tasks are walked in the order of their ids, which is that of their submission, so no index is needed that every
 * finished task would have to pay for. A page is one statement. It waits for no lock (`skip locked`) and holds only those
 * of ended tasks and idle sessions, in the order that holds everywhere, so no claim or append ever waits for it.
 *
 * What stays, however old: a task that has not ended; the completed tasks that a conversation in use still shows; a dead
 * letter, and the conversation it would go on with, until its own retention is over.
 *
 * A value without a reference is deleted once nobody has written it for a day. A writer touches the value (which locks its
 * row) in the transaction that refers to it: a deletion that was faster is waited for, and the value is written anew; one
 * that is slower skips the locked row, or looks at it again and finds it used.
 */
import type { Statement } from "../database.ts";

/** How long what has ended is kept, in milliseconds; null: for ever. */
export interface RetentionAges {
  readonly endedMs: number | null;
  readonly deadLettersMs: number | null;
}

export interface PruneTasks extends RetentionAges {
  /** Goes on behind this id. */
  readonly after: string;
  /** How many tasks to look at. */
  readonly limit: number;
  /** The completed tasks that a conversation shows at most. */
  readonly historyTasks: number;
  /** Only counts. */
  readonly dryRun: boolean;
}

export interface PrunedTasks {
  /** False: another process deletes at this moment, and nothing was done. */
  readonly alone: boolean;
  /** The last task looked at; null: there was none. */
  readonly lastId: string | null;
  readonly scanned: number;
  /** All tasks behind these are too young. */
  readonly young: boolean;
  readonly tasks: number;
  readonly entries: number;
  readonly sessions: number;
}

/** The row is `PrunedTasks`. */
export function pruneTasksStatement(prune: PruneTasks): Statement {
  const { after, limit, endedMs, deadLettersMs, historyTasks, dryRun } = prune;
  return { text: pruneTasksSql(dryRun), values: [after, limit, endedMs, deadLettersMs, historyTasks] };
}

export interface PruneValues {
  /** Goes on behind this value. */
  readonly after: { readonly tenant: string; readonly hash: string };
  readonly limit: number;
  readonly unusedMs: number;
  readonly dryRun: boolean;
}

export interface PrunedValues {
  readonly alone: boolean;
  readonly last: { readonly tenant: string; readonly hash: string } | null;
  readonly scanned: number;
  readonly values: number;
}

/** The row is `PrunedValues`. */
export function pruneValuesStatement({ after, limit, unusedMs, dryRun }: PruneValues): Statement {
  return { text: pruneValuesSql(dryRun), values: [after.tenant, after.hash, limit, unusedMs] };
}

export interface PruneUsage {
  readonly keptMs: number;
  readonly limit: number;
  readonly dryRun: boolean;
}

export interface PrunedUsage {
  readonly alone: boolean;
  /** Rows of the ledger; a dry run counts all, whatever the limit. */
  readonly usage: number;
}

/** The row is `PrunedUsage`. */
export function pruneUsageStatement({ keptMs, limit, dryRun }: PruneUsage): Statement {
  return { text: pruneUsageSql(dryRun), values: [keptMs, dryRun ? null : limit] };
}

/** Rows: one, if this process is the first to begin within `everyMs`. */
export function beginUpkeepStatement({ name, everyMs }: { name: string; everyMs: number }): Statement {
  return {
    text: `insert into upkeep as u (name, begun_at) values ($1, holdfast_now())
           on conflict (name) do update set begun_at = excluded.begun_at
             where u.begun_at <= excluded.begun_at - $2::float8 * interval '1 millisecond'
           returning name`,
    values: [name, everyMs],
  };
}

/** The number of tasks that a worker could claim, counted no further than `most`. */
export function claimableStatement(most: number): Statement {
  return {
    text: "select count(*)::int as claimable from (select from task where status = 'pending' and is_head limit $1) t",
    values: [most],
  };
}

// "prune" in ASCII; only one process deletes at a time.
const alone = "mine as materialized (select pg_try_advisory_xact_lock(482670505573) as alone)";

const ended = "('completed', 'failed', 'cancelled')";

/** A dry run takes no lock and deletes nothing: it says of each page what would go. */
function pruneTasksSql(dryRun: boolean): string {
  const locked = (order: string): string => (dryRun ? "" : `order by ${order} for update skip locked`);
  return `
with ${alone}, bound as materialized (
  select holdfast_now() - $3::float8 * interval '1 millisecond' as ended, holdfast_now() - $4::float8 * interval '1 millisecond' as dead
), page as materialized (
  select id, tenant, session_id, position, status, dead_letter, created_at, finished_at
  from task where id > $1 and (select alone from mine) order by id limit $2
), ripe as materialized (
  select p.* from page p, bound b where p.finished_at < case when p.dead_letter then b.dead else b.ended end
), idle as materialized (
  -- A session is written a moment after its task's end.
  select s.tenant, s.id from session s, bound b
  where (s.id, s.tenant) in (select session_id, tenant from ripe)
    and s.open_tasks = 0 and s.updated_at < b.ended + interval '1 minute'
    and not exists (
      select from task d where d.tenant = s.tenant and d.session_id = s.id and d.dead_letter
        and (b.dead is null or d.finished_at >= b.dead))
  ${locked("s.id, s.tenant").replace("for update", "for update of s")}
), loose as materialized (
  -- Of a conversation in use: what it does not show, as long as something younger stays to find its session by.
  select r.id from ripe r, bound b
  where (r.status <> 'completed' or r.position < (
      select n.position from task n
      where n.tenant = r.tenant and n.session_id = r.session_id and n.status = 'completed'
      order by n.position desc offset $5 - 1 limit 1))
    and (b.ended is null or exists (
      select from task n where n.tenant = r.tenant and n.session_id = r.session_id and n.position > r.position
        and (n.finished_at is null or n.finished_at >= b.ended
          or n.dead_letter and (b.dead is null or n.finished_at >= b.dead))))
), doomed as materialized (
  select t.id, t.tenant, t.session_id from task t
  where t.id in (
      select r.id from ripe r join idle i on i.tenant = r.tenant and i.id = r.session_id union all select id from loose)
    and t.status in ${ended}
    and t.finished_at < case when t.dead_letter then (select dead from bound) else (select ended from bound) end
  ${locked("t.id")}
), emptied as materialized (
  select i.tenant, i.id from idle i where not exists (
    select from task t where t.tenant = i.tenant and t.session_id = i.id and t.id not in (select id from doomed))
)${dryRun ? "" : deletions}
select (select alone from mine) as alone, (select id from page order by id desc limit 1) as "lastId",
  (select count(*)::int from page) as scanned,
  coalesce((select bool_and(p.created_at >= greatest(b.ended, b.dead)) from page p, bound b), true) as young,
  (select count(*)::int from doomed) as tasks,
  (select count(*)::int from ${dryRun ? "entry e join doomed d on d.id = e.task_id" : "entries"}) as entries,
  (select count(*)::int from emptied) as sessions`;
}

// A worker that knows a conversation by heart must hear that it has become shorter: its version is another.
const deletions = `, entries as (
  delete from entry e using doomed d where e.task_id = d.id returning 1
), partials as (
  delete from partial p using doomed d where p.task_id = d.id
), tasks as (
  delete from task t using doomed d where t.id = d.id
), sessions as (
  delete from session s using emptied e where s.id = e.id and s.tenant = e.tenant
), shortened as (
  update session s set version = s.version + 1
  where (s.id, s.tenant) in (select d.session_id, d.tenant from doomed d)
    and (s.id, s.tenant) in (select id, tenant from idle) and (s.id, s.tenant) not in (select id, tenant from emptied)
)`;

function pruneValuesSql(dryRun: boolean): string {
  return `
with ${alone}, page as materialized (
  select tenant, hash from large_value where (tenant, hash) > ($1, $2) and (select alone from mine)
  order by tenant, hash limit $3
), doomed as materialized (
  select v.tenant, v.hash from large_value v
  where (v.tenant, v.hash) in (select tenant, hash from page)
    and v.used_at < holdfast_now() - $4::float8 * interval '1 millisecond'
    and not exists (select from large_reference r where r.tenant = v.tenant and r.hash = v.hash)
  ${dryRun ? "" : "for update of v skip locked"}
)${dryRun ? "" : ", gone as (delete from large_value v using doomed d where v.tenant = d.tenant and v.hash = d.hash)"}
select (select alone from mine) as alone,
  (select json_build_object('tenant', tenant, 'hash', hash) from page order by tenant desc, hash desc limit 1) as last,
  (select count(*)::int from page) as scanned, (select count(*)::int from doomed) as values`;
}

// Found by the index that reports use, tenant by tenant: the ledger has no other.
function pruneUsageSql(dryRun: boolean): string {
  return `
with recursive ${alone}, bound as materialized (
  select holdfast_now() - $1::float8 * interval '1 millisecond' as oldest
), owner as (
  (select tenant from usage where (select alone from mine) order by tenant limit 1)
  union all
  select (select u.tenant from usage u where u.tenant > o.tenant order by u.tenant limit 1) from owner o
  where o.tenant is not null
), page as materialized (
  select p.place from owner o cross join lateral (
    select u.ctid as place from usage u where u.tenant = o.tenant and u.at < (select oldest from bound)
    order by u.at limit $2) p
  limit $2
)${dryRun ? "" : ", gone as (delete from usage where ctid = any(array(select place from page)))"}
select (select alone from mine) as alone, (select count(*) from page) as usage`;
}
