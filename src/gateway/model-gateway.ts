/** The contract of a model call: what the engine asks for and what it gets. Providers live behind it. */
import type { AssistantPart, Delta, Message, ToolSpec, Usage } from "../agent/conversation.ts";
import type { FailedAttempt, FinishReason, ModelChoice, Saved } from "../agent/journal.ts";
import type { JsonObject } from "../agent/json.ts";
import type { ModelRoute } from "../agent/route.ts";
import { HoldfastError, type Retry } from "../platform/errors.ts";
import type { GateStatus } from "./gate/gate.ts";

export interface ModelGateway {
  /**
   * Calls the first candidate of the route that answers, streaming.
   * @returns what was said by then, with the finish "interrupted", when `interruption` aborts
   * @throws ModelCallError when none did; the signal's reason when it aborts
   */
  call(request: ModelRequest): Promise<ModelReply>;
  /** How the models do that were called lately, as this process sees it; absent where no real ones are called. */
  status?(): readonly ModelStatus[];
}

export interface ModelRequest {
  /** Never without candidates. */
  readonly route: ModelRoute;
  readonly system: string;
  readonly messages: readonly Message[];
  readonly tools: readonly ToolSpec[];
  readonly maxOutputTokens: number;
  readonly settings?: ModelSettings | undefined;
  /** Absent: nobody else's answer is given, and this one to nobody else. */
  readonly cache?: AnswerCaching | undefined;
  readonly caller: ModelCaller;
  readonly signal: AbortSignal;
  /** The user has said something else: the call ends here, with what there is. */
  readonly interruption?: AbortSignal | undefined;
  readonly onDelta: (delta: Delta) => void;
  /** Nobody reads along: a model that is sure to be quick may be asked for its reply whole, which comes without deltas. */
  readonly whole?: boolean | undefined;
  /** Asked of what a small model answers where a larger one would be asked next: why it does not count; null: it does. */
  readonly check?: ((parts: readonly AssistantPart[]) => string | null | Promise<string | null>) | undefined;
}

/** The answer to an equal call may be given instead of asking a model; see cache/answer-cache.ts. */
export interface AnswerCaching {
  /** How old it may be. */
  readonly ttlMs: number;
  /** How much older, where no candidate answers; 0: no older. */
  readonly staleMs: number;
  /** Whether an answer may be given again: what it asks for must do no harm when it is done again. */
  readonly mayRepeat: (parts: readonly AssistantPart[]) => boolean;
  /** Told as soon as it is known, and before anything is said. */
  readonly onOutcome?: (outcome: CacheOutcome) => void;
}

/** `shared`: an equal call was under way. `stale`: no model could be reached. */
export type CacheOutcome = "hit" | "shared" | "stale" | "miss";

/** For whom a call is made: whose limits it counts against and who pays for it. */
export interface ModelCaller {
  readonly tenant: string;
  /** Null: an outside program, which called the gateway itself. */
  readonly agent: string | null;
  readonly taskId: string | null;
  readonly sessionId: string | null;
  readonly userId: string | null;
  /** The virtual key that was used. */
  readonly keyId: string | null;
}

/** What a program may ask of a model beyond the conversation; absent: the provider's default. */
export interface ModelSettings {
  readonly temperature?: number;
  readonly topP?: number;
  readonly stop?: readonly string[];
  readonly seed?: number;
  readonly toolChoice?: "auto" | "none" | "required" | { readonly tool: string };
  readonly responseFormat?: JsonFormat;
  readonly presencePenalty?: number;
  readonly frequencyPenalty?: number;
  readonly reasoningEffort?: "none" | "minimal" | "low" | "medium" | "high" | "xhigh";
  /** False: one tool call in a turn at most. */
  readonly parallelCalls?: boolean;
  /** `maxOutputTokens` is only what is to be expected: the model answers up to its own limit. */
  readonly openEnded?: boolean;
}

/** The answer is JSON; with a schema, JSON that fits it. */
export interface JsonFormat {
  readonly type: "json";
  readonly schema?: JsonObject;
  readonly name?: string;
  readonly description?: string;
  /** The provider is to make sure of it. */
  readonly strict?: boolean;
}

export interface ModelReply {
  /** In the order the model gave them. The input of a call is its parsed JSON, or the raw text where that is not JSON. */
  readonly parts: readonly AssistantPart[];
  readonly finish: FinishReason;
  readonly model: string;
  readonly usage: Usage;
  readonly costMicros: number | null;
  readonly ttftMs: number;
  readonly tpotMs: number;
  readonly attempts: readonly FailedAttempt[];
  /** It was asked for whole: nobody knows when its first token was there. */
  readonly whole?: true;
  readonly choice?: ModelChoice;
  readonly injected?: string;
  readonly hit?: "cache";
  readonly saved?: Saved;
}

export type ModelErrorCode =
  | "model_unavailable" // transient: network, 5xx, timeouts, broken streams
  | "model_rate_limited"
  | "model_content_policy"
  | "model_context_too_long"
  | "model_auth"
  | "model_bad_request";

/** No candidate answered. Carries every attempt, for the journal. */
export class ModelCallError extends HoldfastError {
  readonly attempts: readonly FailedAttempt[];

  constructor(
    code: ModelErrorCode,
    message: string,
    details: { retry: Retry; attempts: readonly FailedAttempt[]; cause?: unknown },
  ) {
    super(code, message, details);
    this.name = "ModelCallError";
    this.attempts = details.attempts;
  }
}

export interface ModelStatus {
  readonly model: string;
  readonly breaker: BreakerStatus;
  /** One for each of the provider's keys that was used lately. */
  readonly gate: readonly GateStatus[];
  /** Since the process began. */
  readonly attempts: AttemptCounts;
  /** Repeats that the retry budget still has. */
  readonly retriesLeft: number;
  /** Of the last answers, in milliseconds; null: there were none. */
  readonly ttftMs: Percentiles | null;
  readonly tpotMs: Percentiles | null;
}

export interface AttemptCounts {
  readonly answered: number;
  readonly failed: number;
  /** Not made, because the breaker was open or the gate full. */
  readonly skipped: number;
  /** Second requests because the first token was late. */
  readonly hedged: number;
}

export interface Percentiles {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly count: number;
}

/** While it is open the model is not called; half open, one call at a time finds out whether it is back. */
export interface BreakerStatus {
  readonly state: "closed" | "open" | "half_open";
  /** Milliseconds since the epoch; null: it is not open. */
  readonly openUntil: number | null;
  readonly consecutiveFailures: number;
  /** Of the last minute. */
  readonly calls: number;
  readonly failures: number;
  readonly lastFailure: { readonly at: number; readonly code: string; readonly message: string } | null;
}
