/** The contract of tools: what the engine asks of them. */
import type { AssistantPart, ToolOutcome, ToolSpec } from "../agent/conversation.ts";
import type { PlannedCall } from "../agent/journal.ts";
import type { Json } from "../agent/json.ts";

export interface ToolRunner {
  /** The tools an agent's references resolve to, as a model sees them. */
  specs(references: readonly string[]): readonly ToolSpec[];
  /** Resolves and validates the calls a model asked for. Never throws: what is wrong becomes the call's `problem`. */
  plan(references: readonly string[], parts: readonly AssistantPart[]): PlannedCall[];
  /** Validates an input a human edited: the input to run, or what is wrong with it. */
  check(
    call: { tool: string; version: string },
    input: Json,
  ): { ok: true; input: Json } | { ok: false; message: string };
  /**
   * Runs one call. Never throws for what the tool does: a failure is an outcome.
   * @returns null when a `once` tool was cut off and nobody knows whether its effect happened
   * @throws the signal's reason when it aborts a `read` or `idempotent` tool
   */
  run(call: PlannedCall, context: CallContext): Promise<ToolOutcome | null>;
}

export interface CallContext {
  /** `task:seq:call`, the same at every repetition of this call. */
  readonly idempotencyKey: string;
  readonly taskId: string;
  readonly sessionId: string;
  readonly tenant: string;
  readonly agent: string;
  readonly userId: string | null;
  readonly signal: AbortSignal;
}
