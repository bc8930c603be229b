/**
 * Claim: durability costs little. A task is 5 model turns, 4 of them with one tool call, about 500 bytes a message; every
 * turn and every result is durable before the next. The model answers at once, so what is measured is the engine.
 *
 * Beside it, in the same run and on the same database: the floor, the same ten steps as bare INSERTs that travel together
 * (one flush at a time gathers the steps of all concurrent tasks), with nothing around them.
 */
import { createHoldfast, defineAgent, defineConfig, defineTool, type Holdfast } from "../src/index.ts";
import { readSettings } from "../src/platform/settings.ts";
import { createCoalescer } from "../src/store/coalescer.ts";
import type { Database } from "../src/store/database.ts";
import { silentLogger } from "../src/telemetry/log.ts";
import type { ModelGateway } from "../src/gateway/model-gateway.ts";
import { measure, type Load, type Measured } from "./measure.ts";

export interface Row extends Measured {
  readonly subject: "holdfast" | "raw coalesced INSERTs" | "bare INSERT, one commit";
  readonly concurrency: number;
  /** Durable writes that a task waits for one after the other. */
  readonly stepsPerTask: number;
  /** Kilobytes of write-ahead log per task; null where the database does not tell. */
  readonly walKb: number | null;
}

const turns = 5;
const text = "x".repeat(400);

export async function measureDurableOverhead(
  database: Database,
  { levels, load }: { levels: readonly number[]; load: Load },
): Promise<Row[]> {
  await database.script("create table bench_entry (task_id uuid, seq int, body json, primary key (task_id, seq))");
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

  const holdfast = await startHoldfast(database);
  await add({ subject: "bare INSERT, one commit", concurrency: 1, stepsPerTask: 1 }, () => bareInsert(database));
  for (const concurrency of levels) {
    const insert = createRawInsert(database);
    await add({ subject: "raw coalesced INSERTs", concurrency, stepsPerTask: turns * 2 }, () => rawTask(insert));
    await add({ subject: "holdfast", concurrency, stepsPerTask: turns * 2 }, () => holdfastTask(holdfast));
  }
  await holdfast.stop();
  return rows;
}

export async function startHoldfast(database: Database): Promise<Holdfast> {
  const lookUp = defineTool({
    name: "look_up",
    version: "1.0.0",
    description: "Looks something up.",
    effect: "read",
    input: { type: "object", properties: { turn: { type: "number" }, text: { type: "string" } } },
    run: () => ({ found: text }),
  });
  const limits = { maxSteps: turns + 1, tokens: 1_000_000 };
  const agent = defineAgent({ name: "bench", instructions: "Look things up.", tools: ["look_up"], limits });
  // The bench owns the database: it outlives this instance.
  const borrowed: Database = { ...database, close: () => Promise.resolve() };
  return createHoldfast(defineConfig({ agents: [agent], tools: [lookUp] }), {
    settings: readSettings({}),
    parts: { database: borrowed, gateway: instantModel, log: silentLogger },
  });
}

/** @param sessionId default: a new session */
export async function holdfastTask(holdfast: Holdfast, sessionId?: string): Promise<void> {
  const task = await holdfast.submit({ prompt: text, sessionId });
  const result = await task.result();
  if (result.stepsUsed !== turns || result.toolCalls !== turns - 1) throw new Error(JSON.stringify(result));
}

/** Answers at once and keeps nothing: what is measured is the engine. */
const instantModel: ModelGateway = {
  call: ({ messages }) => {
    // What came before belongs to earlier tasks of the session.
    const asked = messages.findLastIndex(({ role }) => role === "user");
    const turn = messages.slice(asked).filter(({ role }) => role === "assistant").length;
    const last = turn === turns - 1;
    return Promise.resolve({
      parts: [
        last ? { type: "text", text } : { type: "call", id: `call_${turn}`, tool: "look_up", input: { turn, text } },
      ],
      finish: last ? "stop" : "calls",
      model: "instant/model",
      usage: { input: 10, cached: 0, output: 5, reasoning: 0, estimated: false },
      costMicros: 0,
      ttftMs: 0,
      tpotMs: 0,
      attempts: [],
    });
  },
};

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

export async function rawTask(insert: RawInsert): Promise<void> {
  const task_id = crypto.randomUUID();
  for (let seq = 1; seq <= turns * 2; seq++) await insert({ task_id, seq, body: { text, seq } });
}

async function bareInsert(database: Database): Promise<void> {
  await database.query({
    name: "bench_bare",
    text: "insert into bench_entry values ($1, 1, $2)",
    values: [crypto.randomUUID(), JSON.stringify({ text })],
  });
}

async function walBytes(database: Database): Promise<number | null> {
  if (database.kind === "embedded") return null;
  const sql = "select (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::float8 as bytes";
  const [row] = await database.query<{ bytes: number }>({ text: sql, values: [] });
  return row?.bytes ?? null;
}
