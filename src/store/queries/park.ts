/** Lets a task wait, holding no worker: for a human (its questions become approvals), for a time, or both. */
import type { Statement } from "../database.ts";
import { encodeText } from "../json.ts";
import type { TaskProgress } from "../task-row.ts";
import { chargeRows, entryRows, journalArrays, type Append } from "./append.ts";

export interface Park extends Append {
  readonly tenant: string;
  readonly agent: string;
  /** In how many milliseconds the wait ends by itself; null: only an event ends it. */
  readonly wakeInMs: number | null;
  /** Where the task stands, kept in its row while nobody works on it. */
  readonly progress: TaskProgress;
}

/**
 * Rows are `HeldTask`. A task somebody wants cancelled is not parked and nothing is written: its worker must end it.
 * The approvals are made from the question entries.
 */
export function parkStatement(park: Park): Statement {
  const { taskId, epoch, tenant, agent, wakeInMs, progress } = park;
  const { output, stepsUsed, tokensUsed, toolCalls, costMicros } = progress;
  return {
    name: "park",
    text: parkSql,
    values: [
      taskId,
      epoch,
      wakeInMs,
      tenant,
      agent,
      encodeText(output),
      stepsUsed,
      tokensUsed,
      toolCalls,
      costMicros,
      ...journalArrays([park]),
    ],
  };
}

const parkSql = `
with held as materialized (
  select id, epoch, cancel_requested_by, unheard from task where id = $1 and epoch = $2 and status = 'running' for no key update
), parked as (
  update task t set status = 'waiting', lease_owner = null, takeovers = 0, lost_epoch = null,
    wake_at = holdfast_now() + $3::float8 * interval '1 millisecond',
    output = $6, steps_used = $7, tokens_used = $8, tool_calls = $9, cost_micros = $10
  from held h where t.id = h.id and h.cancel_requested_by is null
  returning t.id, t.tenant, t.agent, t.session_id, t.user_id, t.key_id
), input as materialized (
  select i.* from ${entryRows(11)} i join parked p on p.id = i.task_id
), written as (
  insert into entry (task_id, seq, epoch, kind, at, body)
  select task_id, seq, epoch, kind, at, body from input
  on conflict do nothing
  returning task_id, seq
), charged as (${chargeRows(11, "parked")}
), asked as (
  insert into approval (id, tenant, task_id, agent, kind, call_id, tool, input, large, input_hash, reason)
  select (body->>'approvalId')::uuid, $4, task_id, $5, body->>'question', body->>'callId', body->>'tool', body->'input', body->'$large',
         body->>'inputHash', body->>'reason'
  from input where kind = 'question'
  on conflict do nothing
)
select id, epoch, cancel_requested_by as "cancelRequestedBy", unheard from held`;
