/**
 * Claim: one process serves thousands of event streams of tasks that run in another one. Subscribers connect over real
 * sockets from a process of their own, so that their memory and their work are not counted; the worker is a third process.
 *
 *   npm run bench -- --streams
 *   npm run bench -- --streams --levels 0,2000 --seconds 10
 *
 * Every subscriber watches one of a few hundred tasks, each of which says a long text in pieces, calls a tool, and goes on.
 * Latency is from the moment an entry is made, in the worker, to its arrival at a subscriber, by the one clock of this
 * machine.
 */
import { join } from "node:path";
import { createServerDatabase } from "../test/support/databases.ts";
import { startProcess, type BenchProcess } from "./comparison/bench-process.ts";

export interface StreamFigures {
  readonly subscribers: number;
  /** Of the process that serves them, for each, when all are connected and their tasks talk; NaN without any. */
  readonly kbPerSubscriber: number;
  readonly entries: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly deltasPerSecond: number;
  /** What the worker brings to an end meanwhile, of other tasks. */
  readonly workerTasksPerSecond: number;
  /** Statements of the process that serves them, per second. */
  readonly statementsPerSecond: number;
}

interface StreamLoad {
  readonly watchedTasks: number;
  readonly measureMs: number;
}

const partFile = join(import.meta.dirname, "streams-part.ts");
/** Beyond the time that measuring takes: to start, and to connect them all. */
const patienceMs = 120_000;

/** One row for each number of subscribers. @throws Error where there is no server to measure on */
export async function measureStreams(levels: readonly number[], load: StreamLoad): Promise<StreamFigures[]> {
  const figures: StreamFigures[] = [];
  for (const subscribers of levels) {
    const database = await createServerDatabase();
    if (database === undefined) throw new Error("PostgreSQL is not reachable.");
    try {
      figures.push(await measureOne(database.url, { ...load, subscribers }));
    } finally {
      await database.drop();
    }
  }
  return figures;
}

async function measureOne(url: string, load: StreamLoad & { subscribers: number }): Promise<StreamFigures> {
  await using open = new AsyncDisposableStack();
  const start = (role: string, settings: object): BenchProcess => {
    const values = [{ role, ...settings }];
    return open.use(startProcess(partFile, { values, patienceMs: load.measureMs + patienceMs }));
  };
  const worker = start("worker", { url });
  await worker.nextLine();
  const api = start("api", { url });
  const { base, emptyKb } = (await api.nextLine()) as { base: string; emptyKb: number };
  const readers = start("readers", { base, ...load });
  await readers.nextLine();
  const before = await ask<ApiState>(api, "state");
  await ask(worker, "reset");
  type Seen = Omit<StreamFigures, "kbPerSubscriber" | "workerTasksPerSecond" | "statementsPerSecond">;
  const seen = await ask<Seen>(readers, "measure");
  const after = await ask<ApiState>(api, "state");
  const { tasks } = await ask<{ tasks: number }>(worker, "state");
  const seconds = load.measureMs / 1_000;
  return {
    ...seen,
    kbPerSubscriber: load.subscribers === 0 ? Number.NaN : (after.heldKb - emptyKb) / load.subscribers,
    workerTasksPerSecond: tasks / seconds,
    statementsPerSecond: (after.statements - before.statements) / seconds,
  };
}

interface ApiState {
  readonly statements: number;
  readonly heldKb: number;
}

async function ask<Answer>(part: BenchProcess, question: string): Promise<Answer> {
  part.send(question);
  return (await part.nextLine()) as Answer;
}
