/**
 * Sorts whatever a failed attempt threw: an error reply, an error inside a stream, a broken connection, a broken stream.
 *
 * Providers disagree on status codes (a full context is a 400 with one, a 413 or a 429 with another), so the codes and the
 * message in the body are looked at first and the status last. What nothing matches is taken as passing: attempts are bounded.
 */
import { AISDKError, APICallError } from "@ai-sdk/provider";
import { isObject, type JsonObject } from "../../agent/json.ts";
import { HoldfastError } from "../../platform/errors.ts";
import type { ModelErrorCode } from "../model-gateway.ts";
import { retryAfterMs } from "./retry-after.ts";

export interface ModelFailure {
  readonly code: ModelErrorCode;
  readonly message: string;
  /** What the provider asks us to wait; null: it does not say. */
  readonly retryAfterMs: number | null;
  /** Of the provider's reply, if there was one. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** What the rules look at. */
interface Evidence {
  /** HTTP status, or what stands for it inside a stream; null: there was no reply. */
  readonly status: number | null;
  /** Codes, types and message, in lower case. */
  readonly text: string;
  readonly message: string;
  readonly retryAfterMs: number | null;
}

// Without credit only a human can help, who may take a while.
const quotaWaitMs = 300_000;
const longestMessage = 400;

const quota = /insufficient_quota|credit balance is too low|insufficient (balance|credits)|billing_hard_limit/;
const policy =
  /content_?(policy|filter)|content (management|filtering|policy)|usage (polic|guidelines)|invalid_prompt|requires moderation|input was flagged|prohibited_content/;
const context =
  /context[_ ](length|window|size|limit)|maximum context|prompt is too long|input is too long|(input )?token count.* exceeds|exceeds? the max(imum)? number of tokens|request_too_large|request too large|reduce the length of|too many (input )?tokens/;
const auth =
  /invalid_api_key|api[_ ]key[_ ](not valid|invalid)|incorrect api key|authentication_error|permission_error|permission_denied|unauthenticated|model_not_found/;
const rate = /rate_limit|too many requests|resource_exhausted/;
const badRequest = /invalid_request_error|invalid_argument/;

export function classifyFailure(thrown: unknown, now: number): ModelFailure {
  const evidence = evidenceOf(thrown, now);
  const code = codeOf(thrown, evidence);
  const asked = evidence.retryAfterMs;
  const outOfQuota = code === "model_rate_limited" && isOutOfQuota(evidence);
  const headers = APICallError.isInstance(thrown) ? thrown.responseHeaders : undefined;
  return {
    code,
    message: evidence.message,
    retryAfterMs: asked ?? (outOfQuota ? quotaWaitMs : null),
    ...(headers && { headers }),
  };
}

function codeOf(thrown: unknown, evidence: Evidence): ModelErrorCode {
  const { status, text } = evidence;
  if (thrown instanceof HoldfastError) return thrown.retry === "never" ? "model_auth" : "model_unavailable";
  if (status === null && AISDKError.isInstance(thrown) && !APICallError.isInstance(thrown))
    return codeOfSdkError(thrown);
  if (isOutOfQuota(evidence)) return "model_rate_limited";
  if (status !== null && status >= 500) return "model_unavailable";
  // A plain rate limit may speak of "too many tokens" per minute; only a request that never fits speaks of itself.
  if (status === 429) return /request too large/.test(text) ? "model_context_too_long" : "model_rate_limited";
  if (context.test(text) || status === 413) return "model_context_too_long";
  if (policy.test(text)) return "model_content_policy";
  // A model or address that is not there is a fault of the deployment, as a wrong key is: another candidate may still answer.
  if (auth.test(text) || status === 401 || status === 403 || status === 404) return "model_auth";
  if (rate.test(text)) return "model_rate_limited";
  if (status === 408 || status === 409 || status === 425) return "model_unavailable";
  if (status !== null && status >= 400) return "model_bad_request";
  return status === null && badRequest.test(text) ? "model_bad_request" : "model_unavailable";
}

function isOutOfQuota({ status, text }: Evidence): boolean {
  return status === 402 || quota.test(text);
}

/** Errors of the provider packages themselves: of a missing key, of a request they cannot send, of a reply they cannot read. */
function codeOfSdkError(error: AISDKError): ModelErrorCode {
  if (/LoadAPIKey|LoadSetting|NoSuchModel/.test(error.name)) return "model_auth";
  if (/InvalidPrompt|InvalidArgument|UnsupportedFunctionality/.test(error.name)) return "model_bad_request";
  return "model_unavailable";
}

function evidenceOf(thrown: unknown, now: number): Evidence {
  if (APICallError.isInstance(thrown)) {
    const error = errorObjectOf(parseObject(thrown.responseBody) ?? thrown.data);
    return evidence({
      error,
      message: thrown.message,
      status: thrown.statusCode,
      headers: thrown.responseHeaders,
      now,
    });
  }
  if (thrown instanceof Error) {
    const unreadable = /JSONParse|TypeValidation/.test(thrown.name);
    return evidence({
      error: {},
      message: unreadable ? `The reply cannot be read: ${thrown.message}` : thrown.message,
      now,
    });
  }
  if (typeof thrown === "string") return evidence({ error: {}, message: thrown, now });
  // Errors inside a stream are plain objects: the provider's frame in `data`, beside what the package made of it.
  const frame = (isObject(thrown) ? thrown : {}) as JsonObject;
  const error = { ...errorObjectOf(frame["data"] ?? frame), ...errorObjectOf(frame) };
  const status = typeof frame["statusCode"] === "number" ? frame["statusCode"] : undefined;
  const message = typeof error["message"] === "string" ? error["message"] : JSON.stringify(thrown);
  return evidence({ error, message, status, now });
}

function evidence(found: {
  error: JsonObject;
  message: string;
  status?: number | undefined;
  headers?: Record<string, string> | undefined;
  now: number;
}): Evidence {
  const { error, status } = found;
  const inner = isObject(error["innererror"]) ? error["innererror"]["code"] : undefined;
  const details = Array.isArray(error["details"]) ? error["details"] : [];
  const reasons = details.map((detail) => (isObject(detail) ? detail["reason"] : undefined));
  const words = [error["code"], error["type"], error["status"], inner, ...reasons, error["message"], found.message];
  const numeric =
    typeof error["code"] === "number" && error["code"] >= 400 && error["code"] <= 599 ? error["code"] : null;
  return {
    status: status ?? numeric,
    text: words
      .filter((word) => typeof word === "string")
      .join(" ")
      .toLowerCase(),
    message: cut(typeof error["message"] === "string" ? error["message"] : found.message),
    retryAfterMs: retryAfterMs({ headers: found.headers ?? {}, details }, found.now),
  };
}

/** The object that holds code, type and message: `error` in most bodies, `response.error` in OpenAI's streams, or the body. */
function errorObjectOf(body: unknown): JsonObject {
  if (!isObject(body)) return {};
  if (isObject(body["error"])) return body["error"];
  if (isObject(body["response"]) && isObject(body["response"]["error"])) return body["response"]["error"];
  return body;
}

function parseObject(text: string | undefined): JsonObject | null {
  try {
    const parsed: unknown = JSON.parse(text ?? "");
    return isObject(parsed) ? parsed : null;
  } catch {
    return null;
  }
}

function cut(message: string): string {
  return message.length <= longestMessage ? message : `${message.slice(0, longestMessage)} …`;
}

/** The code of a failed attempt as the journal keeps it: our own where we know better what is wrong. */
export function attemptCodeOf(thrown: unknown, failure: ModelFailure): string {
  return thrown instanceof HoldfastError ? thrown.code : failure.code;
}
