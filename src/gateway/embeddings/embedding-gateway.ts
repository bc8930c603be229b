/** The contract of embeddings: what is asked for and what comes of it. Providers live behind it. */
import type { Usage } from "../../agent/conversation.ts";
import type { FailedAttempt } from "../../agent/journal.ts";

export interface EmbeddingGateway {
  /** @throws ModelCallError; HoldfastError `unknown_model_provider`, `model_key_missing`; the signal's reason */
  embed(request: EmbeddingRequest): Promise<EmbeddingReply>;
}

export interface EmbeddingRequest {
  /** `provider/model`. */
  readonly model: string;
  readonly texts: readonly string[];
  readonly dimensions?: number | undefined;
  /** Whose turn it takes at the provider's limits. */
  readonly tenant: string;
  readonly signal: AbortSignal;
}

export interface EmbeddingReply {
  /** One for each text, in their order. */
  readonly vectors: readonly (readonly number[])[];
  readonly usage: Usage;
  /** What came to nothing before. */
  readonly attempts: readonly FailedAttempt[];
}
