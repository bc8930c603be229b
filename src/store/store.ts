/** Everything that is durable, as functions, over one database. */
import { createCommands } from "./commands.ts";
import type { Database } from "./database.ts";
import { createReads } from "./reads.ts";
import { createResults } from "./results.ts";
import { createUpkeep } from "./upkeep.ts";
import { createWorkerWrites } from "./worker-writes.ts";

export type Store = ReturnType<typeof createStore>;

export function createStore(database: Database) {
  return {
    database,
    ...createWorkerWrites(database),
    ...createCommands(database),
    ...createReads(database),
    ...createUpkeep(database),
    ...createResults(database),
  };
}
