/** The ledger: what calls to models used and cost. What tasks use is written with their journals. */
import { createCoalescer } from "./coalescer.ts";
import type { Database } from "./database.ts";
import { usageReportStatement, type UsageReport, type UsageSum } from "./queries/usage-report.ts";
import { usageStatement, type UsageRow } from "./queries/usage.ts";

/** More travel in the next flush. */
const mostPerFlush = 500;

export function createLedger(database: Database) {
  return {
    /** Writes down calls that are no task's. It may be repeated: a row is written once. */
    recordUsage: createCoalescer<readonly UsageRow[], void>({
      maxItems: mostPerFlush,
      flush: async (calls) => {
        const rows = calls.flat();
        if (rows.length > 0) await database.query(usageStatement(rows));
        return calls.map(() => undefined);
      },
    }),
    usage: (report: UsageReport) => database.query<UsageSum>(usageReportStatement(report)),
  };
}
