/**
 * Plays rounds of steering-scenario.ts on a store, the last one up to a point at which it kills itself.
 *
 * Arguments: JSON of `Orders`. With `dieAt` null it prints, as JSON, the points that the last round came by.
 */
import { existsSync } from "node:fs";
import { migrate } from "../../../src/store/migrate.ts";
import { openPglite } from "../../../src/store/pglite.ts";
import { openPostgres } from "../../../src/store/postgres.ts";
import { migratedSnapshot } from "../databases.ts";
import { openAnswers, startSteering } from "../steering-scenario.ts";
import type { Orders } from "./crash.ts";

const { store, log, leaseMs, unfinished, round, dieAt } = JSON.parse(process.argv[2]!) as Orders;
const points = new Set<string>();
let watching = false;

async function reach(point: string): Promise<void> {
  if (!watching) return;
  points.add(point);
  if (point !== dieAt) return;
  // What was handed to the socket a moment ago is on its way.
  if (point.endsWith(": under way")) await new Promise(setImmediate);
  process.kill(process.pid, "SIGKILL");
  await new Promise(() => {});
}

const database = store.startsWith("postgres")
  ? await openPostgres({ url: store })
  : await openPglite({ dataDir: store, ...(!existsSync(store) && { snapshot: await migratedSnapshot() }) });
await migrate(database);
const scenario = await startSteering({ database, answers: openAnswers(log), reach, leaseMs });
for (const each of unfinished) await scenario.play(each);
watching = true;
if (round !== null) await scenario.play(round);
watching = false;
await scenario.stop();
console.log(JSON.stringify([...points]));
