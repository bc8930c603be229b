/** All that a run left behind, by which it is judged. */
import type { Answer, Entry } from "../../../src/agent/journal.ts";
import type { Database } from "../../../src/store/database.ts";
import { createStore } from "../../../src/store/store.ts";
import type { TaskRow } from "../../../src/store/task-row.ts";
import { readHistory, type Change } from "../history.ts";
import type { Outside } from "../outside.ts";
import type { Scripts } from "../scripts.ts";
import type { ModelBook } from "../simulated-model.ts";
import type { SimulatedProcess } from "../simulated-process.ts";
import type { Told } from "../told.ts";

export interface StoredTask extends TaskRow {
  readonly idempotencyKey: string | null;
  readonly epoch: number;
  readonly leaseOwner: string | null;
}

export interface StoredApproval {
  readonly id: string;
  readonly taskId: string;
  readonly status: string;
  readonly answer: Answer | null;
  readonly answeredBy: string | null;
}

/** A row of the ledger. */
export interface StoredCharge {
  readonly taskId: string;
  /** tenant/agent/session/user */
  readonly owner: string;
  /** The entry, and what it used and cost. */
  readonly line: string;
}

export interface Evidence {
  readonly tasks: readonly StoredTask[];
  readonly journals: ReadonlyMap<string, readonly Entry[]>;
  readonly ledger: readonly StoredCharge[];
  /** What forks copied from the journals of others, as "task seq". */
  readonly copied: ReadonlySet<string>;
  readonly approvals: readonly StoredApproval[];
  readonly sessions: readonly { tenant: string; id: string; openTasks: number }[];
  readonly history: readonly Change[];
  readonly told: Told;
  readonly outside: Outside;
  readonly scripts: Scripts;
  readonly book: ModelBook;
  readonly processes: readonly SimulatedProcess[];
  /** When all that had been accepted had ended. */
  readonly endedAt: number;
}

type Witnesses = Pick<Evidence, "told" | "outside" | "scripts" | "book" | "processes" | "endedAt">;

export async function gather(database: Database, witnesses: Witnesses): Promise<Evidence> {
  const query = <Row>(text: string): Promise<Row[]> => database.query<Row>({ text, values: [] });
  const tasks = await query<StoredTask>(`
    select id, tenant, session_id as "sessionId", position, agent, status, priority, input, user_id as "userId", metadata,
      forked_from as "forkedFrom", cancel_requested_by as "cancelRequestedBy", dead_letter as "deadLetter",
      wake_at as "wakeAt", output, error, error_message as "errorMessage", steps_used as "stepsUsed",
      tokens_used as "tokensUsed", tool_calls as "toolCalls", cost_micros as "costMicros", created_at as "createdAt",
      started_at as "startedAt", finished_at as "finishedAt", idempotency_key as "idempotencyKey", epoch,
      lease_owner as "leaseOwner"
    from task order by tenant, session_id, position`);
  const copied = await query<{ key: string }>("select task_id || ' ' || seq as key from entry where epoch = 0");
  return {
    ...witnesses,
    tasks,
    ledger: await query<StoredCharge>(`
      select task_id as "taskId", concat_ws('/', tenant, agent, session_id, coalesce(user_id, '')) as owner,
        concat_ws(':', seq, input, output, coalesce(cost_micros::text, 'unknown')) as line
      from usage order by task_id, seq`),
    copied: new Set(copied.map(({ key }) => key)),
    journals: await createStore(database).journals(tasks.map(({ id }) => id)),
    approvals: await query<StoredApproval>(
      `select id, task_id as "taskId", status, answer, answered_by as "answeredBy" from approval order by id`,
    ),
    sessions: await query(`select tenant, id, open_tasks as "openTasks" from session order by tenant, id`),
    history: await readHistory(database),
  };
}

export function journalOf({ journals }: Evidence, taskId: string): readonly Entry[] {
  return journals.get(taskId) ?? [];
}

/** A task as a person can tell it from others. */
export function nameOf(taskId: string): string {
  return `task …${taskId.slice(-4)}`;
}

export const endedStatuses: readonly string[] = ["completed", "failed", "cancelled"];
