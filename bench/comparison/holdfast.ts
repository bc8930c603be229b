/** Holdfast among the others. The variant `reads` has a tool that only reads. */
import { migrate } from "../../src/store/migrate.ts";
import { openPostgres } from "../../src/store/postgres.ts";
import { runTask, startHoldfast } from "../holdfast.ts";
import { countRows } from "./count-rows.ts";
import { runSubject } from "./subject.ts";

const stepsSql = "select (select count(*) from task) + (select count(*) from entry) as count";

await runSubject({
  prepare: async ({ databaseUrl }) => {
    const database = await openPostgres({ url: databaseUrl });
    await migrate(database);
    await database.close();
  },
  start: async ({ databaseUrl, variant }) => {
    const effect = variant === "reads" ? "read" : "idempotent";
    const holdfast = await startHoldfast({ database: databaseUrl, effect });
    return {
      runTask: () => runTask(holdfast),
      durableSteps: () => countRows(databaseUrl, stepsSql),
      stop: () => holdfast.stop(),
    };
  },
});
