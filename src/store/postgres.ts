/**
 * A PostgreSQL server, through a pool of connections.
 *
 * A query or a batch takes a connection for one round trip. A connection that is lost fails what ran on it with
 * `store_unavailable` and is forgotten; the next query gets a fresh one. Whatever happens there is an answer in bounded
 * time: to connect, or to wait for a free connection, takes at most 5 s; the server cancels a statement after 10 s; and
 * if even that does not arrive, because the network is gone, the connection is cut 2 s later, and every idle one with it.
 */
import { callbackify } from "node:util";
import { type ClientBase, Client, Pool, type PoolClient } from "pg";
import { assert, HoldfastError } from "../platform/errors.ts";
import { type Clock, systemClock } from "../platform/clock.ts";
import { type Random, systemRandom } from "../platform/random.ts";
import type { Database } from "./database.ts";
import { encodeStatement } from "./encode-parameter.ts";
import { createOutageLog, type OutageLog } from "./outage-log.ts";
import { createPostgresBatch } from "./postgres-batch.ts";
import { createPostgresListener } from "./postgres-listener.ts";
import { createPostgresLocks } from "./postgres-locks.ts";
import { cut } from "./signs-of-life.ts";
import { closedError, driverMessage, isUnavailable, toStoreError } from "./store-error.ts";

export interface PostgresOptions {
  /** postgres://user:password@host:port/database, with the driver's parameters. */
  readonly url: string;
  readonly poolSize?: number;
  readonly clock?: Clock;
  readonly random?: Random;
  /** Told when there is trouble with the server, and when it is over. */
  readonly log?: (message: string) => void;
}

const connectTimeoutMs = 5_000;
const statementTimeoutMs = 10_000;
const answerTimeoutMs = statementTimeoutMs + 2_000;
const oldestVersion = 15;

/** @throws HoldfastError `database_url_invalid`, `database_unreachable`, `postgres_too_old` */
export async function openPostgres(options: PostgresOptions): Promise<Database> {
  const { url, poolSize = 10, clock = systemClock, random = systemRandom, log = () => {} } = options;
  const where = describeServer(url);
  const outage = createOutageLog({ where, clock, log });
  const connection = {
    connectionString: url,
    connectionTimeoutMillis: connectTimeoutMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    fallback_application_name: "holdfast",
  };
  const pool = new Pool({
    ...connection,
    max: poolSize,
    idleTimeoutMillis: 60_000,
    verify: callbackify(prepareSession),
  });
  // Without a listener of its own, the loss of a connection in use would end the process; what ran on it is told anyway.
  pool.on("connect", (client) => client.on("error", () => {}));
  pool.on("error", (error) => outage.failed(error));
  const lendFromPool = createLending({ pool, clock, outage });
  try {
    await checkVersion(pool, where);
  } catch (error) {
    await pool.end();
    throw error;
  }
  const connect = async (): Promise<Client> => {
    const client = new Client({ ...connection, pipeline: true, query_timeout: connectTimeoutMs });
    client.on("error", (error) => outage.failed(error));
    await client.connect();
    await client.query(`select ${keepalive}`);
    return client;
  };
  const standing = { connect, clock, random, outage };
  const [listener, locks] = [createPostgresListener(standing), createPostgresLocks(standing)];
  return createDatabase({ pool, lendFromPool, listener, locks });
}

/** Host, port and database, never the password. */
function describeServer(url: string): string {
  try {
    const { host, port, database } = new Client({ connectionString: url });
    return `${host}:${port}/${database}`;
  } catch {
    // The cause is left out: it quotes the URL, and with it the password.
    throw new HoldfastError(
      "database_url_invalid",
      "DATABASE_URL is not a PostgreSQL URL. It should look like postgres://user:password@host:5432/database.",
    );
  }
}

// So that the server, too, ends a session within half a minute whose client is gone without a word, and with it its locks.
const keepalive = `set_config('tcp_keepalives_idle', '10', false), set_config('tcp_keepalives_interval', '5', false),
                   set_config('tcp_keepalives_count', '3', false)`;

// Sent as a query and not in the startup message, which poolers refuse. Every table here begins empty and grows: a plan
// made while it is small would scan it whole, and a prepared statement keeps its plan. All that we ask has an index.
async function prepareSession(client: ClientBase): Promise<void> {
  const settings = {
    text: `select set_config('statement_timeout', $1, false), set_config('timezone', 'UTC', false),
                  set_config('datestyle', 'ISO', false), set_config('bytea_output', 'hex', false),
                  set_config('enable_seqscan', 'off', false), set_config('jit', 'off', false)`,
    values: [String(statementTimeoutMs)],
    query_timeout: connectTimeoutMs,
  };
  await client.query(settings);
}

