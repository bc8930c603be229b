/**
 * Claims: a step of a long task costs what one of a short task costs; 100,000 tasks that wait cost a worker no memory, and
 * finding those whose time has come stays cheap; 10,000 tasks in flight fit into one process.
 *
 * The memory is that of this process, after the garbage collector has run, with the database on a server beside it.
 */
import { createHoldfast, defineAgent, defineConfig, defineTool, type Holdfast } from "../src/index.ts";
import type { ModelGateway } from "../src/gateway/model-gateway.ts";
import { readSettings } from "../src/platform/settings.ts";
import type { Database } from "../src/store/database.ts";
import { silentLogger } from "../src/telemetry/log.ts";
import { scriptedGateway } from "../src/testing/scripted-model.ts";
import { borrowed } from "../test/support/running-holdfast.ts";
import { walBytes } from "./databases.ts";
import { collectGarbage } from "./garbage.ts";
import { percentile } from "./measure.ts";

const text = "x".repeat(400);
const limits = { maxSteps: 1_000_000, tokens: 1_000_000_000 };

const lookUp = defineTool({
  name: "look_up",
  version: "1.0.0",
  description: "Looks something up.",
  effect: "read",
  input: { type: "object", properties: { turn: { type: "number" } } },
  run: () => ({ found: text }),
});

async function start(database: Database, gateway: ModelGateway, slots: number): Promise<Holdfast> {
  const agent = defineAgent({ name: "bench", instructions: "Look things up.", tools: ["look_up"], limits });
  const config = defineConfig({ agents: [agent], tools: [lookUp], slots, maxWaiting: slots + 1_000_000 });
  return createHoldfast(config, {
    settings: readSettings({}),
    parts: { database: borrowed(database), gateway, log: silentLogger },
  });
}

/** A task for each number of steps, one after the other. */
export async function measureCostGrowth(
  database: Database,
  steps: readonly number[],
): Promise<Record<string, unknown>[]> {
  const rows = [];
  for (const count of steps) {
    const gateway = scriptedGateway(({ messages }) => {
      const turn = messages.filter(({ role }) => role === "assistant").length;
      return turn === count - 1 ? { text } : { text, calls: [{ name: "look_up", input: { turn } }] };
    });
    const holdfast = await start(database, gateway, 16);
    const walBefore = (await walBytes(database)) ?? Number.NaN;
    const cpuBefore = process.cpuUsage();
    const from = performance.now();
    const task = await holdfast.submit({ prompt: text });
    await task.result();
    const ms = performance.now() - from;
    const cpu = process.cpuUsage(cpuBefore);
    const wal = ((await walBytes(database)) ?? Number.NaN) - walBefore;
    await holdfast.stop();
    const entries = "from entry e where task_id = $1";
    rows.push({
      steps: count,
      "rows/step": ((await number(database, `select count(*)::int as n ${entries}`, task.id)) / count).toFixed(2),
      "stored bytes/step": Math.round(
        (await number(database, `select sum(pg_column_size(e))::float8 as n ${entries}`, task.id)) / count,
      ),
      "WAL bytes/step": Math.round(wal / count),
      "ms/step": (ms / count).toFixed(2),
      "CPU ms/step": ((cpu.user + cpu.system) / 1_000 / count).toFixed(2),
    });
  }
  return rows;
}

/** Tasks that wait for a human, for a time, and behind another task of their session, a third each. */
export async function measureWaiting(database: Database, tasks: number): Promise<Record<string, unknown>[]> {
  const gateway = scriptedGateway(() => ({ text }));
  const holdfast = await start(database, gateway, 256);
  const empty = await use(holdfast);
  await fill(database, tasks);
  // Some sweeps and polls, and some tasks that do run, later.
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  const full = await use(holdfast);
  await holdfast.stop();
  const row = (waiting: number, { rssMb, wakeMs, taskMs }: Awaited<ReturnType<typeof use>>) => ({
    waiting,
    "RSS MiB": rssMb.toFixed(0),
    "look for due timers, ms": wakeMs.toFixed(2),
    "a task meanwhile, ms": taskMs.toFixed(1),
  });
  const plan = await database.query<Record<string, string>>({
    text: `explain (costs off) select id from task where status = 'waiting' and wake_at <= (select holdfast_now())
           order by wake_at limit 1000`,
    values: [],
  });
  console.log(plan.map((line) => Object.values(line)[0]).join("\n"));
  return [row(0, empty), row(tasks, full)];
}

