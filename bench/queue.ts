/**
 * Claims: what a claim takes does not grow with what waits, and one tenant's crowd does not hold up another.
 *
 * The queue is filled by SQL, the tasks are claimed by the statement of the worker and given back; the waits are those of
 * the real engine, with a model that answers after a moment.
 */
import { createHoldfast, defineAgent, defineConfig } from "../src/index.ts";
import type { ModelGateway } from "../src/gateway/model-gateway.ts";
import { neverAborts } from "../src/platform/abort.ts";
import { systemId } from "../src/platform/ids.ts";
import { readSettings } from "../src/platform/settings.ts";
import type { Database } from "../src/store/database.ts";
import { firstTurn } from "../src/store/queries/claim.ts";
import { createStore } from "../src/store/store.ts";
import { silentLogger } from "../src/telemetry/log.ts";
import { turnAfter } from "../src/engine/turns.ts";
import { borrowed } from "../test/support/running-holdfast.ts";
import { percentile } from "./measure.ts";

interface ClaimRow {
  readonly waiting: number;
  readonly tenants: number;
  readonly "claims of": number;
  readonly "p50 ms": string;
  readonly "p95 ms": string;
}

const agent = "bench";
const claims = 50;

/** How long claims take with so many tasks of so many tenants waiting. */
export async function measureClaims(database: Database): Promise<ClaimRow[]> {
  const rows: ClaimRow[] = [];
  const store = createStore(database);
  const worker = systemId();
  await store.registerWorker({ id: worker, leaseMs: 3_600_000, info: {} });
  for (const waiting of [100, 10_000, 100_000]) {
    for (const tenants of [1, 100, 1_000].filter((count) => count <= waiting)) {
      await fill(database, { waiting, tenants });
      for (const limit of [1, 16]) {
        const times: number[] = [];
        let turn = firstTurn;
        for (let claim = 0; claim < claims; claim++) {
          const begin = performance.now();
          const claimed = await store.claim({ worker, agents: [agent], limit, turn });
          times.push(performance.now() - begin);
          if (claimed.length !== limit) throw new Error(`${claimed.length} of ${limit} were claimed`);
          turn = turnAfter(turn, claimed, limit);
          await store.reconcile({ id: worker, running: [], left: [] });
        }
        times.sort((a, b) => a - b);
        const at = (share: number): string => percentile(times, share).toFixed(2);
        rows.push({ waiting, tenants, "claims of": limit, "p50 ms": at(0.5), "p95 ms": at(0.95) });
      }
    }
  }
  await empty(database);
  await store.unregisterWorker(worker);
  return rows;
}

interface WaitRow {
  readonly "in the way": string;
  readonly "first of 3, ms": string;
  readonly "last of 3, ms": string;
}

const slots = 16;

/** How long three tasks of one tenant take, from submit to result, with and without another's 10,000 before them. */
export async function measureWaits(database: Database): Promise<WaitRow[]> {
  const rows: WaitRow[] = [];
  for (const [inTheWay, waiting] of [
    ["nobody", 0],
    ["10,000 tasks of another tenant", 10_000],
  ] as const) {
    await fill(database, { waiting, tenants: 1 });
    const holdfast = await startHoldfast(database);
    // The worker is at work on the crowd: all its slots have been taken once.
    if (waiting > 0) while (holdfast.worker!.running < slots) await new Promise((resolve) => setTimeout(resolve, 5));
    const { engine } = holdfast;
    const begin = performance.now();
    const times = await Promise.all(
      [1, 2, 3].map(async () => {
        const { task } = await engine.submit("few", { prompt: "Hello" });
        const signal = neverAborts();
        await engine.awaitResult({ tenant: "few", taskId: task.taskId, waitMs: 60_000, signal });
        return performance.now() - begin;
      }),
    );
    times.sort((a, b) => a - b);
    await holdfast.stop();
    rows.push({
      "in the way": inTheWay,
      "first of 3, ms": times[0]!.toFixed(0),
      "last of 3, ms": times[2]!.toFixed(0),
    });
  }
  await empty(database);
  return rows;
}

function startHoldfast(database: Database) {
  const config = defineConfig({ agents: [defineAgent({ name: agent, instructions: "Answer." })], slots });
  return createHoldfast(config, {
    settings: readSettings({}),
    parts: { database: borrowed(database), gateway: briefModel, log: silentLogger },
  });
}

/** Answers after 50 ms, as the fastest of real models would. */
const briefModel: ModelGateway = {
  call: async () => {
    await new Promise((resolve) => setTimeout(resolve, 50));
    return {
      parts: [{ type: "text", text: "Hello." }],
      finish: "stop",
      model: "brief/model",
      usage: { input: 10, cached: 0, output: 5, reasoning: 0, estimated: false },
      costMicros: 0,
      ttftMs: 0,
      tpotMs: 0,
      attempts: [],
    };
  },
};

async function fill(database: Database, { waiting, tenants }: { waiting: number; tenants: number }): Promise<void> {
  await empty(database);
  const input = JSON.stringify({ prompt: "Hello", context: null, limits: {}, model: [], history: [] });
  await database.batch([
    {
      text: `insert into session (tenant, id, open_tasks, last_position)
             select 'crowd-' || (i % $2::int), 'session-' || i, 1, 1 from generate_series(1, $1::int) i`,
      values: [waiting, tenants],
    },
    {
      text: `insert into task (id, tenant, session_id, position, agent, is_head, input, priority)
             select gen_random_uuid(), 'crowd-' || (i % $2::int), 'session-' || i, 1, $3, true, $4::jsonb, i % 3
             from generate_series(1, $1::int) i`,
      values: [waiting, tenants, agent, input],
    },
  ]);
  await database.query({ text: "analyze task", values: [] });
}

async function empty(database: Database): Promise<void> {
  await database.query({ text: "truncate task, session, entry cascade", values: [] });
}
