/** What is being tormented: three workers and an API process beside a PostgreSQL server, each started again when it ends. */
import { fileURLToPath } from "node:url";
import type { Clock } from "../../src/platform/clock.ts";
import { openPostgres } from "../../src/store/postgres.ts";
import { startProcess, startScript, type Child } from "../support/child.ts";
import { cleanEnvironment } from "../support/command.ts";
import { freePort } from "../support/free-port.ts";
import { heldBy } from "../support/stored-tasks.ts";
import type { ThrowawayPostgres } from "../support/throwaway-postgres.ts";
import type { Ledger } from "./ledger.ts";
import type { WorkerOrders } from "./worker.ts";

const workerCount = 3;
/** The defaults of the product. */
export const tuning = { leaseMs: 5_000, drainMs: 20_000 };

const restartAfterMs = 200;

/** A process that is started again until the deployment ends. */
export interface Place {
  child: Child;
  /** While the process works; an API has 0. */
  pid: number | undefined;
}

export type Deployment = Awaited<ReturnType<typeof startDeployment>>;

export async function startDeployment(postgres: ThrowawayPostgres, ledger: Ledger, clock: Clock) {
  const apiPort = await freePort();
  const ended = new AbortController();
  const database = await openPostgres({ url: postgres.url });
  const kept: Promise<void>[] = [];

  const startWorker = (): Child => {
    const orders: WorkerOrders = { databaseUrl: postgres.url, ledger: ledger.path, tuning };
    return startScript(pathOf("./worker.ts"), JSON.stringify(orders));
  };
  const startApi = (): Child => {
    const env = { DATABASE_URL: postgres.url, CHAOS_LEDGER: ledger.path, HOLDFAST_LOG_LEVEL: "info" };
    const args = ["serve", "--roles", "api", "--config", pathOf("./holdfast.config.ts"), "--port", String(apiPort)];
    return startProcess([pathOf("../../src/cli/main.ts"), ...args], { ...cleanEnvironment(), ...env });
  };

  /** Keeps a place filled: whatever ends is followed by another after a moment. */
  function fill(start: () => Child): Place {
    const place: Place = { child: start(), pid: undefined };
    const keep = async (): Promise<void> => {
      while (!ended.signal.aborted) {
        const { child } = place;
        // One that cannot start, because the database is away, prints nothing.
        place.pid = await child.line().then(pidOf, () => undefined);
        await child.done().catch(() => undefined);
        place.pid = undefined;
        await clock.sleep(restartAfterMs, ended.signal).catch(() => undefined);
        if (!ended.signal.aborted) place.child = start();
      }
    };
    kept.push(keep());
    return place;
  }

  const workers = Array.from({ length: workerCount }, () => fill(startWorker));
  const api = fill(startApi);
  const places = [...workers, api];
  const isUp = async (place: Place, signal: AbortSignal): Promise<number> => {
    while (place.pid === undefined) await clock.sleep(10, signal);
    return place.pid;
  };
  return {
    postgres,
    database,
    workers,
    api,
    isUp,
    allUp: (signal: AbortSignal) => Promise.all(places.map((place) => isUp(place, signal))),
    url: `http://127.0.0.1:${apiPort}`,
    heldBy: (pid: number) => heldBy(database, pid),
    async stop(): Promise<void> {
      ended.abort();
      await Promise.all(places.map(({ child }) => child.kill()));
      await Promise.all(kept);
      await database.close();
    },
  };
}

/** A worker prints its process id, an API that it is ready. */
function pidOf(line: string): number {
  return Number(line) || 0;
}

function pathOf(relative: string): string {
  return fileURLToPath(new URL(relative, import.meta.url));
}
