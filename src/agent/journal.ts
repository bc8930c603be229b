/**
 * The journal: what happened in a task, in order, and nothing else. It is the only state there is; `fold` in state.ts
 * turns it into what `decide` looks at. An entry once acknowledged never changes.
 */
import type { AssistantPart, ToolOutcome, Usage } from "./conversation.ts";
import type { Json } from "./json.ts";

/** An entry as it stands in the journal. `seq` counts from 1 without gaps; `at` is milliseconds since the epoch. */
export type Entry = EntryBody & { readonly seq: number; readonly at: number };

export type EntryBody =
  | AssignmentEntry
  | ModelEntry
  | CompressionEntry
  | DeferredEntry
  | IntentEntry
  | ToolEntry
  | QuestionEntry
  | AnswerEntry
  | MessageEntry
  | FailureEntry
  | ReplayEntry
  | EndEntry;

/** Whoever sent the task named no agent: why it is this one's. The first entry of its journal. */
export interface AssignmentEntry extends Assignment {
  readonly kind: "assignment";
}

/** The agent that was chosen for a task, and why. */
export interface Assignment {
  readonly agent: string;
  /** `session`: the session's last task was its. `otherwise`: nobody was clearly the best. */
  readonly method: "session" | "embeddings" | "words" | "otherwise";
  readonly reason: string;
  /** How well each fits, the best first; empty: they were not compared. */
  readonly scores: readonly AgentScore[];
  /** The embedding model that was asked, and what that took; absent: none was. */
  readonly model?: string;
  readonly usage?: Usage;
  /** Micro-dollars; null: the price of this model is unknown. */
  readonly costMicros?: number | null;
}

export interface AgentScore {
  readonly agent: string;
  readonly score: number;
}

/** One model turn: the whole assistant message and what it took to get it. */
export interface ModelEntry {
  readonly kind: "model";
  readonly parts: readonly AssistantPart[];
  /** A plan for each call among `parts`. */
  readonly calls: readonly CallPlan[];
  readonly finish: FinishReason;
  /** The candidate that answered, `provider/model`. */
  readonly model: string;
  readonly usage: Usage;
  /** Micro-dollars; null: the price of this model is unknown. */
  readonly costMicros: number | null;
  /** Time to the first token and time per output token after it, in milliseconds. */
  readonly ttftMs: number;
  readonly tpotMs: number;
  readonly attempts: readonly FailedAttempt[];
  readonly choice?: ModelChoice;
  /** The fault of a game day that the answer came through in spite of: it was slow on purpose. */
  readonly injected?: string;
  /** No model was asked: the answer to the same question was at hand. */
  readonly hit?: "cache";
  /** With a hit: what the answer took when a model gave it. */
  readonly saved?: Saved;
}

export interface Saved {
  readonly usage: Usage;
  /** Micro-dollars; null: the price of this model is unknown. */
  readonly costMicros: number | null;
}

/**
 * The conversation had grown too long for every model of the route: from here on less of it is shown. The entries before
 * stay as they are; nothing is lost but from sight.
 */
export interface CompressionEntry {
  readonly kind: "compression";
  /** So many of the newest model turns, with what followed them, are still shown as they are. */
  readonly keptTurns: number;
  /** Outcomes of the newest turn are shown up to this many characters; null: whole. */
  readonly outcomeChars: number | null;
  /** Shown in the place of all that was before them but the prompt, the session's history included; null: all of it is shown. */
  readonly summary: string | null;
  /** Who wrote the summary, `provider/model`; null: it was made by rule, or there is none. */
  readonly model: string | null;
  readonly usage: Usage;
  /** Micro-dollars; null: the price of this model is unknown. */
  readonly costMicros: number | null;
  readonly attempts: readonly FailedAttempt[];
  /** Estimated input of the next model call, before and after. */
  readonly tokensBefore: number;
  readonly tokensAfter: number;
}

/**
 * The next model turn goes through the provider's batch API. The provider is given the id, and the task waits: its turn, or
 * a failure, stands behind this entry.
 */
export interface DeferredEntry {
  readonly kind: "deferred";
  readonly callId: string;
  /** `provider/model`. */
  readonly model: string;
  /** Until when it is waited for. */
  readonly until: number;
}

/** Why this candidate of the route and no other. */
export interface ModelChoice {
  readonly strategy: string;
  readonly reason: string;
}

/** `interrupted`: a message of the user, a cancel or the deadline cut it off; the parts are what it had said by then. */
export type FinishReason = "stop" | "calls" | "length" | "content_filter" | "interrupted";

/** The code of a call among the attempts that is none: a judge was asked of a small model's answer. */
export const judgedCode = "model_judged";

