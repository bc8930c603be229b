/** The registry of workers. A worker's lease covers all its tasks: one row a heartbeat, however many tasks it runs. */
import type { Statement } from "../database.ts";
import { encodeJson } from "../json.ts";
import type { JsonObject } from "../../agent/json.ts";

export interface WorkerLease {
  readonly id: string;
  readonly leaseMs: number;
  /** Of the lock that its process holds now, whose end is the end of the process; without one only the lease tells. */
  readonly lockKey?: string | null;
}

export function registerWorkerStatement(worker: WorkerLease & { info: JsonObject }): Statement {
  return {
    // Asked for again when the answer was lost.
    text: `insert into worker (id, info, expires_at, lock_key)
           values ($1, $3::jsonb, holdfast_now() + $2::float8 * interval '1 millisecond', $4::bigint)
           on conflict (id) do update set expires_at = excluded.expires_at, lock_key = excluded.lock_key`,
    values: [worker.id, worker.leaseMs, encodeJson(worker.info), worker.lockKey ?? null],
  };
}

/**
 * Extends the lease of a worker that still has it; no row: it is lost, and so are its tasks. The row carries the tasks of
 * this worker that somebody wants cancelled, and the messages to them that interrupt, in case the word of it was lost.
 */
export function heartbeatStatement(worker: WorkerLease): Statement {
  return {
    name: "heartbeat",
    text: `update worker w
           set expires_at = holdfast_now() + $2::float8 * interval '1 millisecond', lock_key = $3::bigint
           where w.id = $1 and w.expires_at > holdfast_now()
           returning coalesce((
             select jsonb_agg(jsonb_build_object('id', t.id, 'by', t.cancel_requested_by)) from task t
             where t.lease_owner = w.id and t.status = 'running' and t.cancel_requested_by is not null), '[]') as cancelled,
           coalesce((
             select jsonb_agg(jsonb_build_object('taskId', t.id, 'messageId', m.id))
             from task t join inbox m on m.task_id = t.id
             where t.lease_owner = w.id and t.status = 'running' and t.unheard > 0 and m.interrupts and not m.heard),
             '[]') as interrupts`,
    values: [worker.id, worker.leaseMs, worker.lockKey ?? null],
  };
}

/** A row `{agents}` for each worker that lives; null: it was registered by a release that does not say. */
export function hostedAgentsStatement(): Statement {
  return { text: `select info->'agents' as agents from worker where expires_at > holdfast_now()`, values: [] };
}

export interface Reconciling {
  readonly id: string;
  readonly running: readonly string[];
  /** Tasks whose run was left in the middle: a model call may have been made that the journal does not know of. */
  readonly left: readonly { readonly id: string; readonly epoch: number }[];
}

/** Gives back what the store says this worker runs and it does not: a claim, a write or a release whose answer was lost. */
export function reconcileStatement({ id, running, left }: Reconciling): Statement {
  return {
    text: `update task t set status = 'pending', lease_owner = null,
             lost_epoch = case when (t.id, t.epoch) in (select * from unnest($3::uuid[], $4::int[])) then t.epoch
                               else t.lost_epoch end
           where t.lease_owner = $1 and t.status = 'running' and not t.id = any($2::uuid[]) returning t.id`,
    values: [id, running, left.map((task) => task.id), left.map((task) => task.epoch)],
  };
}

/** What {@link deathsStatement} tells. */
export interface Deaths {
  /** Workers that are registered, dead or alive. */
  readonly workers: number;
  /** Leases that have run out. */
  readonly expired: number;
  /** Keys of locks that nobody holds: of processes that are dead, or that have lost their connection a moment ago. */
  readonly freeLocks: readonly string[];
}

/**
 * Looks for workers that seem to be dead. To try a lock and let it go is cheaper than to read pg_locks, which stops every
 * locker of the server for a moment; it is tried in shared mode, so that processes that look at the same time do not take
 * each other for the owner.
 */
export function deathsStatement(): Statement {
  return {
    name: "deaths",
    text: `select count(*)::int as workers, count(*) filter (where expires_at <= holdfast_now())::int as expired,
             coalesce(array_agg(lock_key::text) filter (where pg_try_advisory_xact_lock_shared(lock_key)), '{}') as "freeLocks"
           from worker`,
    values: [],
  };
}

/**
 * Takes every lease that has run out, and those of processes whose lock is one of these and free: the tasks of dead workers
 * are pending again. The last statement's rows are their ids.
 */
export function reapStatements(freeLocks: readonly string[]): Statement[] {
  return takeOverStatements({
    text: `expires_at <= holdfast_now() or lock_key = any($1::bigint[]) and pg_try_advisory_xact_lock_shared(lock_key)
           for update skip locked`,
    values: [freeLocks],
  });
}

/** A worker leaves: whatever it still holds goes back. */
export function unregisterWorkerStatements(id: string): Statement[] {
  return takeOverStatements({ text: "id = $1 for update", values: [id] });
}

/** Who opens the embedded database is alone by its lock: every other worker in the registry is dead. */
export function reapAllStatements(): Statement[] {
  return takeOverStatements({ text: "true for update", values: [] });
}

/**
 * Marks workers as gone under a lock that no claim shares, then deletes them and frees their tasks. The second statement
 * sees every claim that committed before the lock was had; as one statement it would overlook those since its snapshot,
 * and their tasks would belong to nobody. The tasks are found by the owners deleted here and not by "no such worker", so
 * that a task another worker has just claimed is never taken from it.
 */
function takeOverStatements(which: Pick<Statement, "text" | "values">): Statement[] {
  return [
    {
      text: `update worker w set expires_at = '-infinity'
             from (select id from worker where ${which.text}) dead where w.id = dead.id`,
      values: which.values,
    },
    {
      name: "take_over",
      text: `with gone as (
               delete from worker where expires_at = '-infinity' returning id
             )
             update task t set status = 'pending', lease_owner = null, takeovers = t.takeovers + 1, lost_epoch = t.epoch
             from gone where t.lease_owner = gone.id and t.status = 'running'
             returning t.id`,
      values: [],
    },
  ];
}
