/** One subject at one number of concurrent tasks: a fresh store, a process of its own, and what both of them cost. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { connectionsClosed, countersBetween, type Counters, readCounters } from "./counters.ts";
import { startRedis, startRestate } from "./other-servers.ts";
import type { PostgresServer } from "./postgres-server.ts";
import type { Checked, MeasuredProcess, Phase, Place } from "./subject.ts";
import type { SubjectEntry } from "./subjects.ts";

export interface Cell extends MeasuredProcess {
  readonly subject: string;
  readonly concurrency: number;
  /** What the load cost in Postgres, from when the process was ready until it had ended; null if it keeps nothing there. */
  readonly counters: Counters | null;
}

export interface Stage {
  readonly postgres: PostgresServer;
  readonly absurdSql: string;
}

export const benchFolder = join(import.meta.dirname, "..");
export const peersFolder = join(benchFolder, "peers");

/** Beyond the time that warming up and measuring take: for an engine whose tasks take very long. */
const patienceMs = 180_000;

export async function checkSubject(stage: Stage, subject: SubjectEntry): Promise<Checked> {
  await using at = await openPlace(stage, subject);
  await runPhase(subject, at.place, { phase: "prepare" });
  return (await runPhase(subject, at.place, { phase: "check" })) as Checked;
}

export async function measureCell(
  stage: Stage,
  subject: SubjectEntry,
  load: { concurrency: number; warmUpMs: number; measureMs: number },
): Promise<Cell> {
  await using at = await openPlace(stage, subject);
  await runPhase(subject, at.place, { phase: "prepare" });
  const { database } = at;
  const read = async (): Promise<Counters | null> =>
    database === undefined ? null : readCounters(stage.postgres, database);

  const patience = load.warmUpMs + load.measureMs + patienceMs;
  await using child = startProcess(subject, at.place, { phase: { phase: "measure", ...load }, patience });
  await child.nextLine();
  const begin = await read();
  child.send("go");
  const measured = (await child.nextLine()) as MeasuredProcess;
  child.send("stop");
  await child.ended();
  if (database !== undefined) await connectionsClosed(stage.postgres, database);
  const end = await read();
  const counters = begin && end && countersBetween(begin, end);
  return { subject: subject.name, ...measured, concurrency: load.concurrency, counters };
}

async function runPhase(subject: SubjectEntry, place: Place, phase: Phase): Promise<unknown> {
  await using child = startProcess(subject, place, { phase, patience: patienceMs });
  const line = await child.nextLine();
  await child.ended();
  return line;
}

interface OpenPlace extends AsyncDisposable {
  readonly place: Place;
  readonly database?: string;
}

async function openPlace(stage: Stage, { store, variant }: SubjectEntry): Promise<OpenPlace> {
  const nowhere: Place = {
    variant,
    serverPid: null,
    databaseUrl: "",
    redisPort: 0,
    restate: { ingressUrl: "", adminUrl: "" },
    absurdSql: stage.absurdSql,
  };
  if (store === "postgres") {
    const { name, url, drop } = await stage.postgres.createDatabase();
    const place = { ...nowhere, databaseUrl: url, serverPid: stage.postgres.pid };
    return { place, database: name, [Symbol.asyncDispose]: drop };
  }
  const server = store === "redis" ? await startRedis(variant) : await startRestate(peersFolder);
  return { place: { ...nowhere, ...server.address, serverPid: server.pid }, [Symbol.asyncDispose]: server.stop };
}

interface SubjectProcess extends AsyncDisposable {
  /** The next line it prints, parsed. @throws Error with what it complained of, if it ends before */
  readonly nextLine: () => Promise<unknown>;
  readonly send: (line: string) => void;
  readonly ended: () => Promise<void>;
}

function startProcess(
  subject: SubjectEntry,
  place: Place,
  { phase, patience }: { phase: Phase; patience: number },
): SubjectProcess {
  const args = [join(benchFolder, subject.file), JSON.stringify(place), JSON.stringify(phase)];
  const child = spawn(process.execPath, [...process.execArgv, ...args], {
    cwd: benchFolder,
    env: { ...process.env, ...quiet },
    stdio: ["pipe", "pipe", "pipe"],
    timeout: patience,
    killSignal: "SIGKILL",
  });
  let complaints = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (complaints = (complaints + text).slice(-4_000)));
  // Its end is told by `ended` and by the lines that stop.
  child.stdin.on("error", () => {});
  const exit = once(child, "close");
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const failure = (): Error => new Error(`${describeEnd(child)}: ${firstLines(complaints)}`);
  return {
    nextLine: async () => {
      // Some engines greet the user; what is meant for us begins with a brace.
      for (;;) {
        const { value, done } = await lines.next();
        if (done) {
          await exit;
          throw failure();
        }
        if (value.startsWith("{")) return JSON.parse(value);
      }
    },
    send: (line) => void child.stdin.write(`${line}\n`),
    ended: async () => {
      child.stdin.end();
      await exit;
      if (child.exitCode !== 0) throw failure();
    },
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
      await exit;
    },
  };
}

/** In production as they would be, and telling nobody that they run. */
const quiet = {
  NODE_ENV: "production",
  DO_NOT_TRACK: "1",
  LANGSMITH_TRACING: "false",
  MASTRA_TELEMETRY_DISABLED: "1",
};

function describeEnd({ exitCode, signalCode }: ChildProcess): string {
  return signalCode === "SIGKILL" ? "it took too long and was ended" : `it ended with code ${exitCode ?? signalCode}`;
}

/** What a reader needs of a stack trace. */
function firstLines(text: string): string {
  const lines = text.split("\n").filter((line) => line.trim() !== "" && !/^\s+at /.test(line));
  return lines.slice(-12).join(" ").slice(0, 400) || "it said nothing";
}
