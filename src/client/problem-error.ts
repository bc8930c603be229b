/** From an answer that is no success to the error that the service meant. */
import {
  ConflictError,
  HoldfastError,
  InvalidInputError,
  NotFoundError,
  UnavailableError,
} from "../platform/errors.ts";

/** @returns an error with the problem's code, message and path, and what `Retry-After` says */
export async function toError(response: Response): Promise<HoldfastError> {
  const { code, detail, path } = await readProblem(response);
  const { status } = response;
  if (status === 404) return new NotFoundError(code, detail);
  if (status === 409) return new ConflictError(code, detail);
  if (status === 429 || status >= 502) return new UnavailableError(code, detail, { afterMs: retryAfterMs(response) });
  if (status >= 400 && status < 500) return new InvalidInputError(code, detail, path);
  return new HoldfastError(code, detail);
}

/** Something else than a Holdfast may answer: a proxy in between, or whatever runs at that address. */
async function readProblem(response: Response): Promise<{ code: string; detail: string; path: string | undefined }> {
  const text = await response.text();
  const { code, detail, path } = parseObject(text);
  return {
    code: typeof code === "string" ? code : "unexpected_answer",
    detail: typeof detail === "string" ? detail : `The service answered ${response.status}: ${text.slice(0, 200)}`,
    path: typeof path === "string" ? path : undefined,
  };
}

function parseObject(text: string): Record<string, unknown> {
  try {
    return Object(JSON.parse(text)) as Record<string, unknown>;
  } catch {
    return {};
  }
}

function retryAfterMs(response: Response): number {
  const seconds = Number(response.headers.get("retry-after") ?? 1);
  return Number.isFinite(seconds) && seconds >= 0 ? seconds * 1_000 : 1_000;
}
