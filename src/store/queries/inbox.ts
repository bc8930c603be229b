/**
 * Messages to tasks that are at work: left for the task, heard by it, or made tasks of their own when it ends without
 * having heard them. `task.unheard` counts them; it changes under the lock of the task's row, as its end does.
 */
import type { Statement } from "../database.ts";
import { encodeJson } from "../json.ts";
import type { NewTask, TaskInput, TaskStatus } from "../task-row.ts";
import { chargeRows, entryRows, journalArrays, type Append } from "./append.ts";
import { finishStatements, lockSessionsStatement, type Finish } from "./finish.ts";
import { submitStatement, type Submit } from "./submit.ts";

/** A message, with what a task of its own would be made of if none is at work. */
export interface Delivery extends Submit {
  /** It also cuts off the model turn in flight. */
  readonly interrupts: boolean;
}

/** More are refused until the task has heard some. */
export const mostUnheard = 20;

/**
 * Gives a message to the task that is at work in its session, or stores it as a task if there is none: which of the two
 * is decided under the lock of the session. The third statement's row is `{taskId, status, left}` of the task at work;
 * `left` is false if its inbox is full, or the key was used before. The fourth's is `StoredTask` or `RefusedTask`.
 */
export function deliverStatements({ interrupts, ...submit }: Delivery): Statement[] {
  const { task } = submit;
  const { tenant, sessionId, agent } = task;
  const address = [tenant, sessionId, agent];
  return [
    {
      text: `insert into session (tenant, id) values ($1, $2)
             on conflict (id, tenant) do update set updated_at = holdfast_now()`,
      values: [tenant, sessionId],
    },
    { text: `${atWork("$1", "$2", "$3")} for no key update of t`, values: address },
    { text: leaveSql, values: [...address, encodeJson(toRow(task)), interrupts, mostUnheard] },
    submitStatement([submit], noneAtWork),
  ];
}

/** The first open task of a session, if it is of this agent and nobody wants it cancelled. */
function atWork(tenant: string, sessionId: string, agent: string): string {
  return `
select t.id, t.status, t.unheard from task t
where t.tenant = ${tenant} and t.session_id = ${sessionId} and t.agent = ${agent} and t.is_head
  and t.status in ('pending', 'running', 'waiting') and t.cancel_requested_by is null
  -- Else all that the session ever had would be looked through.
  and exists (select from session s where s.tenant = ${tenant} and s.id = ${sessionId} and s.open_tasks > 0)
order by t.position desc limit 1`;
}

/** A condition on the row `i` of a submit. */
const noneAtWork = `not exists (${atWork("i.tenant", "i.session_id", "i.agent")})`;

const leaveSql = `
with target as materialized (
  ${atWork("$1", "$2", "$3")}
), input as materialized (
  select * from jsonb_to_record($4::jsonb) as i(
    id uuid, input jsonb, priority smallint, user_id text, metadata jsonb, idempotency_key text, request_hash text)
), counted as (
  update task t set unheard = t.unheard + 1
  from target, input i
  where t.id = target.id and t.unheard < $6 and (i.idempotency_key is null or not exists (
    select from task other where other.tenant = $1 and other.idempotency_key = i.idempotency_key
    union all
    select from inbox other where other.tenant = $1 and other.idempotency_key = i.idempotency_key))
  returning t.id
), left_there as (
  insert into inbox (id, tenant, task_id, interrupts, input, priority, user_id, metadata, idempotency_key, request_hash)
  select i.id, $1, c.id, $5, i.input, i.priority, i.user_id, i.metadata, i.idempotency_key, i.request_hash
  from input i, counted c
)
select id as "taskId", status, exists (select from counted) as left from target`;

export interface AtWork {
  readonly taskId: string;
  readonly status: TaskStatus;
  readonly left: boolean;
}

function toRow({ id, input, priority, userId, metadata, idempotencyKey, requestHash }: NewTask) {
  return {
    id,
    input,
    priority,
    user_id: userId,
    metadata,
    idempotency_key: idempotencyKey,
    request_hash: requestHash,
  };
}

