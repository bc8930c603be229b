/**
 * The port to Postgres. One dialect (PostgreSQL 15), two implementations: PGlite inside the process, and a server.
 *
 * There are no interactive transactions: a transaction is a `batch` of statements that are all known beforehand, sent in
 * one round trip, so no connection is ever held across an await of ours.
 *
 * Values, the same on both implementations:
 *
 * | in SQL | as a result | as a parameter |
 * |---|---|---|
 * | smallint, integer, bigint, real, double precision, numeric | number; an integer beyond 2^53 is an assertion error | number |
 * | timestamptz | whole milliseconds since the epoch, never a Date | milliseconds, and `to_timestamp($1::float8 / 1000.0)` |
 * | json, jsonb | parsed | text made by `encodeJson`, and `$1::jsonb` |
 * | bytea | Buffer | Uint8Array |
 * | text, uuid | string | string |
 * | boolean | boolean | boolean |
 * | arrays of these | array | array of strings, numbers or booleans, and `$1::uuid[]` |
 * | null | null | null or undefined |
 * | any other type | its text | its text |
 *
 * Any other parameter (an object, a Date) is an error: how it is stored must be said by the caller.
 */
export interface Database {
  readonly kind: "embedded" | "server";
  /** @throws StoreError */
  query<Row>(statement: Statement): Promise<Row[]>;
  /**
   * Runs the statements in one transaction, none of another's between them; answers the rows of each. Any error undoes
   * all, and it is the first one that is thrown. The transaction is PostgreSQL's implicit one, in which `lock table`,
   * savepoints and cursors are refused; row and advisory locks hold until its end as in any other. @throws StoreError
   */
  batch(statements: readonly Statement[]): Promise<Record<string, unknown>[][]>;
  /** Runs a script of several statements without parameters, in one transaction and without a time limit. For migrations. */
  script(sql: string): Promise<void>;
  /**
   * Calls `onPayload` for each NOTIFY on the channel, reconnecting by itself; a lost notification is possible and allowed.
   * The channel is a plain lower-case name. Rejects if the first attempt to listen fails.
   * @returns a function that stops it
   */
  listen(channel: string, onPayload: (payload: string) => void): Promise<() => Promise<void>>;
  /**
   * Holds an advisory lock for as long as this process lives, by which others see at once that it died. It is taken in the
   * background, and taken again whenever it was lost.
   */
  holdLock(): ProcessLock;
  /** Waits for what runs, then lets go of everything; every later call is a StoreError `store_closed`. */
  close(): Promise<void>;
}

export interface ProcessLock {
  /** Null while it is not held. */
  readonly held: HeldLock | null;
  /** Calls the listener whenever `held` has changed. @returns a function that stops it */
  onChange(listener: () => void): () => void;
  release(): Promise<void>;
}

export interface HeldLock {
  /** Of `pg_advisory_lock`, a bigint; another one whenever it is taken, so that no lost session is in its way. */
  readonly key: string;
  /**
   * From then on (`Clock.monotonic`) a free lock of another process means that it is dead. Before, it may only not be back
   * yet, after the same outage that this one comes from.
   */
  readonly settledAt: number;
}

export interface Statement {
  /**
   * Names a prepared statement: for the hot ones, so that they are parsed and planned once per connection. The set of
   * names must be small and fixed.
   */
  readonly name?: string;
  readonly text: string;
  readonly values: readonly unknown[];
}
