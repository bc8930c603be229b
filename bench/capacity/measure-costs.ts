/**
 * What a flush costs on this machine: Holdfast runs the usual work at several numbers of concurrent tasks, each flush is
 * timed with the number of items it carried, and a line is fitted through them.
 */
import type { Holdfast } from "../../src/index.ts";
import type { Database, Statement } from "../../src/store/database.ts";
import { openServer, walBytes } from "../databases.ts";
import { runTask, startHoldfast } from "../holdfast.ts";
import { measure, percentile, type Load } from "../measure.ts";
import { turns } from "../work.ts";
import type { Costs, FlushCost, Write } from "./model.ts";

export interface MeasuredCosts extends Costs {
  /** With so many tasks at a time, what the model is compared with. */
  readonly check: { readonly concurrency: number; readonly tasksPerSecond: number };
}

const levels = [1, 4, 16, 64, 128];
/** A submit, an append for each turn but the last, a finish. */
const writesPerTask = turns + 1;

type Samples = Record<Write, [items: number, ms: number][]>;

/** @returns undefined where there is no PostgreSQL server */
export async function measureCosts(load: Load): Promise<MeasuredCosts | undefined> {
  await using server = await openServer();
  if (server === undefined) return undefined;
  const { database } = server;
  const samples: Samples = { submit: [], append: [], finish: [] };
  const holdfast = await startHoldfast({ database: timed(database, samples), effect: "read" });
  try {
    const costs = await measureAt(holdfast, load, database);
    const flush = { submit: fit(samples.submit), append: fit(samples.append), finish: fit(samples.finish) };
    return { ...costs, flush };
  } finally {
    await holdfast.stop();
  }
}

async function measureAt(holdfast: Holdfast, load: Load, database: Database): Promise<Omit<MeasuredCosts, "flush">> {
  const walBefore = (await walBytes(database)) ?? Number.NaN;
  let tasks = 0;
  let last = { concurrency: 0, tasksPerSecond: 0, workerMs: 0 };
  for (const concurrency of levels) {
    const cpuBefore = process.cpuUsage();
    const measured = await measure(() => runTask(holdfast), { ...load, concurrency });
    const { user, system } = process.cpuUsage(cpuBefore);
    tasks += measured.allTasks;
    const workerMs = (user + system) / 1_000 / measured.allTasks / writesPerTask;
    last = { concurrency, tasksPerSecond: measured.tasksPerSecond, workerMs };
  }
  const walAfter = (await walBytes(database)) ?? Number.NaN;
  const stored = await storedBytes(database);
  const { workerMs, ...check } = last;
  return { workerMs, check, walBytesPerTask: (walAfter - walBefore) / tasks, storedBytesPerTask: stored / tasks };
}

function timed(database: Database, samples: Samples): Database {
  const around = async <Result>(statements: readonly Statement[], run: () => Promise<Result>): Promise<Result> => {
    const startedAt = performance.now();
    const result = await run();
    for (const { name, values } of statements) {
      if (name !== "submit" && name !== "append" && name !== "finish") continue;
      const [first] = values;
      const items = Array.isArray(first) ? first.length : (JSON.parse(String(first)) as unknown[]).length;
      samples[name].push([items, performance.now() - startedAt]);
    }
    return result;
  };
  return {
    ...database,
    query: (statement) => around([statement], () => database.query(statement)),
    batch: (statements) => around(statements, () => database.batch(statements)),
  };
}

/** A line through the median times of each number of items, weighted by how often it was seen; least squares. */
function fit(samples: readonly [number, number][]): FlushCost {
  const byItems = Map.groupBy(samples, ([items]) => items);
  const points = [...byItems].map(([items, seen]) => {
    const times = seen.map(([, ms]) => ms).sort((a, b) => a - b);
    return { items, ms: percentile(times, 0.5), weight: seen.length };
  });
  const total = points.reduce((sum, { weight }) => sum + weight, 0);
  const meanItems = points.reduce((sum, { items, weight }) => sum + items * weight, 0) / total;
  const meanMs = points.reduce((sum, { ms, weight }) => sum + ms * weight, 0) / total;
  const covariance = points.reduce(
    (sum, { items, ms, weight }) => sum + weight * (items - meanItems) * (ms - meanMs),
    0,
  );
  const variance = points.reduce((sum, { items, weight }) => sum + weight * (items - meanItems) ** 2, 0);
  const itemMs = variance === 0 ? 0 : Math.max(0, covariance / variance);
  return { fixedMs: Math.max(0, meanMs - itemMs * meanItems), itemMs };
}

async function storedBytes(database: Database): Promise<number> {
  const tables = ["task", "entry", "session"].map((name) => `pg_total_relation_size('${name}')`);
  const text = `select (${tables.join(" + ")})::float8 as bytes`;
  const [row] = await database.query<{ bytes: number }>({ text, values: [] });
  return row!.bytes;
}