export interface UnheardMessage {
  readonly id: string;
  readonly interrupts: boolean;
  readonly input: TaskInput;
  readonly userId: string | null;
}

/** What a task has not heard yet, in the order it came. A row of nulls: nothing; no row: the lease is lost. */
export function unheardStatement({ taskId, epoch }: Pick<Append, "taskId" | "epoch">): Statement {
  return {
    text: `select m.id, m.interrupts, m.input, m.user_id as "userId"
           from task t left join inbox m on m.task_id = t.id and not m.heard
           where t.id = $1 and t.epoch = $2 and t.status = 'running' order by m.created_at, m.id`,
    values: [taskId, epoch],
  };
}

export interface Hearing extends Append {
  /** Of the messages that `entries` hold. */
  readonly messageIds: readonly string[];
}

/** Appends entries, as append.ts does, and marks the messages among them as heard. Rows are `{id}`; none: the lease is lost. */
export function hearStatement(hearing: Hearing): Statement {
  const { taskId, epoch, messageIds } = hearing;
  return {
    text: `
with held as materialized (
  select id, tenant, agent, session_id, user_id, key_id from task
  where id = $1 and epoch = $2 and status = 'running' for no key update
), heard as (
  update inbox m set heard = true, input = '{}', metadata = '{}'
  from held h where m.task_id = h.id and m.id = any($3::uuid[]) and not m.heard
  returning m.id
), counted as (
  update task t set unheard = t.unheard - (select count(*) from heard) from held h where t.id = h.id
), written as (
  insert into entry (task_id, seq, epoch, kind, at, body)
  select i.task_id, i.seq, i.epoch, i.kind, i.at, i.body from ${entryRows(4)} i join held h on h.id = i.task_id
  on conflict do nothing
  returning task_id, seq
), charged as (${chargeRows(4, "held")}
)
select id from held`,
    values: [taskId, epoch, messageIds, ...journalArrays([hearing])],
  };
}

/**
 * Ends a task whatever it has not heard: that becomes tasks of their own, behind all others of the session. The rows of the
 * third statement are those of the second of `finishStatements`, of the fourth those of its third.
 */
export function finishUnheardStatements(finish: Finish): Statement[] {
  const [lock, ...rest] = finishStatements([finish]);
  const { taskId, epoch } = finish;
  const forward = forwardStatement("t.id = $1 and t.epoch = $2 and t.status = 'running'", [taskId, epoch]);
  return [lock ?? lockSessionsStatement([finish.sessionId]), forward, ...rest];
}

/** The same for a task that no worker holds and that is about to be ended; its session is locked. */
export function forwardIdleStatement(tenant: string, id: string): Statement {
  return forwardStatement("t.tenant = $1 and t.id = $2 and t.status in ('pending', 'waiting')", [tenant, id]);
}

// Should the key be a task's by now, the message loses it: a key is one task's, and no task may be kept from ending.
function forwardStatement(which: string, values: readonly unknown[]): Statement {
  return {
    text: `
with ending as materialized (
  select t.id, t.session_id, t.agent from task t where ${which} and t.unheard > 0 for no key update
), message as materialized (
  select m.*, e.session_id, e.agent, row_number() over (order by m.created_at, m.id) as place, count(*) over () as together
  from inbox m join ending e on e.id = m.task_id where not m.heard
), conversation as (
  update session s set open_tasks = s.open_tasks + m.together, last_position = s.last_position + m.together
  from (select distinct tenant, session_id, together from message) m where s.tenant = m.tenant and s.id = m.session_id
  returning s.last_position
), gone as (
  delete from inbox m using message where m.id = message.id
), counted as (
  update task t set unheard = 0 from ending e where t.id = e.id
)
insert into task (id, tenant, session_id, position, is_head, agent, priority, input, user_id, metadata,
                  idempotency_key, request_hash)
select m.id, m.tenant, m.session_id, c.last_position - m.together + m.place, false, m.agent, m.priority, m.input, m.user_id,
       m.metadata, case when not exists (
         select from task t where t.tenant = m.tenant and t.idempotency_key = m.idempotency_key) then m.idempotency_key end,
       m.request_hash
from message m, conversation c`,
    values,
  };
}
