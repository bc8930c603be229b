/**
 * The floor: the ten steps of a task as bare INSERTs that wait for one another, with no engine around them. Those of
 * concurrent tasks travel together, one flush at a time.
 */
import { migrate } from "../../src/store/migrate.ts";
import { openPostgres } from "../../src/store/postgres.ts";
import { createRawInsert, createRawTable } from "../durable-overhead.ts";
import { prompt, runTurns } from "../work.ts";
import { countRows } from "./count-rows.ts";
import { runSubject } from "./subject.ts";

await runSubject({
  prepare: async ({ databaseUrl }) => {
    const database = await openPostgres({ url: databaseUrl });
    await migrate(database);
    await createRawTable(database);
    await database.close();
  },
  start: async ({ databaseUrl }) => {
    const database = await openPostgres({ url: databaseUrl });
    const insert = createRawInsert(database);
    return {
      runTask: async () => {
        const task_id = crypto.randomUUID();
        let seq = 1;
        await insert({ task_id, seq, body: { text: prompt } });
        await runTurns(async (_name, perform) => {
          const body = await perform();
          seq += 1;
          await insert({ task_id, seq, body });
          return body;
        });
      },
      durableSteps: () => countRows(databaseUrl, "select count(*) from bench_entry"),
      stop: () => database.close(),
    };
  },
});
