/** Everything that is durable, as functions, over one database. */
import { createAnswers } from "./answers.ts";
import { createCacheLookups } from "./cache-lookups.ts";
import { createCommands } from "./commands.ts";
import type { Database } from "./database.ts";
import { createGates } from "./gates.ts";
import { createDeferred } from "./deferred.ts";
import { createLedger } from "./ledger.ts";
import { createExperimentStore } from "./experiments.ts";
import { createReads } from "./reads.ts";
import { createResponseTexts } from "./response-texts.ts";
import { createResults } from "./results.ts";
import { createUpkeep } from "./upkeep.ts";
import { createVirtualKeyStore } from "./virtual-keys.ts";
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
    ...createExperimentStore(database),
    ...createGates(database),
    ...createLedger(database),
    ...createAnswers(database),
    ...createCacheLookups(database),
    ...createVirtualKeyStore(database),
    ...createResponseTexts(database),
    ...createDeferred(database),
  };
}
