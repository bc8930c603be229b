/**
 * What went wrong in the database, in terms of what a caller may do about it:
 *
 * - `store_unavailable` (retry after a time): there was no answer, or the server cannot serve now. A write may or may
 *   not have been committed.
 * - `store_conflict` (retry now): the transaction lost against another one. Nothing was written.
 * - `unique_violation` (never): a row with this key exists; `constraint` names it. Nothing was written.
 * - `store_failed` (never): the statement is wrong, or a value that it was given. Nothing was written.
 * - `store_closed` (never): the database was closed by this process.
 */
import { HoldfastError, messageOf, type Retry } from "../platform/errors.ts";

export type StoreErrorCode =
  | "store_unavailable"
  | "store_conflict"
  | "unique_violation"
  | "store_failed"
  | "store_closed";

export interface StoreErrorDetails {
  readonly cause?: unknown;
  readonly sqlState?: string | undefined;
  readonly constraint?: string | undefined;
}

export class StoreError extends HoldfastError {
  declare readonly code: StoreErrorCode;
  /** PostgreSQL's own five-character code, if the server said one. */
  readonly sqlState: string | undefined;
  /** The constraint that was violated. */
  readonly constraint: string | undefined;

  constructor(code: StoreErrorCode, message: string, details: StoreErrorDetails = {}) {
    super(code, message, { retry: retryOf(code), cause: details.cause });
    this.name = "StoreError";
    this.sqlState = details.sqlState;
    this.constraint = details.constraint;
  }
}

/** Classifies anything a driver threw; an error that is already one of ours is returned as it is. */
export function toStoreError(thrown: unknown): HoldfastError {
  if (thrown instanceof HoldfastError) return thrown;
  const { code, constraint, severity, detail } = fieldsOf(thrown);
  const message = driverMessage(thrown);
  if (code !== undefined && severity !== undefined) {
    const kind = codeOfSqlState(code, message);
    const text = detail === undefined ? message : `${message} (${detail})`;
    return new StoreError(kind, `${prefixes[kind]}: ${text} [${code}]`, { cause: thrown, sqlState: code, constraint });
  }
  const kind = isConnectionLoss(code, message) ? "store_unavailable" : "store_failed";
  return new StoreError(kind, `${prefixes[kind]}: ${message}`, { cause: thrown });
}

/** No answer came, or none can be given now: what was sent may or may not have taken effect. */
export function isUnavailable(thrown: unknown): boolean {
  return thrown instanceof StoreError && thrown.code === "store_unavailable";
}

/** What the driver said. A host with several addresses fails with an AggregateError, whose own message is empty. */
export function driverMessage(thrown: unknown): string {
  return thrown instanceof AggregateError ? thrown.errors.map(messageOf).join("; ") : messageOf(thrown);
}

export function closedError(): StoreError {
  return new StoreError("store_closed", "The database was closed; nothing can be read from or written to it any more.");
}

const prefixes: Record<StoreErrorCode, string> = {
  store_unavailable: "The database cannot be used now, try again",
  store_conflict: "The transaction lost against a concurrent one, try again",
  unique_violation: "A row with this key exists already",
  store_failed: "The database refused a statement",
  store_closed: "The database was closed",
};

function retryOf(code: StoreErrorCode): Retry {
  if (code === "store_unavailable") return { afterMs: 500 };
  return code === "store_conflict" ? "now" : "never";
}

interface DriverFields {
  readonly code?: string;
  readonly severity?: string;
  readonly constraint?: string;
  readonly detail?: string;
}

function fieldsOf(thrown: unknown): DriverFields {
  return typeof thrown === "object" && thrown !== null ? (thrown as DriverFields) : {};
}

const unavailableClasses = new Set([
  "08", // connection exception
  "53", // insufficient resources: too many connections, disk full, out of memory
]);

const unavailableStates = new Set([
  "25006", // read-only transaction: this server is, or has become, a standby
  "25P03", // idle in transaction timeout
  "25P04", // transaction timeout
  "57014", // statement timeout
  "57P01", // admin shutdown
  "57P02", // crash shutdown
  "57P03", // cannot connect now: starting up or shutting down
  "57P05", // idle session timeout
]);

const conflictStates = new Set([
  "40001", // serialization failure
  "40P01", // deadlock detected
  "55P03", // lock not available
  "26000", // prepared statement does not exist: a pooler gave us another session; it is prepared anew on the next try
]);

function codeOfSqlState(state: string, message: string): StoreErrorCode {
  if (state === "23505") return "unique_violation";
  // A migration changed a table under a prepared statement; it is prepared anew on the next try.
  if (state === "0A000" && message.includes("cached plan must not change")) return "store_conflict";
  if (conflictStates.has(state)) return "store_conflict";
  return unavailableClasses.has(state.slice(0, 2)) || unavailableStates.has(state)
    ? "store_unavailable"
    : "store_failed";
}

const connectionCodes = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "ECONNABORTED",
  "EPIPE",
  "ETIMEDOUT",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "EHOSTDOWN",
  "ENETUNREACH",
  "ENOENT", // a unix socket that is not there
]);

// The driver has no codes for these.
const connectionMessages = [
  "connection terminated",
  "timeout expired",
  "query read timeout",
  "timeout exceeded when trying to connect",
  "client has encountered a connection error",
  "client was closed",
];

function isConnectionLoss(code: string | undefined, message: string): boolean {
  const text = message.toLowerCase();
  return (
    (code !== undefined && connectionCodes.has(code)) || connectionMessages.some((known) => text.startsWith(known))
  );
}
