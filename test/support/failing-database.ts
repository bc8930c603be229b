/** A database that goes away when a test says so: before a call reaches it, or after it has committed. */
import type { Database } from "../../src/store/database.ts";
import { StoreError } from "../../src/store/store-error.ts";

export type Outage = "before" | "after" | null;

/** @param outageOf asked for the n-th call, from 1 */
export function failingDatabase(
  database: Database,
  outageOf: (call: number) => Outage,
): Database & { calls(): number } {
  let calls = 0;
  const through = async <Result>(run: () => Promise<Result>): Promise<Result> => {
    const outage = outageOf(++calls);
    if (outage === "before") throw unavailable();
    const result = await run();
    if (outage === "after") throw unavailable();
    return result;
  };
  return {
    ...database,
    // Not alone: several of them share the database under it.
    kind: "server",
    query: (statement) => through(() => database.query(statement)),
    batch: (statements) => through(() => database.batch(statements)),
    close: () => Promise.resolve(),
    calls: () => calls,
  };
}

function unavailable(): StoreError {
  return new StoreError("store_unavailable", "The connection was lost.");
}