/** What a worker takes and how long its looks take. */
async function use(holdfast: Holdfast): Promise<{ rssMb: number; wakeMs: number; taskMs: number }> {
  const wakeMs = await medianMs(20, () => holdfast.store.wakeDue());
  const taskMs = await medianMs(20, async () => (await holdfast.submit({ prompt: text })).result());
  return { rssMb: memory().rssMb, wakeMs, taskMs };
}

async function medianMs(count: number, run: () => Promise<unknown>): Promise<number> {
  const all: number[] = [];
  for (let index = 0; index < count; index++) {
    const from = performance.now();
    await run();
    all.push(performance.now() - from);
  }
  return percentile(
    all.sort((a, b) => a - b),
    0.5,
  );
}

async function fill(database: Database, tasks: number): Promise<void> {
  await database.script(`
    create temp table waiting as
      select gen_random_uuid() as id, n, n % 3 as kind from generate_series(1, ${tasks}) n;
    insert into session (tenant, id, open_tasks, last_position) select 'default', id::text, 1, 1 from waiting;
    insert into task (id, tenant, session_id, position, agent, status, is_head, input, wake_at)
      select id, 'default', id::text, 1, 'bench', case when kind = 2 then 'pending' else 'waiting' end, kind <> 2,
        json_build_object('prompt', repeat('x', 400), 'context', null, 'limits', '{}'::json, 'model', '[]'::json, 'history', '[]'::json),
        case when kind = 1 then now() + interval '1 day' + n * interval '1 second' end
      from waiting;
    insert into entry (task_id, seq, epoch, kind, at, body)
      select id, 1, 1, 'failure', now(), '{"code":"none","message":"","attempts":[],"retryAt":null}' from waiting;
    insert into approval (id, tenant, task_id, agent, kind, input, input_hash, reason)
      select gen_random_uuid(), 'default', id, 'bench', 'tool', '{}', '', '' from waiting where kind = 0;
    drop table waiting;
    analyze task;`);
}

/** Tasks that are all in the middle of their second model turn at the same time. */
export async function measureInFlight(database: Database, tasks: number): Promise<Record<string, unknown>[]> {
  const gate = Promise.withResolvers<void>();
  let reached = 0;
  const all = Promise.withResolvers<void>();
  const scripted = scriptedGateway(async ({ messages }) => {
    if (messages.length < 2) return { text, calls: [{ name: "look_up", input: { turn: 1 } }] };
    if (++reached === tasks) all.resolve();
    await gate.promise;
    return { text };
  });
  // The script's own record of every request is not the worker's memory.
  const gateway: ModelGateway = {
    call: (request) => {
      const answer = scripted.call(request);
      (scripted.requests as unknown[]).length = 0;
      return answer;
    },
  };
  const holdfast = await start(database, gateway, tasks);
  await (await holdfast.submit({ prompt: "warm up" })).result({ waitMs: 200 });
  const before = memory();
  const from = performance.now();
  const handles = [];
  for (let done = 0; done < tasks - 1; done += 500) {
    const batch = Array.from({ length: Math.min(500, tasks - 1 - done) }, () => holdfast.submit({ prompt: text }));
    handles.push(...(await Promise.all(batch)));
  }
  await all.promise;
  const startedMs = performance.now() - from;
  const during = memory();
  gate.resolve();
  await Promise.all(handles.map((task) => task.result()));
  const endedMs = performance.now() - from;
  await holdfast.stop();
  return [
    {
      "in flight": tasks,
      "RSS before, MiB": before.rssMb.toFixed(0),
      "RSS in flight, MiB": during.rssMb.toFixed(0),
      "KiB of heap a task": (((during.heapMb - before.heapMb) * 1_024) / tasks).toFixed(1),
      "KiB of RSS a task": (((during.rssMb - before.rssMb) * 1_024) / tasks).toFixed(1),
      "all in flight after, s": (startedMs / 1_000).toFixed(1),
      "all done after, s": (endedMs / 1_000).toFixed(1),
    },
  ];
}

function memory(): { rssMb: number; heapMb: number } {
  // What a first collection finalises is freed by the second.
  collectGarbage();
  collectGarbage();
  const { rss, heapUsed } = process.memoryUsage();
  return { rssMb: rss / 1_048_576, heapMb: heapUsed / 1_048_576 };
}

async function number(database: Database, text: string, ...values: unknown[]): Promise<number> {
  return (await database.query<{ n: number }>({ text, values }))[0]?.n ?? Number.NaN;
}
