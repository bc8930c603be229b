/** What a task has come to, as everybody outside the engine sees it. */
import { defaultLimits } from "../agent/definition.ts";
import type { Entry } from "../agent/journal.ts";
import { begin, fold } from "../agent/state.ts";
import type { Clock } from "../platform/clock.ts";
import type { Store } from "../store/store.ts";
import type { TaskProgress, TaskRow, TaskStatus } from "../store/task-row.ts";
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
export async function resultOf(row: TaskRow, { store, clock }: { store: Store; clock: Clock }): Promise<AgentResult> {
  const journals = row.status === "running" ? await store.journals([row.id]) : undefined;
  const progress = journals === undefined ? rowProgress(row) : foldedProgress(row, journals.get(row.id) ?? []);
  return {
    taskId: row.id,
    sessionId: row.sessionId,
    status: row.status,
    output: progress.output,
    stepsUsed: progress.stepsUsed,
    tokensUsed: progress.tokensUsed,
    toolCalls: progress.toolCalls,
    costUsd: progress.costMicros === null ? null : progress.costMicros / 1e6,
    error: row.error,
    durationMs: Math.max(0, (row.finishedAt ?? clock.now()) - row.createdAt),
  };
}

function rowProgress({ output, stepsUsed, tokensUsed, toolCalls, costMicros }: TaskRow): TaskProgress {
  return { output: output ?? "", stepsUsed, tokensUsed, toolCalls, costMicros };
}

function foldedProgress({ input }: TaskRow, entries: readonly Entry[]): TaskProgress {
  const start = begin({ prompt: input.prompt, limits: defaultLimits, submittedAt: 0, overheadTokens: 0 });
  return progressOf(entries.reduce(fold, start));
}
