/**
 * The one family of errors. Every error that leaves a module is a HoldfastError: `code` is stable and is what programs
 * match on, `retry` says what a caller may do about it, the message says what is wrong, where, and what to do next.
 */

/** What a caller may do: nothing, try again at once, or try again after a time. */
export type Retry = "never" | "now" | { readonly afterMs: number };

export interface ErrorDetails {
  readonly retry?: Retry;
  readonly cause?: unknown;
  /** Where the fault is, as a JSON pointer into the input ("/prompt"), if it lies in an input. */
  readonly path?: string;
}

/** The base of every error there is; see the head of this file. */
export class HoldfastError extends Error {
  readonly code: string;
  readonly retry: Retry;
  readonly path: string | undefined;

  constructor(code: string, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "HoldfastError";
    this.code = code;
    this.retry = details.retry ?? "never";
    this.path = details.path;
  }
}

/** The caller's input is wrong: HTTP 4xx, never retried. */
export class InvalidInputError extends HoldfastError {
  constructor(code: string, message: string, path?: string) {
    super(code, message, path === undefined ? {} : { path });
    this.name = "InvalidInputError";
  }
}

/** The thing named does not exist, or belongs to someone else: HTTP 404. */
export class NotFoundError extends HoldfastError {
  constructor(code: string, message: string) {
    super(code, message);
    this.name = "NotFoundError";
  }
}

/** The thing is not in a state that allows this: HTTP 409. */
export class ConflictError extends HoldfastError {
  constructor(code: string, message: string) {
    super(code, message);
    this.name = "ConflictError";
  }
}

/** Something this process needs is missing or too busy: HTTP 429 or 503, try again later. */
export class UnavailableError extends HoldfastError {
  constructor(code: string, message: string, details: { afterMs: number; cause?: unknown }) {
    super(code, message, { retry: { afterMs: details.afterMs }, cause: details.cause });
    this.name = "UnavailableError";
  }
}

/** The program is wrong: a state that must never be. */
export class AssertionError extends HoldfastError {
  constructor(message: string) {
    super("assertion_failed", message);
    this.name = "AssertionError";
  }
}

export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** The message of anything that was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
