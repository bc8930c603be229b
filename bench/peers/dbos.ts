/** DBOS: a workflow in the process, a step per model turn and per tool call. */
import { DBOS } from "@dbos-inc/dbos-sdk";
import { countRows } from "../comparison/count-rows.ts";
import { poolSize, runSubject } from "../comparison/subject.ts";
import { answer, prompt, runTurns } from "../work.ts";

const stepsSql = `
  select (select count(*) from dbos.workflow_status) + (select count(*) from dbos.operation_outputs) as count`;

const workflow = DBOS.registerWorkflow(
  async (input: string): Promise<string> => {
    if (input !== prompt) throw new Error("The input was lost.");
    return runTurns((name, perform) => DBOS.runStep(perform, { name }));
  },
  { name: "agent" },
);

async function launch(databaseUrl: string): Promise<void> {
  DBOS.setConfig({
    name: "bench",
    systemDatabaseUrl: databaseUrl,
    systemDatabasePoolSize: poolSize,
    logLevel: "error",
  });
  await DBOS.launch();
}

await runSubject({
  prepare: async ({ databaseUrl }) => {
    await launch(databaseUrl);
    await DBOS.shutdown();
  },
  start: async ({ databaseUrl }) => {
    await launch(databaseUrl);
    return {
      runTask: async () => {
        const handle = await DBOS.startWorkflow(workflow)(prompt);
        if ((await handle.getResult()) !== answer) throw new Error("The task ended otherwise than it should.");
      },
      durableSteps: () => countRows(databaseUrl, stepsSql),
      stop: () => DBOS.shutdown(),
    };
  },
});
