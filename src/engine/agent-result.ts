/** What a task has come to, as everybody outside the engine sees it. */
import { begin, briefToRead, fold } from "../agent/state.ts";
import type { Clock } from "../platform/clock.ts";
import type { Store } from "../store/store.ts";
import type { EndedTask, TaskProgress, TaskRow, TaskStatus } from "../store/task-row.ts";
import { progressOf } from "./agent-program.ts";

export interface AgentResult {
  readonly taskId: string;
  readonly sessionId: string;
  readonly status: TaskStatus;
  /** The answer, or as much of it as there is. */
  readonly output: string;
  readonly stepsUsed: number;
  readonly tokensUsed: number;
  readonly toolCalls: number;
  /** Null: the price of a model was unknown. */
  readonly costUsd: number | null;
  /** A stable code, or null. */
  readonly error: string | null;
  /** From submission to the end, or until now. */
  readonly durationMs: number;
}

const ended = new Set<TaskStatus>(["completed", "failed", "cancelled"]);

export function hasEnded({ status }: { status: TaskStatus }): boolean {
  return ended.has(status);
}

/** The row says what an ended or a waiting task came to; a running one is folded from its journal. */
export async function resultOf(
  task: TaskRow | EndedTask,
  { store, clock }: { store: Store; clock: Clock },
): Promise<AgentResult> {
  const { stepsUsed, tokensUsed, toolCalls, costMicros, output } =
    task.status === "running" ? await readProgress(task, store) : task;
  return {
    taskId: task.id,
    sessionId: task.sessionId,
    status: task.status,
    output: output ?? "",
    stepsUsed,
    tokensUsed,
    toolCalls,
    costUsd: costMicros === null ? null : costMicros / 1e6,
    error: task.error,
    durationMs: Math.max(0, (task.finishedAt ?? clock.now()) - task.createdAt),
  };
}

async function readProgress({ id, input }: TaskRow, store: Store): Promise<TaskProgress> {
  const entries = (await store.journals([id])).get(id) ?? [];
  const start = begin(briefToRead(input.prompt));
  return progressOf(entries.reduce(fold, start));
}
