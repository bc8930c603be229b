/** How often the caches of answers and of prompts hit, in all processes. */
import type { Database } from "./database.ts";
import {
  addCacheLookupsStatement,
  cacheLookupsStatement,
  promptCachingStatement,
  type CacheLookupRow,
  type PromptCachingRow,
} from "./queries/cache-lookups.ts";

export function createCacheLookups(database: Database) {
  return {
    addCacheLookups: async (rows: readonly CacheLookupRow[]): Promise<void> => {
      if (rows.length > 0) await database.query(addCacheLookupsStatement(rows));
    },
    cacheLookups: (since: { hours: number; limit: number }) =>
      database.query<CacheLookupRow>(cacheLookupsStatement(since)),
    promptCaching: (since: { hours: number; limit: number }) =>
      database.query<PromptCachingRow>(promptCachingStatement(since)),
  };
}
