/**
 * Chaos: three workers and an API beside a PostgreSQL server of their own, under load and under fault, for some minutes.
 * In the end every promise is checked. `npm run chaos -- --minutes 5 --seed 7`; exit code 1 if one was broken.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { createClient } from "../../src/client/index.ts";
import { systemClock } from "../../src/platform/clock.ts";
import type { Random } from "../../src/platform/random.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { sql } from "../support/stored-tasks.ts";
import { startThrowawayPostgres } from "../support/throwaway-postgres.ts";
import { startClients, type Clients } from "./clients.ts";
import { startDeployment, type Deployment } from "./deployment.ts";
import { chooseFault, everyFault, type FaultKind } from "./faults.ts";
import { startHuman } from "./human.ts";
import { openLedger } from "./ledger.ts";
import { toText, type Findings } from "./report.ts";
import { findViolations } from "./verdict.ts";

const clock = systemClock;
/** Between two faults. */
const pauseMs = { least: 500, most: 3_000 };
/** When no more faults come, everything must end within this time. */
const settleMs = 90_000;
/** The longest fault is a rolling restart: three times a drain, and a look for what resumes. Beyond it nothing goes on. */
const longestFaultMs = 300_000;

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "1" },
    seed: { type: "string", default: String(Date.now() % 100_000) },
  },
});
const [minutes, seed] = [Number(values.minutes), Number(values.seed)];
if (!(minutes > 0) || !Number.isInteger(seed)) {
  console.error("Usage: npm run chaos -- [--minutes M] [--seed S]");
  process.exit(2);
}
console.log(`Chaos for ${minutes} min, seed ${seed}`);
const findings = await runChaos(minutes, seed);
console.log(toText(findings));
process.exitCode = findings.violations.length === 0 ? 0 : 1;

async function runChaos(forMinutes: number, withSeed: number): Promise<Findings> {
  await using open = new AsyncDisposableStack();
  const directory = open.adopt(await mkdtemp(join(tmpdir(), "holdfast-chaos-")), (path) =>
    rm(path, { recursive: true }),
  );
  const ledger = openLedger(join(directory, "ledger"));
  const postgres = open.use(await startThrowawayPostgres());
  if (postgres === undefined) throw new Error("There are no PostgreSQL binaries here: install postgresql.");
  const deployment = open.adopt(await startDeployment(postgres, ledger, clock), (started) => started.stop());
  await within(60_000, "The deployment does not start", (signal) => deployment.allUp(signal));
  const client = createClient({ baseUrl: deployment.url });
  // The load has chances of its own, so that the faults of a seed do not depend on its speed.
  const clients = startClients({ client, clock, random: seededRandom(withSeed + 1) });
  const still = { now: false };
  const isStill = (): boolean => still.now;
  const human = startHuman({ client, ledger, clock, random: seededRandom(withSeed + 2), isStill });
  const harassment = harass({ deployment, clients, still, random: seededRandom(withSeed) }, forMinutes * 60_000);
  const harm = await Promise.race([harassment, clients.failed, human.failed]);
  await clients.finish(settleMs);
  await human.stop();
  const { database } = deployment;
  const { told } = clients;
  const evidence = { database, client, told, answers: human.answers, effects: ledger.effects() };
  const [row] = await database.query<{ entries: number }>(sql("select count(*) as entries from entry"));
  return {
    seed: withSeed,
    minutes: forMinutes,
    tasks: told.filter(({ result }) => result !== undefined).length,
    entries: row?.entries ?? 0,
    questions: human.answers.length,
    ...harm,
    violations: await findViolations(evidence),
  };
}

/** @throws when something takes too long; it is told so by its signal */
async function within<Result>(
  ms: number,
  complaint: string,
  run: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const tooLong = new AbortController();
  const cancel = clock.timer(ms, () => tooLong.abort(new Error(`${complaint}: it took more than ${ms / 1_000} s.`)));
  try {
    return await run(tooLong.signal);
  } finally {
    cancel();
  }
}

interface Harassment {
  readonly deployment: Deployment;
  readonly clients: Clients;
  /** Whether a process stands still. */
  readonly still: { now: boolean };
  readonly random: Random;
}

/** One fault after another, every kind at least once if the time allows. */
async function harass(
  { deployment, clients, still, random }: Harassment,
  forMs: number,
): Promise<Pick<Findings, "faults" | "resumed">> {
  const faults = new Map<FaultKind, number>();
  const resumed = new Map<FaultKind, number[]>();
  const onResumed = (kind: FaultKind, ms: number): void => void resumed.set(kind, [...(resumed.get(kind) ?? []), ms]);
  const first = everyFault(random);
  const endAt = clock.monotonic() + forMs;
  while (clock.monotonic() < endAt) {
    await clock.sleep(pauseMs.least + random() * (pauseMs.most - pauseMs.least));
    const { kind, run } = first.shift() ?? chooseFault(random);
    console.log(`${new Date().toISOString().slice(11, 23)}  ${kind}  (${clients.told.length} tasks so far)`);
    faults.set(kind, (faults.get(kind) ?? 0) + 1);
    still.now = kind === "worker stood still";
    await within(longestFaultMs, `What had to follow "${kind}" did not`, async (signal) => {
      await run({ deployment, clock, random, signal, onResumed });
      still.now = false;
      await deployment.allUp(signal);
    });
  }
  return { faults, resumed };
}
