/**
 * Claim: more processes do more work, until the database or the machine has no processor left. One to four worker processes
 * on one PostgreSQL, and a process that submits tasks and waits for their results; every one of them is another, so it is
 * seen who is busy.
 */
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { startProcess } from "./comparison/bench-process.ts";
import { cpuMsOf, cpuMsOfTree } from "./comparison/cpu.ts";
import { type PostgresServer, usePostgres } from "./comparison/postgres-server.ts";
import type { Load, Measured } from "./measure.ts";

interface ScaleOutOptions {
  /** Tasks in flight. */
  readonly concurrency: number;
  readonly load: Load;
  /** Undefined: a server of this run's own. */
  readonly databaseUrl: string | undefined;
}

interface ScaledOut extends Measured {
  readonly workers: number;
  /** Cores in use on average; null where it cannot be told. */
  readonly cores: {
    readonly postgres: number | null;
    readonly submitter: number | null;
    readonly perWorker: readonly (number | null)[];
  };
}

const mostWorkers = 4;
const patienceMs = 120_000;
const here = import.meta.dirname;

export async function measureScaleOut(options: ScaleOutOptions): Promise<void> {
  const postgres = await usePostgres(options.databaseUrl);
  const rows: ScaledOut[] = [];
  try {
    for (const caveat of postgres.caveats) console.log(caveat);
    console.log(`\nWorkers on one PostgreSQL ${postgres.version}, ${options.concurrency} tasks in flight\n`);
    for (let workers = 1; workers <= mostWorkers; workers++)
      rows.push(await measureWorkers(postgres, workers, options));
  } finally {
    await postgres.stop();
  }
  console.table(rows.map((row) => describe(row, rows[0]?.tasksPerSecond ?? Number.NaN)));
  console.log(
    `This machine has ${availableParallelism()} cores. Where their sum is in use, more workers only share them.`,
  );
}

async function measureWorkers(postgres: PostgresServer, count: number, options: ScaleOutOptions): Promise<ScaledOut> {
  await using open = new AsyncDisposableStack();
  const database = open.adopt(await postgres.createDatabase(), ({ drop }) => drop());
  const start = (role: string) => {
    const values = [{ role, databaseUrl: database.url, concurrency: options.concurrency, ...options.load }];
    return open.use(startProcess(join(here, "scale-out-process.ts"), { values, patienceMs }));
  };
  const submitter = start("api");
  // The first to come makes the tables.
  await submitter.nextLine();
  const workers = Array.from({ length: count }, () => start("worker"));
  await Promise.all(workers.map((worker) => worker.nextLine()));

  const read = () => ({
    at: performance.now(),
    postgres: cpuMsOfTree(postgres.pid),
    submitter: cpuMsOf(submitter.pid),
    perWorker: workers.map(({ pid }) => cpuMsOf(pid)),
  });
  submitter.send("go");
  await submitter.nextLine();
  const begin = read();
  await submitter.nextLine();
  const end = read();
  const measured = (await submitter.nextLine()) as Measured;
  await Promise.all([submitter, ...workers].map((process) => process.ended()));

  const cores = (from: number | null, to: number | null): number | null =>
    from === null || to === null ? null : (to - from) / (end.at - begin.at);
  return {
    ...measured,
    workers: count,
    cores: {
      postgres: cores(begin.postgres, end.postgres),
      submitter: cores(begin.submitter, end.submitter),
      perWorker: begin.perWorker.map((from, index) => cores(from, end.perWorker[index] ?? null)),
    },
  };
}

function describe({ workers, tasksPerSecond, p50Ms, p99Ms, cores }: ScaledOut, ofOne: number): Record<string, unknown> {
  const all = [cores.postgres, cores.submitter, ...cores.perWorker];
  const sum = all.reduce<number>((a, b) => a + (b ?? Number.NaN), 0);
  return {
    workers,
    "tasks/s": tasksPerSecond.toFixed(0),
    "× of one": (tasksPerSecond / ofOne).toFixed(2),
    "p50 ms": p50Ms.toFixed(1),
    "p99 ms": p99Ms.toFixed(1),
    "cores: Postgres": cores.postgres?.toFixed(2) ?? "",
    "cores: submitter": cores.submitter?.toFixed(2) ?? "",
    "cores: each worker": cores.perWorker.map((used) => used?.toFixed(2) ?? "").join(" "),
    "cores: all": Number.isNaN(sum) ? "" : sum.toFixed(2),
  };
}
