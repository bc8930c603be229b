/** What Postgres counted in one database: the difference of two readings is what a load cost. */
import { Client } from "pg";
import type { MeasuredDatabase, PostgresServer } from "./postgres-server.ts";

export interface Counters {
  /** As clients sent them; null where pg_stat_statements is not loaded. */
  readonly statements: number | null;
  readonly transactions: number;
  readonly inserted: number;
  readonly updated: number;
  readonly deleted: number;
  readonly walBytes: number;
}

export async function readCounters(server: PostgresServer, { name, url }: MeasuredDatabase): Promise<Counters> {
  const statements = server.countsStatements
    ? "(select coalesce(sum(calls), 0) from pg_stat_statements where dbid = db.datid)"
    : "null";
  const { rows } = await server.admin.query<{ statements: string | null; transactions: string; walBytes: string }>(
    `select ${statements} as statements, xact_commit + xact_rollback as transactions,
       pg_current_wal_insert_lsn() - '0/0'::pg_lsn as "walBytes"
     from pg_stat_database db where datname = $1`,
    [name],
  );
  const row = rows[0];
  if (!row) throw new Error(`There is no database ${name}.`);
  return {
    statements: row.statements === null ? null : Number(row.statements),
    transactions: Number(row.transactions),
    walBytes: Number(row.walBytes),
    ...(await readRows(url)),
  };
}

/** Rows of tables as one sees them: of what is stored apart because it is large, the parts are not counted. */
async function readRows(url: string): Promise<{ inserted: number; updated: number; deleted: number }> {
  const client = new Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query<Record<"inserted" | "updated" | "deleted", string>>(
    `select coalesce(sum(n_tup_ins), 0) as inserted, coalesce(sum(n_tup_upd), 0) as updated,
       coalesce(sum(n_tup_del), 0) as deleted from pg_stat_user_tables`,
  );
  await client.end();
  const [row] = rows;
  return { inserted: Number(row?.inserted), updated: Number(row?.updated), deleted: Number(row?.deleted) };
}

export function countersBetween(begin: Counters, end: Counters): Counters {
  const { statements } = begin;
  return {
    statements: statements === null || end.statements === null ? null : end.statements - statements,
    transactions: end.transactions - begin.transactions,
    inserted: end.inserted - begin.inserted,
    updated: end.updated - begin.updated,
    deleted: end.deleted - begin.deleted,
    walBytes: end.walBytes - begin.walBytes,
  };
}

/**
 * Waits until nobody is connected: a backend says what it counted at the latest when it ends, and while it is busy about
 * once a second.
 */
export async function connectionsClosed(server: PostgresServer, database: string): Promise<void> {
  const sql =
    "select count(*)::int as open from pg_stat_activity where datname = $1 and backend_type = 'client backend'";
  for (let round = 0; round < 250; round++) {
    const { rows } = await server.admin.query<{ open: number }>(sql, [database]);
    if (rows[0]?.open === 0) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`Connections to ${database} are still open.`);
}
