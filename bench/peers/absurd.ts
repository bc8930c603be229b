/**
 * Absurd: a task on its queue, a checkpoint per model turn and per tool call, one worker in the process. A client learns
 * that its task has ended from the table of tasks, by one query for all that wait, every 10 ms: the SDK's own wait asks for
 * each task by itself and backs off. The variant is the seconds between two polls of an idle worker; empty: the default.
 */
import { readFile } from "node:fs/promises";
import { Absurd } from "absurd-sdk";
import { Client, Pool } from "pg";
import { countRows } from "../comparison/count-rows.ts";
import { poolSize, runSubject } from "../comparison/subject.ts";
import { prompt, runTurns } from "../work.ts";

const pollMs = 10;

const stepsSql = `
  select (select count(*) from absurd.t_bench) + (select count(*) from absurd.c_bench) as count`;

await runSubject({
  prepare: async ({ databaseUrl, absurdSql }) => {
    const client = new Client({ connectionString: databaseUrl });
    await client.connect();
    await client.query(await readFile(absurdSql, "utf8"));
    await client.end();
    const absurd = new Absurd({ db: databaseUrl, queueName: "bench" });
    await absurd.createQueue("bench");
    await absurd.close();
  },
  start: async ({ databaseUrl, variant }) => {
    const pool = new Pool({ connectionString: databaseUrl, max: poolSize });
    const absurd = new Absurd({ db: pool, queueName: "bench" });
    absurd.registerTask<{ prompt: string }>({ name: "agent" }, async (_params, context) => {
      const text = await runTurns((name, perform) => context.step(name, perform));
      return { text };
    });
    const worker = await absurd.startWorker({
      concurrency: 128,
      ...(variant === "" ? {} : { pollInterval: Number(variant) }),
    });
    const ends = watchEnds(pool);
    return {
      runTask: async () => {
        const { taskID } = await absurd.spawn("agent", { prompt });
        const state = await ends.of(taskID);
        if (state !== "completed") throw new Error(`The task ended otherwise than it should: ${state}.`);
      },
      durableSteps: () => countRows(databaseUrl, stepsSql),
      stop: async () => {
        await ends.stop();
        await worker.close();
        await absurd.close();
        await pool.end();
      },
    };
  },
});

interface Ends {
  /** The state that a task ends in. */
  readonly of: (taskId: string) => Promise<string>;
  readonly stop: () => Promise<void>;
}

function watchEnds(pool: Pool): Ends {
  const waiting = new Map<string, (state: string) => void>();
  let stopped = false;
  const look = async (): Promise<void> => {
    const { rows } = await pool.query<{ task_id: string; state: string }>({
      name: "ends",
      text: `select task_id, state from absurd.t_bench
        where task_id = any($1::uuid[]) and state in ('completed', 'failed', 'cancelled')`,
      values: [[...waiting.keys()]],
    });
    for (const { task_id, state } of rows) {
      waiting.get(task_id)?.(state);
      waiting.delete(task_id);
    }
  };
  const watch = async (): Promise<void> => {
    while (!stopped) {
      if (waiting.size > 0) await look();
      await new Promise((resolve) => setTimeout(resolve, pollMs));
    }
  };
  const watching = watch();
  return {
    of: (taskId) => new Promise((resolve) => waiting.set(taskId, resolve)),
    stop: () => {
      stopped = true;
      return watching;
    },
  };
}
