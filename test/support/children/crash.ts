/**
 * Plays rounds of crash-scenario.ts on a store, the last one up to a point at which it kills itself.
 *
 * Arguments: JSON of Orders. With `dieAt` null it prints, as JSON, the points that the last round came by.
 */
import { existsSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import type { Database } from "../../../src/store/database.ts";
import { migrate } from "../../../src/store/migrate.ts";
import { openPglite } from "../../../src/store/pglite.ts";
import { openPostgres } from "../../../src/store/postgres.ts";
import { openLog, playRound, startScenario } from "../crash-scenario.ts";
import { reportWrites } from "../crashing-database.ts";
import { migratedSnapshot } from "../databases.ts";

export interface Orders {
  /** A data directory, or the URL of a server. */
  readonly store: string;
  readonly log: string;
  readonly leaseMs: number;
  /** The rounds that other processes began: they are brought to an end first. */
  readonly unfinished: readonly string[];
  readonly round: string | null;
  readonly dieAt: string | null;
}

// A process that lives for a second has nothing from an optimised PGlite: without, it costs half the time.
for (const flag of ["--no-wasm-tier-up", "--no-wasm-dynamic-tiering"]) setFlagsFromString(flag);

const orders = JSON.parse(process.argv[2]!) as Orders;
const points = new Set<string>();
let watching = false;

async function reach(point: string): Promise<void> {
  if (!watching) return;
  points.add(point);
  if (point !== orders.dieAt) return;
  // What was handed to the socket a moment ago is on its way.
  if (point.endsWith(": under way")) await new Promise(setImmediate);
  process.kill(process.pid, "SIGKILL");
  await new Promise(() => {});
}

async function openStore(): Promise<Database> {
  if (orders.store.startsWith("postgres")) return openPostgres({ url: orders.store });
  // The snapshot is large: it is read for a new directory only.
  return openPglite({
    dataDir: orders.store,
    ...(!existsSync(orders.store) && { snapshot: await migratedSnapshot() }),
  });
}

const database = await openStore();
await migrate(database);
const log = openLog(orders.log);
const { leaseMs } = orders;
const holdfast = await startScenario({ database: reportWrites(database, reach), log, reach, leaseMs });
for (const round of orders.unfinished) await playRound(holdfast, round, log);
watching = true;
if (orders.round !== null) await playRound(holdfast, orders.round, log);
watching = false;
await holdfast.stop();
console.log(JSON.stringify([...points]));