/** An attempt at a model call that gave no answer, or none that counts; or the call of a judge beside them. */
export interface FailedAttempt {
  readonly model: string;
  readonly code: string;
  readonly message: string;
  readonly ms: number;
  /** When it began, in milliseconds since the epoch. */
  readonly at?: number;
  /** What it used and cost all the same, because it was cut off, or another answer was taken. */
  readonly usage?: Usage;
  /** Micro-dollars; null: the price of this model is unknown. */
  readonly costMicros?: number | null;
  /** The fault of a game day that struck it. */
  readonly injected?: string;
}

/** What the registry made of a call at the moment it was asked for: which version, whether a human must agree. */
export interface CallPlan {
  /** Of the call among the parts of the turn. */
  readonly id: string;
  /** Absent when the tool is unknown. */
  readonly version?: string;
  readonly effect?: Effect;
  readonly needsApproval: boolean;
  /** Why it cannot run: unknown tool, invalid arguments. It becomes the call's outcome. */
  readonly problem?: { readonly code: string; readonly message: string };
}

/** A tool call with its plan. `input` is the JSON the model gave, or the raw text where that is not JSON. */
export interface PlannedCall extends CallPlan {
  readonly tool: string;
  readonly input: Json;
}

/** The calls of a turn. (The entry holds their arguments once, among the parts.) */
export function plannedCalls({ parts, calls }: Pick<ModelEntry, "parts" | "calls">): PlannedCall[] {
  const asked = parts.filter((part) => part.type === "call");
  return asked.flatMap(({ id, tool, input }) => {
    const plan = calls.find((each) => each.id === id);
    return plan === undefined ? [] : { ...plan, tool, input };
  });
}

export type Effect = "read" | "idempotent" | "once";

/** A `once` tool is about to run. An intent without an outcome means: nobody knows whether it happened. */
export interface IntentEntry {
  readonly kind: "intent";
  readonly callId: string;
  readonly tool: string;
  readonly key: string;
}

export interface ToolEntry {
  readonly kind: "tool";
  readonly callId: string;
  readonly tool: string;
  readonly outcome: ToolOutcome;
  readonly ms: number;
}

export type QuestionKind = "tool" | "uncertain" | "limit" | "stutter";

/** A human is asked; the task waits, holding no worker. */
export interface QuestionEntry {
  readonly kind: "question";
  readonly approvalId: string;
  readonly question: QuestionKind;
  /** The call it is about; null for a limit. */
  readonly callId: string | null;
  readonly tool: string | null;
  readonly input: Json;
  /** Binds the answer to the arguments that were shown. */
  readonly inputHash: string;
  readonly reason: string;
}

export interface AnswerEntry {
  readonly kind: "answer";
  readonly approvalId: string;
  readonly answer: Answer;
  /** Who decided. */
  readonly by: string;
}

/** What a human may answer, by the kind of the question. */
export type Answer =
  | { readonly decision: "approve"; readonly comment?: string }
  | { readonly decision: "deny"; readonly comment: string }
  | { readonly decision: "edit"; readonly input: Json; readonly comment?: string }
  | { readonly decision: "succeeded"; readonly output: Json }
  | { readonly decision: "failed"; readonly comment: string }
  | { readonly decision: "retry" }
  | { readonly decision: "continue"; readonly advice: string; readonly limits: RaisedLimits }
  | { readonly decision: "end" };

/** New ceilings; what is absent is doubled if it was reached. */
export interface RaisedLimits {
  readonly maxSteps?: number;
  readonly tokens?: number;
  readonly costMicros?: number;
}

/** The user said something while the task was at work: the next model turn answers to it. */
export interface MessageEntry {
  readonly kind: "message";
  readonly messageId: string;
  readonly prompt: string;
  /** Given to the agent with the prompt. */
  readonly context: Json;
  readonly userId: string | null;
}

/** The task could not go on. It waits and tries again, or (`retryAt` null) it ends. */
export interface FailureEntry {
  readonly kind: "failure";
  readonly code: string;
  readonly message: string;
  readonly attempts: readonly FailedAttempt[];
  readonly retryAt: number | null;
}

/** A dead letter was set going again: from where it stopped, or from the start with another prompt. */
export interface ReplayEntry {
  readonly kind: "replay";
  readonly prompt: string | null;
  readonly by: string;
}

/** The task's one end (until a dead letter is replayed). */
export interface EndEntry {
  readonly kind: "end";
  readonly status: "completed" | "failed" | "cancelled";
  /** A stable code, or null if it ended as it should. */
  readonly error: string | null;
  readonly message: string;
}