async function checkVersion(pool: Pool, where: string): Promise<void> {
  let version: number;
  try {
    const { rows } = await pool.query<{ version: string }>("select current_setting('server_version_num') as version");
    version = Number(rows[0]?.version);
  } catch (error) {
    throw new HoldfastError(
      "database_unreachable",
      `PostgreSQL at ${where} cannot be used: ${driverMessage(error)}. ` + "Start the server, or correct DATABASE_URL.",
      { retry: isUnavailable(toStoreError(error)) ? { afterMs: 1000 } : "never", cause: error },
    );
  }
  assertVersion(version, where);
}

/** @param version as `server_version_num` says it: 150020 is 15.20 */
export function assertVersion(version: number, where: string): void {
  const major = Math.floor(version / 10_000);
  if (major >= oldestVersion) return;
  throw new HoldfastError(
    "postgres_too_old",
    `PostgreSQL at ${where} is version ${major}; Holdfast needs ${oldestVersion} or newer. Upgrade it, or use another server.`,
  );
}

interface ServerDeps {
  readonly pool: Pool;
  readonly lendFromPool: Lend;
  readonly listener: ReturnType<typeof createPostgresListener>;
  readonly locks: ReturnType<typeof createPostgresLocks>;
}

type Lend = <T>(timeoutMs: number, use: (client: PoolClient) => Promise<T>) => Promise<T>;

/** Lends connections of the pool for one use each; one that failed is not given back. */
function createLending({ pool, clock, outage }: { pool: Pool; clock: Clock; outage: OutageLog }): Lend {
  const clients = new Set<PoolClient>();
  const lent = new Set<PoolClient>();
  pool.on("connect", (client) => clients.add(client)).on("remove", (client) => clients.delete(client));

  async function lend<T>(timeoutMs: number, use: (client: PoolClient) => Promise<T>): Promise<T> {
    let client: PoolClient;
    try {
      client = await pool.connect();
    } catch (error) {
      throw noted(error);
    }
    const stopTimer = timeoutMs === Infinity ? () => {} : clock.timer(timeoutMs, () => cutAll(client));
    let lost = false;
    lent.add(client);
    try {
      const result = await use(client);
      outage.answered();
      return result;
    } catch (thrown) {
      const error = noted(thrown);
      // A statement that the server cancelled leaves a good connection; to replace it as well does no harm.
      lost = isUnavailable(error);
      throw error;
    } finally {
      stopTimer();
      lent.delete(client);
      client.release(lost);
    }
  }

  function noted(thrown: unknown): HoldfastError {
    const error = toStoreError(thrown);
    if (isUnavailable(error)) outage.failed(error.cause ?? error);
    return error;
  }

  /** A server that answers not even with an error is gone, or the way to it: idle connections would be found to be as dead. */
  function cutAll(client: PoolClient): void {
    cut(client, `no answer from PostgreSQL within ${answerTimeoutMs} ms`);
    for (const other of clients) if (!lent.has(other)) cut(other, "no answer on another connection");
  }

  return lend;
}

function createDatabase({ pool, lendFromPool, listener, locks }: ServerDeps): Database {
  const preparedByClient = new WeakMap<PoolClient, Map<string, string>>();
  let closing: Promise<void> | undefined;

  const lend: Lend = (timeoutMs, use) =>
    closing === undefined ? lendFromPool(timeoutMs, use) : Promise.reject(closedError());

  async function batch(statements: Parameters<Database["batch"]>[0]): Promise<Record<string, unknown>[][]> {
    if (statements.length === 0) return [];
    const encoded = statements.map(encodeStatement);
    return lend(answerTimeoutMs, (client) => {
      const prepared = preparedByClient.get(client) ?? new Map<string, string>();
      preparedByClient.set(client, prepared);
      return client.query(createPostgresBatch(encoded, prepared)).results;
    });
  }

  async function close(): Promise<void> {
    await Promise.all([listener.close(), locks.close()]);
    await pool.end();
  }

  return {
    kind: "server",
    query: async <Row>(statement: Parameters<Database["query"]>[0]) => (await batch([statement]))[0] as Row[],
    batch,
    script: (sql) =>
      lend(Infinity, async (client) => {
        await client.query(`select set_config('statement_timeout', '0', true);\n${sql}`);
      }),
    listen: async (channel, onPayload) => {
      assert(/^[a-z_][a-z0-9_]*$/.test(channel), `"${channel}" is not a plain lower-case name for a channel.`);
      if (closing !== undefined) throw closedError();
      return listener.listen(channel, onPayload);
    },
    holdLock: () => {
      if (closing !== undefined) throw closedError();
      return locks.hold();
    },
    close: () => (closing ??= close()),
  };
}
