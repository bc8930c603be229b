/**
 * What the database itself saw: triggers write down every change of a task, an entry, an approval and a lease, in the order
 * of their commits, with the process that made it. The invariants are checked on this record and on the rows, so they do
 * not believe a word that the engine says.
 */
import type { Database } from "../../src/store/database.ts";

export interface TaskChange {
  readonly at: number;
  readonly actor: string;
  readonly task: string;
  readonly tenant: string;
  readonly session: string;
  readonly position: number;
  /** Null: it was inserted. */
  readonly from: string | null;
  /** Null: it was deleted. */
  readonly to: string | null;
  readonly fromEpoch: number | null;
  readonly epoch: number;
  readonly fromOwner: string | null;
  readonly owner: string | null;
  readonly wasDeadLetter: boolean;
  /** A call of a lost worker is not charged yet, and some living worker could do it. */
  readonly owes: boolean;
}

export interface EntryChange {
  readonly at: number;
  readonly actor: string;
  readonly operation: "INSERT" | "UPDATE" | "DELETE";
  readonly task: string;
  readonly seq: number;
  readonly epoch: number;
  readonly kind: string;
  /** Of a failure. */
  readonly code: string | null;
  /** The task as it stood when the statement was over; null: it is gone. */
  readonly taskStatus: string | null;
  readonly taskEpoch: number | null;
  /** Of an update: whether it changed anything. */
  readonly changed: boolean;
}

export interface LeaseChange {
  readonly at: number;
  readonly actor: string;
  readonly worker: string;
  readonly change: "taken" | "ended" | "ended early";
}

/** Changes in the order they happened, of all three kinds. */
export type Change =
  | ({ readonly of: "task" } & TaskChange)
  | ({ readonly of: "entry" } & EntryChange)
  | ({ readonly of: "lease" } & LeaseChange);

const context = `current_setting('simulation.elapsed_ms', true)::float8, current_setting('simulation.actor', true)`;

export const historySql = `
create table simulation_history (
  number bigint generated always as identity primary key,
  at float8, actor text, of text not null, change json not null
);

create function simulation_task() returns trigger language plpgsql as $$
begin
  if tg_op = 'UPDATE' and old.status = new.status and old.epoch = new.epoch
     and old.lease_owner is not distinct from new.lease_owner and old.position = new.position then
    return null;
  end if;
  insert into simulation_history (at, actor, of, change) values (${context}, 'task', json_build_object(
    'task', coalesce(new.id, old.id), 'tenant', coalesce(new.tenant, old.tenant),
    'session', coalesce(new.session_id, old.session_id), 'position', coalesce(new.position, old.position),
    'from', old.status, 'to', new.status, 'fromEpoch', old.epoch, 'epoch', coalesce(new.epoch, old.epoch),
    'fromOwner', old.lease_owner, 'owner', new.lease_owner, 'wasDeadLetter', coalesce(old.dead_letter, false),
    'owes', new.lost_epoch is not null
      and not exists (select from entry e where e.task_id = new.id and e.epoch > new.lost_epoch)
      and exists (select from worker w where w.expires_at > holdfast_now() and w.info->'agents' ? new.agent)));
  return null;
end $$;

create function simulation_entry() returns trigger language plpgsql as $$
declare
  it entry := case when tg_op = 'DELETE' then old else new end;
  holder record;
begin
  select status, epoch into holder from task where id = it.task_id;
  insert into simulation_history (at, actor, of, change) values (${context}, 'entry', json_build_object(
    'operation', tg_op, 'task', it.task_id, 'seq', it.seq, 'epoch', it.epoch, 'kind', it.kind,
    'code', it.body->>'code',
    'taskStatus', holder.status, 'taskEpoch', holder.epoch,
    'changed', tg_op = 'UPDATE' and (old.body::text, old.kind, old.epoch, old.at) is distinct from (new.body::text, new.kind, new.epoch, new.at)));
  return null;
end $$;

create function simulation_lease() returns trigger language plpgsql as $$
declare
  change text;
begin
  if tg_op = 'INSERT' then change := 'taken';
  elsif new.expires_at > old.expires_at then return null;
  elsif old.expires_at > holdfast_now() then change := 'ended early';
  else change := 'ended';
  end if;
  insert into simulation_history (at, actor, of, change) values (${context}, 'lease', json_build_object(
    'worker', new.id, 'change', change));
  return null;
end $$;

create trigger simulation_task after insert or update or delete on task for each row execute function simulation_task();
create trigger simulation_entry after insert or update or delete on entry for each row execute function simulation_entry();
create trigger simulation_lease after insert or update on worker for each row execute function simulation_lease();
`;

export async function readHistory(database: Database): Promise<Change[]> {
  const rows = await database.query<{ at: number; actor: string; of: Change["of"]; change: Omit<Change, "of"> }>({
    text: "select at, actor, of, change from simulation_history order by number",
    values: [],
  });
  return rows.map(({ at, actor, of, change }) => ({ ...change, at, actor, of }) as Change);
}
