/**
 * What people do to tasks: cancel, answer, replay, discard. Each is a transaction that first takes its locks (session,
 * then task) in a statement of its own, so that what follows sees everything that committed before.
 *
 * A task that waits has no owner, so these append to its journal themselves, under the row lock and its last epoch.
 */
import type { Answer } from "../../agent/journal.ts";
import type { Statement } from "../database.ts";
import { encodeJson } from "../json.ts";
import { callMayBeLost } from "./claim.ts";
import { promoteStatement } from "./finish.ts";
import { forwardIdleStatement } from "./inbox.ts";
import type { TaskKey } from "./tasks.ts";
import { settleTasks } from "./virtual-keys.ts";

/**
 * Ends a task that no worker holds, and asks the worker of one that runs. What the task has not heard becomes tasks of
 * their own. The fourth statement's row is `{status}` as it was before, none if there is no such task.
 *
 * Where a call of a lost worker is still to be charged, which takes the agent to estimate, the end is left to a worker that
 * hosts the agent, as if the task ran; if there is none, nobody can charge it, and the task ends here.
 */
export function cancelStatements({ tenant, id, by }: TaskKey & { by: string }): Statement[] {
  return [
    ...lockStatements({ tenant, id }),
    forwardIdleStatement(tenant, id),
    {
      text: `
with target as materialized (
  select t.id, t.tenant, t.session_id, t.status, t.epoch,
    t.status = 'running' or t.status in ('pending', 'waiting') and ${callMayBeLost} and exists (
      select from worker w where w.expires_at > holdfast_now() and w.info->'agents' ? t.agent) as is_left
  from task t where t.tenant = $1 and t.id = $2
), flagged as (
  update task t set cancel_requested_by = coalesce(t.cancel_requested_by, $3), wake_at = null,
    status = case t.status when 'waiting' then 'pending' else t.status end
  from target where t.id = target.id and target.is_left
), ended as (
  update task t set status = 'cancelled', error = 'cancelled', error_message = 'Cancelled by ' || $3 || '.',
    output = coalesce(output, ''),
    cancel_requested_by = $3, wake_at = null, finished_at = holdfast_now()
  from target where t.id = target.id and target.status in ('pending', 'waiting') and not target.is_left
  returning t.id, t.tenant, t.session_id, t.epoch, t.created_at, t.key_id, t.key_charged
), written as (
  insert into entry (task_id, seq, epoch, kind, at, body)
  select id, ${nextSeq("ended.id")}, epoch, 'end', holdfast_now(),
    json_build_object('status', 'cancelled', 'error', 'cancelled', 'message', 'Cancelled by ' || $3 || '.')
  from ended
), withdrawn as (
  update approval a set status = 'cancelled' from ended where a.task_id = ended.id and a.status = 'pending'
), counted as (
  update session s set open_tasks = s.open_tasks - 1, updated_at = holdfast_now()
  from ended where s.tenant = ended.tenant and s.id = ended.session_id
), costly as materialized (
  -- The row does not say what it cost; an hour, since the journal has the times of processes.
  select e.*, (select case when count(*) = count(u.cost_micros) then coalesce(sum(u.cost_micros), 0)::bigint end from usage u
    where u.tenant = e.tenant and u.at > e.created_at - interval '1 hour' and u.task_id = e.id) as cost_micros
  from ended e where e.key_id is not null
), ${settleTasks("costly")}
select status from target`,
      values: [tenant, id, by],
    },
    promoteStatement([id]),
  ];
}

export interface AnswerCommand {
  readonly tenant: string;
  readonly approvalId: string;
  readonly taskId: string;
  readonly answer: Answer;
  readonly by: string;
}

/** The third statement's row is `{task_id}`; none: it was answered before, or its task no longer waits. */
export function answerStatements({ tenant, approvalId, taskId, answer, by }: AnswerCommand): Statement[] {
  return [
    ...lockStatements({ tenant, id: taskId }),
    {
      text: `
with asked as materialized (
  select a.id, a.task_id, t.epoch from approval a join task t on t.id = a.task_id
  where a.tenant = $1 and a.id = $2 and a.task_id = $3 and a.status = 'pending' and t.status = 'waiting'
), answered as (
  update approval a set status = 'answered', answer = $4::json::jsonb, answered_by = $5, answered_at = holdfast_now()
  from asked where a.id = asked.id
), written as (
  insert into entry (task_id, seq, epoch, kind, at, body)
  select task_id, ${nextSeq("asked.task_id")}, epoch, 'answer', holdfast_now(),
    json_build_object('approvalId', id, 'answer', $4::json, 'by', $5::text)
  from asked
), woken as (
  update task t set status = 'pending', wake_at = null from asked
  where t.id = asked.task_id and not exists (
    select from approval other where other.task_id = asked.task_id and other.status = 'pending' and other.id <> asked.id)
)
select task_id from asked`,
      values: [tenant, approvalId, taskId, encodeJson(answer), by],
    },
  ];
}

/**
 * Sets a dead letter going again, at the end of its session's line: from where it stopped, or from the start with another
 * prompt. The third statement's row is `{id}`; none: it is no dead letter.
 */
export function replayStatements({
  tenant,
  id,
  prompt,
  by,
}: TaskKey & { prompt: string | null; by: string }): Statement[] {
  return [
    ...lockStatements({ tenant, id }),
    {
      text: `
with target as materialized (
  select id, tenant, session_id, epoch from task where tenant = $1 and id = $2 and dead_letter
), conversation as (
  update session s set open_tasks = s.open_tasks + 1, last_position = s.last_position + 1, updated_at = holdfast_now()
  from target where s.tenant = target.tenant and s.id = target.session_id
  returning s.open_tasks, s.last_position
), revived as (
  update task t set status = 'pending', dead_letter = false, output = null, error = null, error_message = null,
    finished_at = null, cancel_requested_by = null, wake_at = null, takeovers = 0, position = c.last_position, is_head = c.open_tasks = 1,
    key_charged = coalesce(cost_micros, key_charged)
  from target, conversation c where t.id = target.id
), written as (
  insert into entry (task_id, seq, epoch, kind, at, body)
  select id, ${nextSeq("target.id")}, epoch, 'replay', holdfast_now(),
    json_build_object('prompt', $3::text, 'by', $4::text)
  from target
)
select id from target`,
      values: [tenant, id, prompt, by],
    },
  ];
}

/** A dead letter stays failed, and nobody needs to look at it any more. Rows are `{id}`. */
export function discardStatement({ tenant, id }: TaskKey): Statement {
  return {
    text: "update task set dead_letter = false where tenant = $1 and id = $2 and dead_letter returning id",
    values: [tenant, id],
  };
}

/** The row locks of a task's session and of the task, in the order that holds everywhere. */
function lockStatements({ tenant, id }: TaskKey): Statement[] {
  return [
    {
      text: `select from session s where (s.tenant, s.id) = (
               select t.tenant, t.session_id from task t where t.tenant = $1 and t.id = $2) for no key update`,
      values: [tenant, id],
    },
    { text: "select from task where tenant = $1 and id = $2 for no key update", values: [tenant, id] },
  ];
}

function nextSeq(taskId: string): string {
  return `(select coalesce(max(e.seq), 0) + 1 from entry e where e.task_id = ${taskId})`;
}
