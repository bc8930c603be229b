/** What is done for all processes by one of them: deleting what is past its retention. */
import { assert } from "../platform/errors.ts";
import type { Database, Statement } from "./database.ts";
import { pruneAnswersStatement } from "./queries/answers.ts";
import {
  beginUpkeepStatement,
  claimableStatement,
  pruneTasksStatement,
  pruneUsageStatement,
  pruneValuesStatement,
  type PrunedTasks,
  type PrunedUsage,
  type PrunedValues,
  type PruneTasks,
  type PruneUsage,
  type PruneValues,
} from "./queries/retention.ts";
import { pruneResultsStatement } from "./queries/results.ts";

export function createUpkeep(database: Database) {
  const one = async <Row>(statement: Statement): Promise<Row> => {
    const [row] = await database.query<Row>(statement);
    assert(row !== undefined, "A statement that always answers a row answered none.");
    return row;
  };
  return {
    pruneTasks: (prune: PruneTasks) => one<PrunedTasks>(pruneTasksStatement(prune)),
    pruneValues: (prune: PruneValues) => one<PrunedValues>(pruneValuesStatement(prune)),
    pruneAnswers: async (prune: { limit: number; dryRun: boolean }) =>
      (await one<{ answers: number }>(pruneAnswersStatement(prune))).answers,
    pruneResults: async (prune: { keptMs: number; limit: number; dryRun: boolean }) =>
      (await one<{ results: number }>(pruneResultsStatement(prune))).results,
    pruneUsage: (prune: PruneUsage) => one<PrunedUsage>(pruneUsageStatement(prune)),
    /** False: another process began within `everyMs`. */
    beginUpkeep: async (upkeep: { name: string; everyMs: number }) =>
      (await database.query(beginUpkeepStatement(upkeep))).length > 0,
    claimable: async (most: number) => (await one<{ claimable: number }>(claimableStatement(most))).claimable,
  };
}
