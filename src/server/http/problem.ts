/**
 * Every error as RFC 9457 `application/problem+json`: the class of the error says the status, its `code` is stable, its
 * `path` points at what is wrong in the input. What is not ours is a 500 that says nothing, and is logged.
 */
import { STATUS_CODES } from "node:http";
import type { Problem } from "../../client/wire.ts";
import { NoAgentFitsError } from "../../engine/assignment/assigner.ts";
import {
  ConflictError,
  HoldfastError,
  InvalidInputError,
  messageOf,
  NotFoundError,
  UnavailableError,
} from "../../platform/errors.ts";

export interface ProblemAnswer {
  readonly problem: Problem;
  readonly headers: Readonly<Record<string, string>>;
}

export const problemType = "application/problem+json";

/** Errors of HTTP itself, thrown as plain HoldfastErrors with these codes. */
const statusOfCode: Readonly<Record<string, number>> = {
  route_not_found: 404,
  method_not_allowed: 405,
  host_not_allowed: 421,
  origin_not_allowed: 403,
  game_day_off: 403,
  unsupported_content_encoding: 415,
  body_too_large: 413,
  queue_full: 429,
  inbox_full: 429,
  tenant_queue_full: 429,
  agent_queue_full: 429,
  session_queue_full: 429,
  model_rate_limited: 429,
  model_gate_full: 429,
  model_unavailable: 503,
  model_auth: 502,
  model_context_too_long: 400,
  model_content_policy: 400,
  model_bad_request: 400,
  unknown_model_provider: 404,
  model_key_missing: 404,
  model_not_found: 404,
  stream_restarted: 502,
  agent_failed: 502,
  request_aborted: 400,
  key_required: 401,
  key_invalid: 401,
  key_model_denied: 403,
  key_price_unknown: 403,
  key_budget_spent: 429,
  key_rate_limited: 429,
  store_unavailable: 503,
  store_conflict: 503,
  store_closed: 503,
};

/** Whether a code says by itself how a request is answered. */
export function hasStatus(code: string): boolean {
  return Object.hasOwn(statusOfCode, code);
}

const mostPathChars = 300;

export function toProblem(thrown: unknown, requestId: string): ProblemAnswer {
  const error = thrown instanceof HoldfastError ? thrown : (fromFastify(thrown) ?? internalError());
  const status = statusOf(error);
  // Whoever is told to try later learns nothing about the inside: a driver's message may name hosts.
  const detail =
    status === 500 ? internalError().message : status === 503 && isOfStore(error) ? storeAway : error.message;
  const path = error.path?.toWellFormed().slice(0, mostPathChars);
  const code = status === 500 ? "internal_error" : error.code;
  return {
    problem: {
      type: `urn:holdfast:problem:${code}`,
      title: STATUS_CODES[status] ?? "Error",
      status,
      detail,
      code,
      ...(path !== undefined && { path }),
      ...(error instanceof NoAgentFitsError && { candidates: [...error.candidates] }),
      instance: `urn:holdfast:request:${requestId}`,
    },
    headers: retryHeader(error, status),
  };
}

const storeAway = "The database cannot be used now. Nothing is known to be wrong with the request; try again.";

function statusOf(error: HoldfastError): number {
  const status = statusOfCode[error.code];
  if (status !== undefined) return status;
  if (error instanceof HttpError) return error.status;
  if (error instanceof InvalidInputError) return 400;
  if (error instanceof NotFoundError) return 404;
  if (error instanceof ConflictError) return 409;
  return error instanceof UnavailableError ? 503 : 500;
}

function isOfStore({ code }: HoldfastError): boolean {
  return code.startsWith("store_");
}

function retryHeader({ retry }: HoldfastError, status: number): Record<string, string> {
  if (status !== 429 && status !== 503) return {};
  const afterMs = typeof retry === "object" ? retry.afterMs : 0;
  return { "retry-after": String(Math.max(1, Math.ceil(afterMs / 1_000))) };
}

/** An error that Fastify found in the request. */
class HttpError extends HoldfastError {
  readonly status: number;

  constructor(status: number, code: string, message: string) {
    super(code, message);
    this.status = status;
  }
}

function fromFastify(thrown: unknown): HoldfastError | undefined {
  const { statusCode, code } = fieldsOf(thrown);
  // The client went away in the middle of its body; nobody reads the answer.
  if (code === "ECONNRESET") return new HttpError(400, "request_aborted", "The request ended before its body did.");
  if (code === undefined || statusCode === undefined || statusCode < 400 || statusCode > 499) return undefined;
  const known = fastifyCodes[code];
  return known === undefined
    ? new HttpError(statusCode, code.replace(/^FST_ERR_/, "").toLowerCase(), messageOf(thrown).slice(0, 300))
    : new HttpError(statusCode, ...known);
}

const fastifyCodes: Readonly<Record<string, [code: string, message: string]>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: ["body_too_large", "The body is larger than 1 MiB (1,048,576 bytes)."],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: ["unsupported_media_type", 'The body must have the content type "application/json".'],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: ["invalid_content_length", "The body is not as long as Content-Length says."],
  FST_ERR_MAX_PARAM_LENGTH: ["path_too_long", "A part of the path is longer than anything it could name."],
  FST_ERR_BAD_URL: ["invalid_url", "The path is not properly percent-encoded."],
};

function fieldsOf(thrown: unknown): { statusCode?: number; code?: string } {
  return typeof thrown === "object" && thrown !== null ? thrown : {};
}

function internalError(): HoldfastError {
  return new HoldfastError("internal_error", "Something went wrong in the service; its log says more.");
}
