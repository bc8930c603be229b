/** A model call under way: what was asked, what was tried, what came of it. */
import type { AssistantPart, Usage } from "../../agent/conversation.ts";
import type { FailedAttempt, ModelChoice } from "../../agent/journal.ts";
import type { Candidate } from "../../agent/route.ts";
import type { LanguageModelV4 } from "@ai-sdk/provider";
import type { AttemptProgress, AttemptResult } from "./attempt.ts";
import type { Prices } from "../cost.ts";
import { injectedBy } from "../experiments/fault-strike.ts";
import type { Faults, Strike } from "../experiments/faults.ts";
import type { ModelReply, ModelRequest } from "../model-gateway.ts";
import type { Waits } from "../resilience/repeats.ts";
import type { Resilience } from "../resilience/resilience.ts";
import type { RoutePlan } from "../route/strategy.ts";
import { usageOf } from "./usage.ts";

export interface ModelProviders {
  /**
   * The model `provider/id`.
   * @param key which of the provider's keys to use, from 0; default the first
   * @throws HoldfastError `unknown_model_provider`, `model_key_missing`
   */
  model(name: string, key?: number): LanguageModelV4;
}

/** What calls are made with. */
export interface CallParts extends Resilience {
  readonly providers: ModelProviders;
  readonly prices: Prices;
  /** Of a game day; absent: there is none. */
  readonly faults?: Faults;
}

export interface ModelCall extends Waits {
  readonly request: ModelRequest;
  readonly plan: RoutePlan;
  /** Aborts with the request's signal, or when it is interrupted. */
  readonly signal: AbortSignal;
  readonly failed: FailedAttempt[];
  /** Attempts under way: one, or two where the first is late, or none between two. */
  readonly lanes: Set<Lane>;
  /** Deltas of an attempt that came to nothing are out; they are void as soon as the next one begins. */
  stale: boolean;
}

/** An attempt under way. */
export interface Lane {
  readonly candidate: Candidate;
  /** Milliseconds since the epoch, and a monotonic reading. */
  readonly at: number;
  readonly startedAt: number;
  readonly progress: AttemptProgress;
  /** What a game day does to it. */
  strike: Strike | null;
}

const notReported = {
  inputTokens: { total: undefined, noCache: undefined, cacheRead: undefined, cacheWrite: undefined },
  outputTokens: { total: undefined, text: undefined, reasoning: undefined },
};

/** What an attempt is taken to have used that ended before the provider could report it. */
export function usedByThen({ request }: ModelCall, { text, reasoning }: AttemptProgress): Usage {
  const parts: AssistantPart[] = [
    { type: "reasoning" as const, text: reasoning },
    { type: "text" as const, text },
  ].filter((part) => part.text !== "");
  return usageOf(notReported, { request, parts });
}

export function answerOf(
  call: ModelCall,
  { turn, pace }: AttemptResult,
  { candidate: { model }, at, strike, prices }: Lane & Pick<CallParts, "prices">,
): ModelReply {
  const usage = usageOf(turn.usage, { request: call.request, parts: turn.parts });
  const cacheWritten = turn.usage.inputTokens.cacheWrite;
  return {
    parts: turn.parts,
    finish: turn.finish,
    model,
    usage,
    costMicros: prices.costMicros(model, usage, { at, cacheWritten }),
    ttftMs: hundredths(pace?.ttftMs ?? 0),
    tpotMs: hundredths((pace?.tokensMs ?? 0) / Math.max(1, usage.output - 1)),
    attempts: call.failed,
    ...(pace === null && { whole: true as const }),
    ...choiceOf(call, model),
    ...injectedBy(strike),
  };
}

/**
 * No provider reports what a call used that is cut off, and it is paid for all the same: the numbers are estimates. Calls
 * and reasoning are left out, for half of them is worth nothing to anybody.
 */
export function interruptedReply(call: ModelCall, { prices, clock }: Pick<CallParts, "prices" | "clock">): ModelReply {
  // Of two under way none has begun to answer, or the other would have been cut off.
  const [lane, ...others] = call.lanes;
  for (const other of others) {
    call.failed.push(failedAttempt(call, other, { ...lost, prices, clock, paid: true }));
  }
  const { model } = lane?.candidate ?? call.plan.order[0] ?? { model: "" };
  const text = lane?.progress.text ?? "";
  const nothing: Usage = { input: 0, cached: 0, output: 0, reasoning: 0, estimated: true };
  const usage = lane === undefined ? nothing : usedByThen(call, lane.progress);
  const firstAt = lane?.progress.firstAt ?? null;
  return {
    parts: text.trim() === "" ? [] : [{ type: "text", text }],
    finish: "interrupted",
    model,
    usage,
    costMicros: lane === undefined ? 0 : prices.costMicros(model, usage, { at: lane.at }),
    ttftMs: lane === undefined || firstAt === null ? 0 : hundredths(firstAt - lane.startedAt),
    tpotMs: 0,
    attempts: call.failed,
    ...choiceOf(call, model),
  };
}

/** How the journal names the attempt that another one was faster than. */
export const lost = { code: "model_hedge_lost", message: "Another request for the same answer was faster." };

/** @param end.paid it was taken to be answered: what it used by then is charged for */
export function failedAttempt(
  call: ModelCall,
  lane: Lane,
  end: { code: string; message: string; paid: boolean } & Pick<CallParts, "prices" | "clock">,
): FailedAttempt {
  const { model } = lane.candidate;
  const ms = Math.round(end.clock.monotonic() - lane.startedAt);
  const attempt = { model, code: end.code, message: end.message, ms, at: lane.at, ...injectedBy(lane.strike) };
  if (!end.paid) return attempt;
  const usage = usedByThen(call, lane.progress);
  return { ...attempt, usage, costMicros: end.prices.costMicros(model, usage, { at: lane.at }) };
}

/** Where there was a choice: what the strategy made of it, and what became of that. */
function choiceOf({ request, plan, failed }: ModelCall, model: string): { choice?: ModelChoice } {
  if (request.route.candidates.length < 2) return {};
  const { strategy, reason } = plan.choice;
  const first = plan.order[0]?.model ?? "";
  const why = failed.findLast((attempt) => attempt.model === first)?.code;
  if (model === first || why === undefined) return { choice: { strategy, reason } };
  return { choice: { strategy, reason: `${reason}; ${first}: ${why}` } };
}

function hundredths(ms: number): number {
  return Math.round(ms * 100) / 100;
}
