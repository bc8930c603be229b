/**
 * Claim: one Postgres carries a million sessions. First what the writes cost here is measured, then a million people are
 * simulated with these costs, who write more and more often.
 */
import type { Load } from "../measure.ts";
import { turns } from "../work.ts";
import { measureCosts, type MeasuredCosts } from "./measure-costs.ts";
import type { Plant, Workload } from "./model.ts";
import { simulate } from "./simulate.ts";

const million: Workload = {
  sessions: 1_000_000,
  tenants: 1_000,
  thinkMs: 600_000,
  turns,
  modelMs: 3_000,
  toolMs: 300,
  sigma: 0.6,
};
const oneDatabase: Plant = { databases: 1, cores: 4, workers: 2 };

const scenarios: readonly [what: string, Workload, Plant][] = [
  ["a message every 10 minutes", million, oneDatabase],
  ["every 10 minutes, 2 cores", million, { ...oneDatabase, cores: 2 }],
  ["every 3 minutes", { ...million, thinkMs: 180_000 }, oneDatabase],
  ["every minute, 4 workers", { ...million, thinkMs: 60_000 }, { ...oneDatabase, workers: 4 }],
  ["every minute, 4 databases", { ...million, thinkMs: 60_000 }, { databases: 4, cores: 4, workers: 2 }],
];

export async function measureCapacity(load: Load): Promise<void> {
  const costs = await measureCosts(load);
  if (costs === undefined) return console.log("PostgreSQL is not reachable: there is nothing to measure the costs on.");
  printCosts(costs);
  printCheck(costs);
  console.log(`\nA million sessions of ${million.tenants} tenants; a task is ${turns} turns of about 3 s\n`);
  const rows = scenarios.map(([what, workload, plant]) => {
    const outcome = simulate({ workload, plant, costs, warmUpMs: 60_000, measureMs: 30_000, seed: 1 });
    return {
      messages: what,
      "databases × cores": `${plant.databases} × ${plant.cores}`,
      workers: plant.databases * plant.workers,
      "tasks/s": outcome.tasksPerSecond.toFixed(0),
      "in flight, most": outcome.mostInFlight,
      "durability per task, p50 ms": outcome.overheadP50Ms.toFixed(1),
      "p99 ms": outcome.overheadP99Ms.toFixed(1),
      "writes per flush": outcome.itemsPerFlush.toFixed(1),
      "of the database's limit": percent(outcome.databaseLoad),
      "database busy": percent(outcome.databaseBusy),
      "worker busy": percent(outcome.workerBusy),
      "WAL MB/s": ((outcome.tasksPerSecond * costs.walBytesPerTask) / 1e6).toFixed(0),
      "kept GB/day": ((outcome.tasksPerSecond * costs.storedBytesPerTask * 86_400) / 1e9).toFixed(0),
    };
  });
  console.table(rows);
}

function printCosts({ flush, workerMs, walBytesPerTask, storedBytesPerTask }: MeasuredCosts): void {
  console.log("\nMeasured on this machine\n");
  console.table(
    Object.entries(flush).map(([write, { fixedMs, itemMs }]) => ({
      flush: write,
      "fixed ms": fixedMs.toFixed(3),
      "ms per item": itemMs.toFixed(4),
    })),
  );
  console.log(`Worker: ${workerMs.toFixed(4)} ms of CPU per write.`);
  console.log(`WAL: ${kilobytes(walBytesPerTask)} per task; kept: ${kilobytes(storedBytesPerTask)} per task.`);
}

/** The model is asked for what was measured: as many tasks at a time, which neither think nor wait for a model. */
function printCheck({ check, ...costs }: MeasuredCosts): void {
  const workload = { ...million, sessions: check.concurrency, tenants: 1, thinkMs: 0, modelMs: 0, toolMs: 0 };
  const plant: Plant = { databases: 1, cores: 1, workers: 1 };
  const { tasksPerSecond } = simulate({ workload, plant, costs, warmUpMs: 1_000, measureMs: 4_000, seed: 1 });
  console.log(
    `Check of the model at ${check.concurrency} concurrent tasks: measured ${check.tasksPerSecond.toFixed(0)} tasks/s, ` +
      `simulated ${tasksPerSecond.toFixed(0)}.`,
  );
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}

function kilobytes(bytes: number): string {
  return `${(bytes / 1024).toFixed(1)} KB`;
}
