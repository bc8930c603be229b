/** What the table `task` holds, in the terms of the program. */
import type { Message } from "../agent/conversation.ts";
import type { Limits } from "../agent/definition.ts";
import type { Assignment } from "../agent/journal.ts";
import type { Json, JsonObject } from "../agent/json.ts";

export type TaskStatus = "pending" | "running" | "waiting" | "completed" | "failed" | "cancelled";

/** What was asked for. */
export interface TaskInput {
  readonly prompt: string;
  readonly context: Json;
  /** Ceilings that this task sets itself; the agent's hold for the rest. */
  readonly limits: Partial<Limits>;
  /** Candidates that replace the agent's route; empty: the agent's. */
  readonly model: readonly string[];
  /** The conversation a fork began with; a fork's session has no earlier tasks to read it from. */
  readonly history: readonly Message[];
  /** Its model turns go through the provider's batch API; absent: they do not. */
  readonly deferred?: Deferral;
  /** How its agent was chosen; absent: whoever sent it named one, or there is only one. */
  readonly assignment?: Assignment;
}

/** How long a task leaves its model turns to the provider's batch API, and what becomes of it then. */
export interface Deferral {
  /** From its submission on, in milliseconds. */
  readonly withinMs: number;
  /** It calls the model as any other task, at the full price, or it fails. */
  readonly otherwise: "call" | "fail";
}

/** A task to be stored. Ids of one process ascend, which makes them the order of submission. */
export interface NewTask {
  readonly id: string;
  readonly tenant: string;
  readonly sessionId: string;
  readonly agent: string;
  readonly priority: number;
  readonly input: TaskInput;
  readonly userId: string | null;
  readonly metadata: JsonObject;
  readonly idempotencyKey: string | null;
  /** Tells whether a repeat of the key is the same request. */
  readonly requestHash: string | null;
  readonly forkedFrom: string | null;
  /** The carrier that brings the result to whoever sent the task; absent: none. */
  readonly resultTo?: string | undefined;
  /** The virtual key that pays for it; absent: none. */
  readonly key?: ChargedKey | undefined;
}

/** A virtual key, and what it is charged with for a task until the task ends: the most that it may come to. */
export interface ChargedKey {
  readonly id: string;
  readonly chargedMicros: number;
}

/** A task as a worker gets it, with the lease it now holds. Times are milliseconds since the epoch. */
export interface ClaimedTask {
  readonly id: string;
  readonly tenant: string;
  readonly sessionId: string;
  readonly position: number;
  readonly agent: string;
  readonly input: TaskInput;
  readonly userId: string | null;
  readonly epoch: number;
  /** How often its worker was lost since the task last came to rest. */
  readonly takeovers: number;
  /** Its worker was lost, and nobody has written yet what a model call in flight may have cost. */
  readonly callMayBeLost: boolean;
  readonly createdAt: number;
  /** Never run before and not a fork: its journal is empty. */
  readonly isNew: boolean;
  /** Together they tell whether a cached copy of the conversation is still good: a deleted session may come again. */
  readonly sessionVersion: number;
  readonly sessionCreatedAt: number;
  readonly cancelRequestedBy: string | null;
  /** Messages to it that it has not heard. */
  readonly unheard: number;
}

/** A task as it is shown. */
export interface TaskRow {
  readonly id: string;
  readonly tenant: string;
  readonly sessionId: string;
  readonly position: number;
  readonly agent: string;
  readonly status: TaskStatus;
  readonly priority: number;
  readonly input: TaskInput;
  readonly userId: string | null;
  readonly metadata: JsonObject;
  readonly forkedFrom: string | null;
  readonly cancelRequestedBy: string | null;
  readonly deadLetter: boolean;
  readonly wakeAt: number | null;
  readonly output: string | null;
  readonly error: string | null;
  readonly errorMessage: string | null;
  readonly stepsUsed: number;
  readonly tokensUsed: number;
  readonly toolCalls: number;
  /** Null: a price was unknown. */
  readonly costMicros: number | null;
  readonly createdAt: number;
  readonly startedAt: number | null;
  readonly finishedAt: number | null;
}

/** What an ended task came to and when: all that its result is made of. */
export type EndedTask = TaskResult & Pick<TaskRow, "id" | "sessionId" | "createdAt" | "finishedAt">;

/** How far a task is: its output so far and what it used. */
export interface TaskProgress {
  readonly output: string;
  readonly stepsUsed: number;
  readonly tokensUsed: number;
  readonly toolCalls: number;
  readonly costMicros: number | null;
}

/** What a task came to, kept in its row so that it can be read without folding the journal. */
export interface TaskResult extends TaskProgress {
  readonly status: "completed" | "failed" | "cancelled";
  readonly error: string | null;
  readonly errorMessage: string;
}
