/** The outbox of results; see queries/results.ts. */
import type { Database } from "./database.ts";
import {
  deleteResultsStatement,
  takeResultsStatement,
  wantResultStatement,
  type OutgoingResult,
} from "./queries/results.ts";
import type { TaskKey } from "./queries/tasks.ts";

export function createResults(database: Database) {
  return {
    wantResult: (wish: TaskKey & { carrier: string }) => database.query(wantResultStatement(wish)),
    /** Nobody else takes them for `leaseMs`. */
    takeResults: (take: { carrier: string; limit: number; leaseMs: number }) =>
      database.query<OutgoingResult>(takeResultsStatement(take)),
    deleteResults: (rowIds: readonly number[]) => database.query(deleteResultsStatement(rowIds)),
  };
}
