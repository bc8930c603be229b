/** Tasks in a store, for tests of the store itself: what a test does not say is what usually happens. */
import assert from "node:assert/strict";
import type { Entry, EntryBody } from "../../src/agent/journal.ts";
import { systemId } from "../../src/platform/ids.ts";
import type { Database, Statement } from "../../src/store/database.ts";
import type { Store } from "../../src/store/store.ts";
import type { ClaimedTask, NewTask, TaskProgress, TaskResult } from "../../src/store/task-row.ts";

export const sql = (text: string, ...values: unknown[]): Statement => ({ text, values });

export interface HeldTask {
  readonly id: string;
  readonly epoch: number;
}

/** The running tasks that a process holds. */
export function heldBy(database: Database, pid: number | string): Promise<HeldTask[]> {
  return database.query(
    sql(
      `select t.id, t.epoch from task t join worker w on w.id = t.lease_owner
       where t.status = 'running' and w.info->>'pid' = $1`,
      String(pid),
    ),
  );
}

export const noProgress: TaskProgress = { output: "", stepsUsed: 0, tokensUsed: 0, toolCalls: 0, costMicros: 0 };

export function newTask(options: Partial<NewTask> = {}): NewTask {
  const id = options.id ?? systemId();
  return {
    id,
    tenant: "acme",
    sessionId: id,
    agent: "support",
    priority: 0,
    input: { prompt: "Hello", context: null, limits: {}, model: [], history: [] },
    userId: null,
    metadata: {},
    idempotencyKey: null,
    requestHash: null,
    forkedFrom: null,
    ...options,
  };
}

/** An entry of which a test cares for the number only, and perhaps for a text to tell it by. */
export function entryOf(seq: number, text = `entry ${seq}`): Entry {
  return { kind: "failure", code: "none", message: text, attempts: [], retryAt: null, seq, at: 1_000 + seq };
}

export function questionOf(seq: number, approvalId: string): Entry {
  const body: EntryBody = {
    kind: "question",
    approvalId,
    question: "tool",
    callId: `call_${seq}`,
    tool: "refund",
    input: { amount: seq },
    inputHash: "hash",
    reason: "It costs money.",
  };
  return { ...body, seq, at: 1_000 + seq };
}

export interface Held extends Pick<ClaimedTask, "id" | "tenant" | "sessionId" | "agent" | "epoch"> {}

/** What can be done to the tasks of one test: they have an agent of their own, so that no other test claims them. */
export type TaskDesk = ReturnType<typeof openDesk>;

export function openDesk(store: Store) {
  const agent = `agent-${systemId()}`;

  const worker = async (leaseMs = 60_000): Promise<string> => {
    const id = systemId();
    await store.registerWorker({ id, leaseMs, info: {} });
    return id;
  };

  const claim = (workerId: string, limit = 10): Promise<ClaimedTask[]> =>
    store.claim({ worker: workerId, agents: [agent], limit });

  const submit = async (options: Partial<NewTask> = {}): Promise<NewTask> => {
    const task = newTask({ agent, ...options });
    const { id } = await store.submit({ task, worker: null });
    return { ...task, id };
  };

  /** A task that a worker of its own holds. */
  const held = async (options: Partial<NewTask> = {}): Promise<ClaimedTask & { worker: string }> => {
    const { id } = await submit(options);
    const workerId = await worker();
    const task = (await claim(workerId)).find((claimed) => claimed.id === id);
    assert.ok(task, "the task was not the one to claim");
    return { ...task, worker: workerId };
  };

  const finish = async (task: Held, status: TaskResult["status"] = "completed", entries: readonly Entry[] = []) => {
    const { id: taskId, tenant, sessionId, epoch } = task;
    const result: TaskResult = { ...noProgress, output: "Done.", status, error: null, errorMessage: "" };
    const { held, promoted } = await store.finish({ taskId, tenant, sessionId, epoch, entries, result });
    return { held, promoted };
  };

  /** Lets a task wait for so many answers; answers the ids of the approvals. */
  const park = async (task: Held, { questions = 0, fromSeq = 1, wakeInMs = null as number | null } = {}) => {
    const approvals = Array.from({ length: questions }, () => systemId());
    const entries = approvals.map((id, index) => questionOf(fromSeq + index, id));
    const { id: taskId, tenant, agent: name, epoch } = task;
    const parked = await store.park({ taskId, tenant, agent: name, epoch, entries, wakeInMs, progress: noProgress });
    return { parked, approvals };
  };

  const expire = (workerId: string) =>
    store.database.query(
      sql("update worker set expires_at = holdfast_now() - interval '1 ms' where id = $1", workerId),
    );

  return {
    agent,
    worker,
    claim,
    submit,
    held,
    finish,
    park,
    expire,
    row: async ({ id, tenant }: { id: string; tenant: string }) => {
      const row = await store.task({ tenant, id });
      assert.ok(row, `there is no task ${id}`);
      return row;
    },
    journal: async ({ id }: { id: string }) => (await store.journals([id])).get(id) ?? [],
    isHead: async ({ id }: { id: string }) =>
      (await store.database.query<{ is_head: boolean }>(sql("select is_head from task where id = $1", id)))[0]?.is_head,
  };
}
