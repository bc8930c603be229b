/**
 * Statements that travel to a server together, as one query object of the driver.
 *
 * They are sent as parse-bind-execute messages with a single Sync at the end. PostgreSQL runs everything up to a Sync as
 * one transaction and, after an error, skips the rest of it: one round trip, no begin and commit, and the first error is
 * the only one. (The driver's own pipeline mode sends a Sync per statement: begin, n statements and commit are n + 2
 * transactions' worth of answers, and every statement after the failed one adds an error of its own.)
 */
import type { Connection, Submittable } from "pg";
import { rowDecoder, type Column, type RowDecoder } from "./decode-row.ts";
import type { EncodedStatement } from "./encode-parameter.ts";

export interface PostgresBatch extends Submittable {
  /** The rows of each statement, once the transaction is committed. */
  readonly results: Promise<Record<string, unknown>[][]>;
}

/** @param prepared the text of each prepared statement of the connection, by name; kept up to date here. */
export function createPostgresBatch(
  statements: readonly EncodedStatement[],
  prepared: Map<string, string>,
): PostgresBatch {
  const { promise, resolve, reject } = Promise.withResolvers<Record<string, unknown>[][]>();
  const results: Record<string, unknown>[][] = [];
  let rows: Record<string, unknown>[] = [];
  let decode: RowDecoder = rowDecoder([]);
  let unreadable: unknown;

  function handleCommandComplete(): void {
    results.push(rows);
    rows = [];
  }

  // What the driver calls on a query object as answers arrive.
  const handlers = {
    submit: (connection: Connection) => send(connection as unknown as WireConnection, statements, prepared),
    handleRowDescription: ({ fields }: { fields: Column[] }) => {
      decode = rowDecoder(fields);
    },
    handleDataRow: ({ fields }: { fields: (string | null)[] }) => {
      try {
        rows.push(decode(fields));
      } catch (error) {
        unreadable ??= error;
      }
    },
    handleCommandComplete,
    handleEmptyQuery: handleCommandComplete,
    handleError: (error: unknown) => {
      // Which of them are prepared now is not known; to prepare them again is always right.
      for (const { name } of statements) if (name !== undefined) prepared.delete(name);
      reject(error);
    },
    handleReadyForQuery: () => (unreadable === undefined ? resolve(results) : reject(unreadable)),
    handleCopyInResponse: (connection: WireConnection) => connection.sendCopyFail("copy is not supported"),
    handleCopyData: () => {},
    handlePortalSuspended: () => {},
  };
  return Object.assign(handlers, { results: promise });
}

/** The driver's connection as its own query objects use it, which its types know only in part. */
interface WireConnection {
  readonly stream: { cork(): void; uncork(): void };
  close(message: { type: "S"; name: string }): void;
  parse(message: { name: string; text: string }): void;
  bind(message: { statement: string; values: unknown[] }): void;
  describe(message: { type: "P"; name: string }): void;
  execute(message: { portal: string; rows: number }): void;
  sync(): void;
  sendCopyFail(reason: string): void;
}

function send(
  connection: WireConnection,
  statements: readonly EncodedStatement[],
  prepared: Map<string, string>,
): void {
  connection.stream.cork();
  try {
    for (const { name = "", text, values } of statements) {
      if (name === "" || prepared.get(name) !== text) {
        if (name !== "") {
          // Closing one that does not exist is no error.
          connection.close({ type: "S", name });
          prepared.set(name, text);
        }
        connection.parse({ name, text });
      }
      connection.bind({ statement: name, values });
      connection.describe({ type: "P", name: "" });
      connection.execute({ portal: "", rows: 0 });
    }
    connection.sync();
  } finally {
    connection.stream.uncork();
  }
}
