/** What a task may be asked for, whichever door it comes in by, and its translation into a row. */
import type { Message } from "../agent/conversation.ts";
import type { AgentDefinition, Limits } from "../agent/definition.ts";
import type { Assignment } from "../agent/journal.ts";
import type { Json, JsonObject } from "../agent/json.ts";
import { InvalidInputError } from "../platform/errors.ts";
import type { ChargedKey, Deferral, NewTask } from "../store/task-row.ts";

/**
 * `queue`: it is a task of its own, after those before it. `inject`: it is a message to the task at work, which its next
 * model turn answers to. `interrupt`: the same, and a model turn in flight is cut off.
 */
export type WhileBusy = "queue" | "inject" | "interrupt";

export interface TaskRequest {
  readonly prompt: string;
  /** May be left out where the service hosts one agent, or assigns tasks to theirs; see assignment/assigner.ts. */
  readonly agent?: string | undefined;
  /** Absent: a new conversation. */
  readonly sessionId?: string | undefined;
  readonly userId?: string | undefined;
  /** Given to the agent with the prompt. */
  readonly context?: Json | undefined;
  /** What was said before, where a new conversation is to begin with it. */
  readonly history?: readonly Message[] | undefined;
  /** Kept with the task for whoever submitted it; the agent does not see it. */
  readonly metadata?: JsonObject | undefined;
  /** Candidates instead of the agent's route. */
  readonly model?: readonly string[] | undefined;
  readonly maxSteps?: number | undefined;
  readonly tokenBudget?: number | undefined;
  readonly costBudgetUsd?: number | undefined;
  readonly deadlineMs?: number | undefined;
  /** Higher goes first; -100 to 100, default 0. */
  readonly priority?: number | undefined;
  /**
   * Its model turns may take their time, at half the price: they go through the provider's batch API. `withinMs` (default a
   * day) after its submission it calls the model directly, or fails.
   */
  readonly deferred?: boolean | { readonly withinMs?: number; readonly otherwise?: "call" | "fail" } | undefined;
  /** What becomes of it if a task of the session is at work; default "queue". */
  readonly whileBusy?: WhileBusy | undefined;
  /** A repeat with the same key answers the same task. */
  readonly idempotencyKey?: string | undefined;
}

/** A request as a door of the engine hands it in. */
export interface SubmitRequest extends TaskRequest {
  /** The carrier that is to bring the result to whoever sent the task; absent: they ask for it. */
  readonly resultTo?: string | undefined;
  /** The virtual key that pays for it; absent: none. */
  readonly key?: ChargedKey | undefined;
}

/** The bounds of what a request may set, inclusive. */
export const requestBounds = {
  promptChars: { least: 1, most: 500_000 },
  /** Of a message to a task at work: its prompt and its context as JSON together. */
  messageChars: { least: 1, most: 100_000 },
  sessionIdChars: { least: 1, most: 200 },
  userIdChars: { least: 1, most: 200 },
  idempotencyKeyChars: { least: 1, most: 200 },
  maxSteps: { least: 1, most: 25 },
  tokenBudget: { least: 512, most: 32_768 },
  costBudgetUsd: { least: 0.000_001, most: 1_000_000 },
  deadlineMs: { least: 1, most: 30 * 86_400_000 },
  priority: { least: -100, most: 100 },
  deferredWithinMs: { least: 1, most: 30 * 86_400_000 },
} as const;

export interface Identity {
  readonly id: string;
  readonly sessionId: string;
  readonly tenant: string;
  readonly requestHash: string | null;
  /** How its agent was chosen; absent: it was named. */
  readonly assignment?: Assignment | undefined;
}

/** @throws InvalidInputError with the path of what is out of bounds */
export function toNewTask(request: TaskRequest, agent: AgentDefinition, given: Identity): NewTask {
  checkBounds(request);
  const { assignment, ...identity } = given;
  return {
    ...identity,
    agent: agent.name,
    priority: request.priority ?? 0,
    input: {
      prompt: request.prompt,
      context: request.context ?? null,
      limits: limitsOf(request),
      model: request.model ?? [],
      history: request.history ?? [],
      ...deferralOf(request),
      ...(assignment !== undefined && { assignment }),
    },
    userId: request.userId ?? null,
    metadata: request.metadata ?? {},
    idempotencyKey: request.idempotencyKey ?? null,
    forkedFrom: null,
  };
}

/** How a request is to be treated while its session is busy. @throws InvalidInputError if it is too long for a message */
export function whileBusyOf({ whileBusy = "queue", sessionId, prompt, context }: TaskRequest): WhileBusy {
  // In a conversation that begins with it nothing is at work.
  if (whileBusy === "queue" || sessionId === undefined) return "queue";
  const { most } = requestBounds.messageChars;
  const chars = prompt.length + (context === undefined ? 0 : JSON.stringify(context).length);
  if (chars <= most) return whileBusy;
  const rule = `may have ${most} characters with its context if it is to be given to a task at work, but has ${chars}`;
  throw new InvalidInputError("invalid_request", `prompt ${rule}.`, "/prompt");
}

/** The providers promise a result within a day. */
const defaultWithinMs = 86_400_000;

function deferralOf({ deferred }: TaskRequest): { deferred?: Deferral } {
  if (deferred === undefined || deferred === false) return {};
  const { withinMs = defaultWithinMs, otherwise = "call" } = deferred === true ? {} : deferred;
  const { least, most } = requestBounds.deferredWithinMs;
  if (withinMs >= least && withinMs <= most) return { deferred: { withinMs, otherwise } };
  const rule = `must be ${least} to ${most}`;
  throw new InvalidInputError("invalid_request", `deferred is within ${withinMs} ms, but ${rule}.`, "/deferred");
}

function limitsOf({ maxSteps, tokenBudget, costBudgetUsd, deadlineMs }: TaskRequest): Partial<Limits> {
  return {
    ...(maxSteps !== undefined && { maxSteps }),
    ...(tokenBudget !== undefined && { tokens: tokenBudget }),
    ...(costBudgetUsd !== undefined && { costMicros: Math.round(costBudgetUsd * 1e6) }),
    ...(deadlineMs !== undefined && { deadlineMs }),
  };
}

/** @throws InvalidInputError with the path of what is out of bounds */
export function checkBounds(request: TaskRequest): void {
  checkText(request.prompt, "prompt", requestBounds.promptChars);
  checkText(request.sessionId, "sessionId", requestBounds.sessionIdChars);
  checkText(request.userId, "userId", requestBounds.userIdChars);
  checkText(request.idempotencyKey, "idempotencyKey", requestBounds.idempotencyKeyChars);
  for (const name of ["maxSteps", "tokenBudget", "costBudgetUsd", "deadlineMs", "priority"] as const) {
    const value = request[name];
    const { least, most } = requestBounds[name];
    if (value === undefined || (value >= least && value <= most)) continue;
    throw new InvalidInputError("invalid_request", `${name} is ${value}, but must be ${least} to ${most}.`, `/${name}`);
  }
}

function checkText(value: string | undefined, name: string, { least, most }: { least: number; most: number }): void {
  if (value === undefined) return;
  if (value.length < least || value.length > most) {
    const rule = `must have ${least} to ${most} characters, but has ${value.length}`;
    throw new InvalidInputError("invalid_request", `${name} ${rule}.`, `/${name}`);
  }
  if (value.includes("\0") || !value.isWellFormed()) {
    const rule = "must be well-formed Unicode without the character U+0000";
    throw new InvalidInputError("invalid_request", `${name} ${rule}.`, `/${name}`);
  }
}
