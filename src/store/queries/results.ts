/** The outbox of results that a carrier brings to whoever sent the task. The database fills it by itself: sql/0008_carriers.sql. */
import type { Statement } from "../database.ts";
import type { EndedTask } from "../task-row.ts";
import type { TaskKey } from "./tasks.ts";

/** What a task came to, to be published. */
export interface OutgoingResult extends EndedTask {
  /** Of the row in the outbox. */
  readonly rowId: number;
  readonly tenant: string;
  readonly agent: string;
  /** How often the task had been replayed when it ended. */
  readonly replays: number;
}

/** Has the result of a task published that was submitted without a wish for it; at once, if it has ended. */
export function wantResultStatement({ tenant, id, carrier }: TaskKey & { carrier: string }): Statement {
  return {
    text: "update task set result_to = $3 where tenant = $1 and id = $2 and result_to is null",
    values: [tenant, id, carrier],
  };
}

/** Takes the oldest results of a carrier that no other publisher has in hand. Rows are `OutgoingResult`, the oldest first. */
export function takeResultsStatement(take: { carrier: string; limit: number; leaseMs: number }): Statement {
  return { name: "take_results", text: takeSql, values: [take.carrier, take.limit, take.leaseMs] };
}

export function deleteResultsStatement(rowIds: readonly number[]): Statement {
  return { text: "delete from outgoing_result where id = any($1::bigint[])", values: [rowIds] };
}

/**
 * Deletes the oldest results that nobody has brought to their broker since their tasks ended, so long ago. The row is
 * `{results}`, the number of them; a dry run deletes none, and counts all.
 */
export function pruneResultsStatement(prune: { keptMs: number; limit: number; dryRun: boolean }): Statement {
  const past = `select id from outgoing_result
    where finished_at < holdfast_now() - $1::float8 * interval '1 millisecond'
      and (taken_until is null or taken_until <= holdfast_now())
    order by id limit $2`;
  const text = prune.dryRun
    ? `select count(*)::int as results from (${past}) r`
    : `with past as materialized (${past} for update skip locked), gone as (
         delete from outgoing_result r using past p where r.id = p.id returning 1
       ) select count(*)::int as results from gone`;
  return { text, values: [prune.keptMs, prune.dryRun ? null : prune.limit] };
}

const takeSql = `
with next as materialized (
  select id from outgoing_result
  where carrier = $1 and (taken_until is null or taken_until <= holdfast_now())
  order by id limit $2 for update skip locked
), taken as (
  update outgoing_result r set taken_until = holdfast_now() + $3::float8 * interval '1 millisecond'
  from next where r.id = next.id
  returning r.*
)
select r.id as "rowId", r.task_id as id, r.tenant, r.session_id as "sessionId", r.agent, r.replays, r.status, r.output,
  r.error, r.error_message as "errorMessage", r.steps_used as "stepsUsed", r.tokens_used as "tokensUsed",
  r.tool_calls as "toolCalls", r.cost_micros as "costMicros", r.created_at as "createdAt", r.finished_at as "finishedAt"
from taken r order by r.id`;
