/** The contract of a model call: what the engine asks for and what it gets. Providers live behind it. */
import type { AssistantPart, Delta, Message, ToolSpec, Usage } from "../agent/conversation.ts";
import type { FailedAttempt, FinishReason } from "../agent/journal.ts";
import { HoldfastError, type Retry } from "../platform/errors.ts";

export interface ModelGateway {
  /**
   * Calls the first candidate of the route that answers, streaming.
   * @returns what was said by then, with the finish "interrupted", when `interruption` aborts
   * @throws ModelCallError when none did; the signal's reason when it aborts
   */
  call(request: ModelRequest): Promise<ModelReply>;
}

export interface ModelRequest {
  /** Candidates `provider/model`, in the order to try; never empty. */
  readonly route: readonly string[];
  readonly system: string;
  readonly messages: readonly Message[];
  readonly tools: readonly ToolSpec[];
  readonly maxOutputTokens: number;
  readonly signal: AbortSignal;
  /** The user has said something else: the call ends here, with what there is. */
  readonly interruption?: AbortSignal | undefined;
  readonly onDelta: (delta: Delta) => void;
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
