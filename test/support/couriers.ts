/** Workers of the chaos run as processes of their own beside one database, for tests of what many processes do together. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Tuning } from "../../src/holdfast.ts";
import { createHoldfast, type Holdfast } from "../../src/index.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { HoldfastError } from "../../src/platform/errors.ts";
import { readSettings } from "../../src/platform/settings.ts";
import { openPostgres } from "../../src/store/postgres.ts";
import type { Database } from "../../src/store/database.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import { agentName, courierConfig, courierModel } from "../chaos/agent.ts";
import { openLedger, type Ledger } from "../chaos/ledger.ts";
import type { WorkerOrders } from "../chaos/worker.ts";
import { startScript, type Child } from "./child.ts";
import { createServerDatabase } from "./databases.ts";
import { heldBy, type HeldTask } from "./stored-tasks.ts";

export interface Courier extends Child {
  readonly pid: number;
}

export interface Load extends AsyncDisposable {
  /** Submits no more. @throws what went wrong meanwhile */
  stop(): Promise<void>;
}

export interface Couriers extends AsyncDisposable {
  readonly database: Database;
  readonly ledger: Ledger;
  /** Accepts tasks and runs none. */
  readonly api: Holdfast;
  start(orders?: Partial<WorkerOrders>): Promise<Courier>;
  /** Keeps tasks in flight until it is stopped. */
  load(): Load;
  /** The tasks that a process holds. */
  heldBy(courier: Courier): Promise<HeldTask[]>;
}

/** Beside a database of their own on the test server, or the one given. */
export async function openCouriers(tuning: Partial<Tuning>, given?: { url: string }): Promise<Couriers> {
  const { url, drop } = given === undefined ? (await createServerDatabase())! : { ...given, drop: async () => {} };
  const directory = await mkdtemp(join(tmpdir(), "holdfast-couriers-"));
  const ledger = openLedger(join(directory, "ledger"));
  const settings = readSettings({ DATABASE_URL: url });
  const api = await createHoldfast(courierConfig(ledger), {
    settings,
    roles: ["api"],
    parts: { gateway: courierModel, log: silentLogger },
  });
  const database = await openPostgres({ url });
  const children: Child[] = [];
  return {
    database,
    ledger,
    api,
    async start(orders = {}) {
      const complete: WorkerOrders = { databaseUrl: url, ledger: ledger.path, tuning, ...orders };
      const child = startScript(
        fileURLToPath(new URL("../chaos/worker.ts", import.meta.url)),
        JSON.stringify(complete),
      );
      children.push(child);
      return { ...child, pid: Number(await child.line()) };
    },
    load: () => startLoad(api),
    heldBy: ({ pid }) => heldBy(database, pid),
    async [Symbol.asyncDispose]() {
      await Promise.all(children.map((child) => child.kill()));
      await api.stop();
      await database.close();
      await drop();
      await rm(directory, { recursive: true });
    },
  };
}

/** So many tasks at a time: more than the slots of two processes. */
const lanesOfLoad = 24;

function startLoad(api: Holdfast): Load {
  const enough = new AbortController();
  const { signal } = enough;
  const lanes = Array.from({ length: lanesOfLoad }, async () => {
    while (!signal.aborted) {
      try {
        const handle = await api.submit({ agent: agentName, prompt: "Go" });
        await handle.result({ signal });
      } catch (error) {
        // Whoever submits while the store is away comes again a little later.
        if (!(error instanceof HoldfastError) || error.retry === "never") throw error;
        await systemClock.sleep(100, signal).catch(() => undefined);
      }
    }
  });
  const all = Promise.all(lanes);
  // If the test fails before it comes to them, that is the failure to be told.
  all.catch(() => undefined);
  return {
    async stop() {
      enough.abort();
      await all;
    },
    async [Symbol.asyncDispose]() {
      enough.abort();
      await Promise.allSettled(lanes);
    },
  };
}
