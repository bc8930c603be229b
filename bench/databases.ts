/** The databases that are measured: an embedded one on disk, and a fresh one on a server if there is a server. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Database } from "../src/store/database.ts";
import { openPglite } from "../src/store/pglite.ts";
import { migrate } from "../src/store/migrate.ts";
import { openPostgres } from "../src/store/postgres.ts";
import { createServerDatabase } from "../test/support/databases.ts";

export async function* databasesToMeasure(): AsyncGenerator<{ name: string; database: Database }> {
  yield* embeddedToMeasure();
  await using server = await openServer();
  if (server === undefined) return console.log("\nPostgreSQL is not reachable: it is left out.");
  yield { name: "PostgreSQL", database: server.database };
}

async function* embeddedToMeasure(): AsyncGenerator<{ name: string; database: Database }> {
  await using open = new AsyncDisposableStack();
  const dataDir = open.adopt(await mkdtemp(join(tmpdir(), "holdfast-bench-")), (path) => rm(path, { recursive: true }));
  const database = open.adopt(await openPglite({ dataDir }), (embedded) => embedded.close());
  await migrate(database);
  yield { name: "PGlite, on disk (it never calls fsync)", database };
}

/** A fresh database on the server, gone when it is disposed of; undefined where there is no server. */
export async function openServer(): Promise<({ readonly database: Database } & AsyncDisposable) | undefined> {
  const server = await createServerDatabase();
  if (server === undefined) return undefined;
  const database = await openPostgres({ url: server.url });
  await migrate(database);
  return {
    database,
    async [Symbol.asyncDispose]() {
      await database.close();
      await server.drop();
    },
  };
}

/** How much write-ahead log there has been; null of the embedded database, which does not tell. */
export async function walBytes(database: Database): Promise<number | null> {
  if (database.kind === "embedded") return null;
  const text = "select (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::float8 as bytes";
  const [row] = await database.query<{ bytes: number }>({ text, values: [] });
  return row?.bytes ?? null;
}
