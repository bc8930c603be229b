/**
 * What an engine under test is to the comparison, and the process that it runs in: one process per phase, which is told its
 * phase and its place in the arguments, and prints one line of JSON.
 *
 *   prepare   makes the tables; what that costs is nobody's concern
 *   check     runs one task alone and looks into the store before each step: is all that came before it there?
 *   measure   prints { ready }, waits for a line, runs the load, prints the result, waits for the end of its input
 *
 * This file imports nothing of Holdfast's, so that an engine's process holds that engine and no other.
 */
import { createInterface } from "node:readline";
import { measure, type Measured } from "../measure.ts";
import { stepsPerTask, watchSteps } from "../work.ts";
import { cpuMsOfTree } from "./cpu.ts";

/** Where an engine keeps what it keeps: fresh, and its own. */
export interface Place {
  /** What is different among several subjects of one file. */
  readonly variant: string;
  /** The server that keeps it: its CPU is counted. Null where it runs on another machine. */
  readonly serverPid: number | null;
  readonly databaseUrl: string;
  readonly redisPort: number;
  readonly restate: { readonly ingressUrl: string; readonly adminUrl: string };
  /** Absurd's schema, which its package does not hold. */
  readonly absurdSql: string;
}

export interface Subject {
  readonly prepare?: (place: Place) => Promise<void>;
  readonly start: (place: Place) => Promise<Running>;
}

export interface Running {
  /** Runs one task to its end; throws if that is not the end the work has. */
  readonly runTask: () => Promise<void>;
  /** How many steps the store holds, the input of a task being one, asked over a connection of its own. */
  readonly durableSteps: () => Promise<number>;
  readonly stop: () => Promise<void>;
}

export type Phase =
  | { readonly phase: "prepare" }
  | { readonly phase: "check" }
  | { readonly phase: "measure"; readonly concurrency: number; readonly warmUpMs: number; readonly measureMs: number };

export interface Checked {
  /** Of the steps after the first: how many began when one before them was not durable yet. */
  readonly early: number;
  /** Steps that the store holds at the end of the task. */
  readonly durable: number;
}

export interface MeasuredProcess extends Measured {
  /** Of this process, by the clock of the operating system. */
  readonly clientCpuMs: number;
  /** Of the server and all it started; null where it cannot be told. */
  readonly serverCpuMs: number | null;
}

/** The pool of connections that every engine is given that takes a size. */
export const poolSize = 20;

/** The whole of a subject's process: does what its arguments say. */
export async function runSubject(subject: Subject): Promise<void> {
  const [place, phase] = process.argv.slice(2).map((argument) => JSON.parse(argument)) as [Place, Phase];
  if (phase.phase === "prepare") {
    await subject.prepare?.(place);
    return print({ prepared: true });
  }
  const running = await subject.start(place);
  if (phase.phase === "check") {
    print(await check(running));
  } else {
    const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
    print({ ready: true });
    await lines.next();
    print(await measureProcess(running, { ...phase, serverPid: place.serverPid }));
    await lines.next();
  }
  await running.stop();
}

async function check(running: Running): Promise<Checked> {
  let early = 0;
  let seen = 0;
  const failed = Promise.withResolvers<never>();
  watchSteps(async (stepsBefore) => {
    seen += 1;
    // An engine would take a failure in here for one of the model's, and try again.
    const durable = await running.durableSteps().catch(failed.reject);
    if (durable !== undefined && durable < stepsBefore) early += 1;
  });
  await Promise.race([running.runTask(), failed.promise]);
  watchSteps(undefined);
  if (seen !== stepsPerTask - 1) throw new Error(`A task has ${stepsPerTask - 1} calls, but ${seen} were made.`);
  return { early, durable: await running.durableSteps() };
}

async function measureProcess(
  running: Running,
  load: { concurrency: number; warmUpMs: number; measureMs: number; serverPid: number | null },
): Promise<MeasuredProcess> {
  const readings: { client: number; server: number | null }[] = [];
  const onEdge = (): void => {
    const { user, system } = process.cpuUsage();
    readings.push({ client: (user + system) / 1_000, server: cpuMsOfTree(load.serverPid) });
  };
  const measured = await measure(running.runTask, { ...load, onEdge });
  const [begin, end] = readings;
  if (!begin || !end) throw new Error("The load ended before it was measured.");
  const serverCpuMs = begin.server === null || end.server === null ? null : end.server - begin.server;
  return { ...measured, clientCpuMs: end.client - begin.client, serverCpuMs };
}

function print(line: Record<string, unknown> | Checked | MeasuredProcess): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
