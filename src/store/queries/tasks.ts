/** Reading tasks: one, a page of them, how many wait. */
import type { Statement } from "../database.ts";
import type { TaskStatus } from "../task-row.ts";

export interface TaskFilter {
  readonly tenant: string;
  readonly status?: TaskStatus | undefined;
  readonly agent?: string | undefined;
  readonly sessionId?: string | undefined;
  readonly userId?: string | undefined;
  readonly deadLetter?: boolean | undefined;
  /** Only tasks older than this id: the last one of the page before. */
  readonly before?: string | undefined;
  readonly limit: number;
}

const columns = `
  id, tenant, session_id as "sessionId", position, agent, status, priority, input, user_id as "userId", metadata,
  forked_from as "forkedFrom", cancel_requested_by as "cancelRequestedBy", dead_letter as "deadLetter",
  wake_at as "wakeAt", output, error, error_message as "errorMessage", steps_used as "stepsUsed",
  tokens_used as "tokensUsed", tool_calls as "toolCalls", cost_micros as "costMicros", created_at as "createdAt",
  started_at as "startedAt", finished_at as "finishedAt"`;

export interface TaskKey {
  readonly tenant: string;
  readonly id: string;
}

/** Rows are `TaskRow`: those that exist, of any of the tenants named; which belongs to whom is for the caller to match. */
export function tasksByIdStatement(keys: readonly TaskKey[]): Statement {
  return {
    name: "tasks_by_id",
    text: `select ${columns} from task where id = any($2::uuid[]) and tenant = any($1::text[])`,
    // Each tenant once: the array is searched for every row.
    values: [[...new Set(keys.map(({ tenant }) => tenant))], keys.map(({ id }) => id)],
  };
}

/** Newest first. Rows are `TaskRow`. */
export function tasksStatement(filter: TaskFilter): Statement {
  const conditions = ["tenant = $1"];
  const values: unknown[] = [filter.tenant];
  const where = (condition: string, value: unknown): void => {
    if (value !== undefined) conditions.push(`${condition} $${values.push(value)}`);
  };
  where("status =", filter.status);
  where("agent =", filter.agent);
  where("session_id =", filter.sessionId);
  where("user_id =", filter.userId);
  where("id <", filter.before);
  // A literal, so that the partial index on dead letters is used.
  if (filter.deadLetter === true) conditions.push("dead_letter");
  values.push(filter.limit);
  return {
    text: `select ${columns} from task where ${conditions.join(" and ")} order by id desc limit $${values.length}`,
    values,
  };
}

/** What waits for a worker, and what was submitted, of one tenant and agent. */
export interface QueueRow {
  readonly tenant: string;
  readonly agent: string;
  /** Tasks that could run: pending, at the head of their sessions. */
  readonly waiting: number;
  /** Tasks with a later id than the one asked for. */
  readonly submitted: number;
}

/** Rows are `QueueRow`. Neither is counted further than `most`; ids ascend with time, so the newest are at the end. */
export function queueStatement({ since, most }: { since: string; most: number }): Statement {
  return {
    text: `select tenant, agent, (count(*) filter (where waits))::int as waiting, (count(*) filter (where not waits))::int as submitted
           from (
             (select tenant, agent, true as waits from task where status = 'pending' and is_head limit $2)
             union all
             (select tenant, agent, false from task where id > $1 order by id desc limit $2)
           ) t
           group by tenant, agent`,
    values: [since, most],
  };
}
