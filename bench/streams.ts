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
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { createServerDatabase } from "../test/support/databases.ts";

export interface StreamFigures {
  readonly subscribers: number;
  /** Of the process that serves them, for each, when all are connected and their tasks talk. */
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
  const worker = await startPart("worker", { url });
  const api = await startPart("api", { url });
  const parts = [worker, api];
  try {
    const { base, emptyKb } = api.ready as { base: string; emptyKb: number };
    const readers = await startPart("readers", { base, ...load });
    parts.push(readers);
    const before = await ask<{ statements: number; heldKb: number }>(api, "state");
    await ask(worker, "reset");
    type Seen = Omit<StreamFigures, "kbPerSubscriber" | "workerTasksPerSecond" | "statementsPerSecond">;
    const seen = await ask<Seen>(readers, "measure");
    const after = await ask<{ statements: number; heldKb: number }>(api, "state");
    const { tasks } = await ask<{ tasks: number }>(worker, "state");
    const seconds = load.measureMs / 1_000;
    return {
      ...seen,
      kbPerSubscriber: load.subscribers === 0 ? 0 : (after.heldKb - emptyKb) / load.subscribers,
      workerTasksPerSecond: tasks / seconds,
      statementsPerSecond: (after.statements - before.statements) / seconds,
    };
  } finally {
    for (const { child } of parts) {
      const exited = once(child, "exit");
      child.kill("SIGKILL");
      await exited;
    }
  }
}

interface Part {
  readonly child: ChildProcess;
  readonly ready: unknown;
}

async function startPart(role: string, settings: object): Promise<Part> {
  const child = fork(fileURLToPath(new URL("./streams-part.ts", import.meta.url)), [role, JSON.stringify(settings)], {
    execArgv: [...process.execArgv, "--expose-gc"],
  });
  return { child, ready: await answerOf(child) };
}

async function ask<Answer>({ child }: Part, question: string): Promise<Answer> {
  child.send(question);
  return (await answerOf(child)) as Answer;
}

async function answerOf(child: ChildProcess): Promise<unknown> {
  const died = new AbortController();
  const ended = once(child, "exit", { signal: died.signal }).then(
    ([code]) => Promise.reject(new Error(`A part of the bench ended with ${String(code)}.`)),
    () => undefined,
  );
  try {
    const [answer] = (await Promise.race([once(child, "message"), ended])) as [unknown];
    return answer;
  } finally {
    died.abort();
  }
}
