/** What a fault of a game day does to the attempt that it strikes. */
import { APICallError, type LanguageModelV4, type LanguageModelV4StreamPart } from "@ai-sdk/provider";
import { neverAborts } from "../../platform/abort.ts";
import type { Clock } from "../../platform/clock.ts";
import { HoldfastError } from "../../platform/errors.ts";
import type { Attempt, AttemptResult } from "../call/attempt.ts";
import type { Fault } from "./fault-rules.ts";
import type { Strike } from "./faults.ts";
import type { ModelErrorCode } from "../model-gateway.ts";

/** The model as an attempt meets it that is struck. */
function struckModel(model: LanguageModelV4, { latencyMs, ending }: Strike, clock: Clock): LanguageModelV4 {
  const doStream: LanguageModelV4["doStream"] = async (options) => {
    const signal = options.abortSignal ?? neverAborts();
    if (latencyMs > 0) await clock.sleep(latencyMs, signal);
    if (ending?.kind === "error") throw injectedError(ending);
    if (ending?.kind === "hang" && ending.after === 0) return untilAborted(signal);
    const result = await model.doStream(options);
    if (ending === null) return result;
    return { ...result, stream: streamOf(brokenOff(result.stream, ending, signal)) };
  };
  return {
    specificationVersion: model.specificationVersion,
    provider: model.provider,
    modelId: model.modelId,
    supportedUrls: model.supportedUrls,
    doGenerate: (options) => model.doGenerate(options),
    doStream,
  };
}

function streamOf<Part>(parts: AsyncGenerator<Part, void>): ReadableStream<Part> {
  return new ReadableStream<Part>({
    async pull(controller) {
      const { done, value } = await parts.next();
      if (done === true) controller.close();
      else controller.enqueue(value);
    },
    cancel: () => parts.return().then(() => undefined),
  });
}

async function* brokenOff(
  stream: AsyncIterable<LanguageModelV4StreamPart>,
  { kind, after }: Fault & { kind: "cut" | "hang" },
  signal: AbortSignal,
): AsyncGenerator<LanguageModelV4StreamPart, void> {
  let said = 0;
  for await (const part of stream) {
    const isDelta = part.type.endsWith("-delta");
    // A reply that is shorter than that never comes to its end.
    if ((isDelta && said >= after) || part.type === "finish") {
      if (kind === "hang") await untilAborted(signal);
      throw connectionError(`Injected cut: the reply broke off; pieces before it: ${said}.`);
    }
    if (isDelta) said += 1;
    yield part;
  }
}

function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

/** As the wire would bring it, so that it is classified as the real one is. */
function injectedError({ error, retryAfterMs }: Fault & { kind: "error" }): APICallError {
  const { status, type } = wireErrors[error];
  const responseHeaders: Record<string, string> =
    retryAfterMs === null ? {} : { "retry-after-ms": String(retryAfterMs) };
  return new APICallError({
    message: `Injected error: ${status} ${type}.`,
    url: "injected",
    requestBodyValues: {},
    statusCode: status,
    responseHeaders,
    data: { error: { type } },
  });
}

function connectionError(message: string): APICallError {
  return new APICallError({ message, url: "injected", requestBodyValues: {}, isRetryable: true });
}

const wireErrors: Record<ModelErrorCode, { readonly status: number; readonly type: string }> = {
  model_unavailable: { status: 503, type: "overloaded_error" },
  model_rate_limited: { status: 429, type: "rate_limit_exceeded" },
  model_content_policy: { status: 400, type: "content_policy_violation" },
  model_context_too_long: { status: 400, type: "context_length_exceeded" },
  model_auth: { status: 401, type: "invalid_api_key" },
  model_bad_request: { status: 400, type: "invalid_request_error" },
};

/** Runs an attempt as it is struck; null: nothing strikes it. */
export async function struckBy(
  strike: Strike | null,
  attempt: Attempt,
  run: (attempt: Attempt) => Promise<AttemptResult>,
): Promise<AttemptResult> {
  if (strike === null) return run(attempt);
  try {
    return await run({ ...attempt, model: struckModel(attempt.model, strike, attempt.clock) });
  } catch (thrown) {
    // A time limit that runs out does not know why.
    if (!(thrown instanceof HoldfastError) || thrown.code !== "model_timeout") throw thrown;
    const message = `Injected ${describe(strike)}: ${thrown.message}`;
    throw new HoldfastError(thrown.code, message, { retry: thrown.retry, cause: thrown });
  }
}

/** For the journal. */
export function injectedBy(strike: Strike | null): { injected?: string } {
  return strike === null ? {} : { injected: describe(strike) };
}

function describe({ latencyMs, ending }: Strike): string {
  const slow = latencyMs === 0 ? [] : [`latency of ${latencyMs} ms`];
  return [...slow, ...(ending === null ? [] : [ending.kind])].join(", ");
}
