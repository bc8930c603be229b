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
  const dataDir = await mkdtemp(join(tmpdir(), "holdfast-bench-"));
  const embedded = await openPglite({ dataDir });
  await migrate(embedded);
  yield { name: "PGlite, on disk (it never calls fsync)", database: embedded };
  await embedded.close();
  await rm(dataDir, { recursive: true });
  yield* serverToMeasure();
}

/** Only the server, for what the embedded database in this process would blur. */
export async function* serverToMeasure(): AsyncGenerator<{ name: string; database: Database }> {
  const server = await createServerDatabase();
  if (server === undefined) return console.log("\nPostgreSQL is not reachable: it is left out.");
  const database = await openPostgres({ url: server.url });
  await migrate(database);
  yield { name: "PostgreSQL", database };
  await database.close();
  await server.drop();
}
