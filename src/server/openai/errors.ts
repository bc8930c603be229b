/**
 * Errors as OpenAI's clients expect them. What they do is decided by the status: they try again after 408, 409, 429 and 5xx,
 * unless `x-should-retry` says that it is of no use.
 */
import { isObject } from "../../agent/json.ts";
import { HoldfastError } from "../../platform/errors.ts";
import { toProblem } from "../http/problem.ts";

export interface ErrorBody {
  readonly message: string;
  readonly type: string;
  /** The field that is wrong, as in "messages[0].content"; null: none in particular. */
  readonly param: string | null;
  readonly code: string;
}

export interface ErrorAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly error: ErrorBody;
}

/** Our codes where OpenAI has one of its own that programs look for. */
const openaiCodes: Readonly<Record<string, string>> = {
  model_rate_limited: "rate_limit_exceeded",
  model_context_too_long: "context_length_exceeded",
  model_content_policy: "content_policy_violation",
  key_required: "invalid_api_key",
  key_invalid: "invalid_api_key",
  key_budget_spent: "insufficient_quota",
  key_rate_limited: "rate_limit_exceeded",
  unknown_model_provider: "model_not_found",
  model_key_missing: "model_not_found",
  unknown_agent: "model_not_found",
};

/** Which field a model's refusal is about. */
const paramsOfCodes: Readonly<Record<string, string>> = {
  model_context_too_long: "messages",
  model_content_policy: "messages",
  model_not_found: "model",
  unknown_model_provider: "model",
  model_key_missing: "model",
  unknown_agent: "model",
};

export function toOpenAiError(thrown: unknown, requestId: string): ErrorAnswer {
  const { problem, headers } = toProblem(thrown, requestId);
  const { status, code, detail, path } = problem;
  return {
    status,
    headers: isUseless(thrown, status) ? { "x-should-retry": "false" } : headers,
    error: {
      message: code === "body_too_large" ? tooLarge : detail,
      type: typeOf(status, code),
      param: path === undefined ? (paramsOfCodes[code] ?? null) : paramOf(path),
      code: openaiCodes[code] ?? code,
    },
  };
}

const tooLarge = "The body is larger than 16 MiB (16,777,216 bytes).";

/** Of a status after which clients try again by themselves: it would be in vain. */
function isUseless(thrown: unknown, status: number): boolean {
  return (status === 429 || status >= 500) && thrown instanceof HoldfastError && thrown.retry === "never";
}

function typeOf(status: number, code: string): string {
  if (code === "key_budget_spent") return "insufficient_quota";
  if (status === 401) return "authentication_error";
  if (status === 403) return "permission_error";
  if (status === 429) return "rate_limit_error";
  return status >= 500 ? "server_error" : "invalid_request_error";
}

/** "/messages/0/content" is "messages[0].content" to a client; empty: the body itself. */
export function paramOf(path: string): string | null {
  const param = path
    .split("/")
    .slice(1)
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"))
    .map((part) => (/^\d+$/.test(part) ? `[${part}]` : `.${part}`))
    .join("")
    .replace(/^\./, "");
  return param === "" ? null : param;
}

/** Whether a request came by one of OpenAI's paths, and so expects errors of that shape. */
export function isOpenAiPath(url: string): boolean {
  return url.startsWith("/v1/");
}

/** Fields that are null are as good as absent, at the places where OpenAI's own clients send such. */
export function dropNulls(body: unknown): void {
  if (!isObject(body)) return;
  removeNulls(body);
  for (const field of ["stream_options", "reasoning", "text", "response_format"]) removeNulls(body[field]);
  for (const field of ["messages", "input"]) {
    const list = body[field];
    if (Array.isArray(list)) for (const item of list) removeNulls(item);
  }
}

function removeNulls(value: unknown): void {
  if (!isObject(value)) return;
  for (const [key, inner] of Object.entries(value)) if (inner === null) delete value[key];
}
