/** One subject at one number of concurrent tasks: a fresh store, a process of its own, and what both of them cost. */
import { join } from "node:path";
import { connectionsClosed, countersBetween, type Counters, readCounters } from "./counters.ts";
import { startRedis, startRestate } from "./other-servers.ts";
import type { MeasuredDatabase, PostgresServer } from "./postgres-server.ts";
import type { Checked, MeasuredProcess, Phase, Place } from "./subject.ts";
import { startProcess, type BenchProcess } from "./bench-process.ts";
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

const benchFolder = join(import.meta.dirname, "..");
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
  await using child = startPhase(subject, at.place, { phase: { phase: "measure", ...load }, patience });
  await child.nextLine();
  const begin = await read();
  child.send("go");
  const measured = (await child.nextLine()) as MeasuredProcess;
  child.send("stop");
  await child.ended();
  if (database !== undefined) await connectionsClosed(stage.postgres, database.name);
  const end = await read();
  const counters = begin && end && countersBetween(begin, end);
  return { subject: subject.name, ...measured, concurrency: load.concurrency, counters };
}

async function runPhase(subject: SubjectEntry, place: Place, phase: Phase): Promise<unknown> {
  await using child = startPhase(subject, place, { phase, patience: patienceMs });
  const line = await child.nextLine();
  await child.ended();
  return line;
}

function startPhase(
  { file }: SubjectEntry,
  place: Place,
  { phase, patience }: { phase: Phase; patience: number },
): BenchProcess {
  return startProcess(join(benchFolder, file), { values: [place, phase], patienceMs: patience });
}

interface OpenPlace extends AsyncDisposable {
  readonly place: Place;
  readonly database?: MeasuredDatabase;
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
    const database = await stage.postgres.createDatabase();
    const place = { ...nowhere, databaseUrl: database.url, serverPid: stage.postgres.pid };
    return { place, database, [Symbol.asyncDispose]: database.drop };
  }
  const server = store === "redis" ? await startRedis(variant) : await startRestate(peersFolder);
  return { place: { ...nowhere, ...server.address, serverPid: server.pid }, [Symbol.asyncDispose]: server.stop };
}
