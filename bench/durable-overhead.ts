/**
 * Claim: durability costs little. The work is that of work.ts, twice: with a tool that waits until the turn that asked for
 * it is durable, and with one that only reads and need not. The model answers at once: what is measured is the engine.
 *
 * Beside it, in the same run and on the same database: the floor, the same ten steps as bare INSERTs that travel together
 * (one flush at a time gathers the steps of all concurrent tasks), with nothing around them.
 */
import type { Effect } from "../src/agent/journal.ts";
import { createCoalescer } from "../src/store/coalescer.ts";
import type { Database } from "../src/store/database.ts";
import { walBytes } from "./databases.ts";
import { runTask, startHoldfast } from "./holdfast.ts";
import { measure, type Load, type Measured } from "./measure.ts";
import { stepsPerTask } from "./work.ts";

export interface Row extends Measured {
  readonly subject: "Holdfast" | "Holdfast, tool reads" | "raw coalesced INSERTs" | "bare INSERT, one commit";
  readonly concurrency: number;
  /** Messages that have to become durable, for each its own row. */
  readonly stepsPerTask: number;
  /** Kilobytes of write-ahead log per task; null where the database does not tell. */
  readonly walKb: number | null;
}

const text = "x".repeat(400);

export async function measureDurableOverhead(
  database: Database,
  { levels, load }: { levels: readonly number[]; load: Load },
): Promise<Row[]> {
  await createRawTable(database);
  const rows: Row[] = [];
  const add = async (
    row: Pick<Row, "subject" | "concurrency" | "stepsPerTask">,
    task: () => Promise<void>,
  ): Promise<void> => {
    const walBefore = await walBytes(database);
    const measured = await measure(task, { ...load, concurrency: row.concurrency });
    const walAfter = await walBytes(database);
    const walKb = walBefore === null || walAfter === null ? null : (walAfter - walBefore) / measured.allTasks / 1024;
    rows.push({ ...row, ...measured, walKb });
  };

  const addHoldfast = async (subject: Row["subject"], concurrency: number, effect: Effect): Promise<void> => {
    const holdfast = await startHoldfast({ database, effect });
    await add({ subject, concurrency, stepsPerTask }, () => runTask(holdfast));
    await holdfast.stop();
  };

  await add({ subject: "bare INSERT, one commit", concurrency: 1, stepsPerTask: 1 }, () => bareInsert(database));
  for (const concurrency of levels) {
    const insert = createRawInsert(database);
    await add({ subject: "raw coalesced INSERTs", concurrency, stepsPerTask }, () => rawTask(insert));
    await addHoldfast("Holdfast", concurrency, "idempotent");
    await addHoldfast("Holdfast, tool reads", concurrency, "read");
  }
  return rows;
}

export async function createRawTable(database: Database): Promise<void> {
  await database.script("create table bench_entry (task_id uuid, seq int, body json, primary key (task_id, seq))");
}

type RawInsert = (row: { task_id: string; seq: number; body: unknown }) => Promise<undefined>;

export function createRawInsert(database: Database): RawInsert {
  return createCoalescer<Parameters<RawInsert>[0], undefined>({
    maxItems: 500,
    flush: async (rows) => {
      await database.query({
        name: "bench_raw",
        text: `insert into bench_entry select * from unnest($1::uuid[], $2::int[], $3::json[])`,
        values: [
          rows.map(({ task_id }) => task_id),
          rows.map(({ seq }) => seq),
          rows.map(({ body }) => JSON.stringify(body)),
        ],
      });
      return rows.map(() => undefined);
    },
  });
}

async function rawTask(insert: RawInsert): Promise<void> {
  const task_id = crypto.randomUUID();
  for (let seq = 1; seq <= stepsPerTask; seq++) await insert({ task_id, seq, body: { text, seq } });
}

async function bareInsert(database: Database): Promise<void> {
  await database.query({
    name: "bench_bare",
    text: "insert into bench_entry values ($1, 1, $2)",
    values: [crypto.randomUUID(), JSON.stringify({ text })],
  });
}
