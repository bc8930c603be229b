/** What the chaos run does to the deployment. Each fault ends when everything is up again that it took down. */
import type { Clock } from "../../src/platform/clock.ts";
import type { Random } from "../../src/platform/random.ts";
import { sql, type HeldTask } from "../support/stored-tasks.ts";
import { tuning, type Deployment, type Place } from "./deployment.ts";

interface FaultDeps {
  readonly deployment: Deployment;
  readonly clock: Clock;
  readonly random: Random;
  /** Aborts when the fault has lasted for too long: what it waits for will not come. */
  readonly signal: AbortSignal;
  /** The time from the fault until work went on, if there was any to go on with. */
  readonly onResumed: (kind: FaultKind, ms: number) => void;
}

export type FaultKind =
  | "worker killed"
  | "API killed"
  | "worker stood still"
  | "PostgreSQL restarted"
  | "PostgreSQL killed"
  | "connections cut"
  | "rolling restart";

type Fault = (deps: FaultDeps) => Promise<void>;

/** How often each comes, in proportion. */
const weights: Readonly<Record<FaultKind, number>> = {
  "worker killed": 5,
  "API killed": 2,
  "worker stood still": 1,
  "PostgreSQL restarted": 2,
  "PostgreSQL killed": 2,
  "connections cut": 3,
  "rolling restart": 1,
};

const faults: Readonly<Record<FaultKind, Fault>> = {
  "worker killed": async (deps: FaultDeps) => {
    const { place, held, at } = await freezeAtWork(deps);
    await place.child.kill();
    await resumed(deps, { kind: "worker killed", held, at });
  },

  "API killed": async (deps: FaultDeps) => {
    const { deployment, clock, onResumed } = deps;
    const at = clock.monotonic();
    await deployment.api.child.kill();
    await until(deps, () => answers(deployment.url));
    onResumed("API killed", clock.monotonic() - at);
  },

  /** For longer than its lease, as in a long garbage collection or on a machine that sleeps. */
  "worker stood still": async (deps: FaultDeps) => {
    const { place, held, at } = await freezeAtWork(deps);
    await resumed(deps, { kind: "worker stood still", held, at });
    const stillMs = deps.clock.monotonic() - at;
    await deps.clock.sleep(Math.max(0, tuning.leaseMs + 1_000 - stillMs), deps.signal);
    place.child.signal("SIGCONT");
  },

  "PostgreSQL restarted": (deps: FaultDeps) => restartPostgres(deps, "PostgreSQL restarted", "fast"),
  "PostgreSQL killed": (deps: FaultDeps) => restartPostgres(deps, "PostgreSQL killed", "immediate"),

  "connections cut": async (deps: FaultDeps) => {
    const at = deps.clock.monotonic();
    const share = deps.random();
    const text = `select pg_terminate_backend(pid) from pg_stat_activity
                  where datname = current_database() and pid <> pg_backend_pid() and random() < $1`;
    await deps.deployment.database.query(sql(text, share));
    await anyProgress(deps, { kind: "connections cut", at });
  },

  "rolling restart": async (deps: FaultDeps) => {
    const { deployment, clock, signal } = deps;
    for (const place of deployment.workers) {
      const pid = await deployment.isUp(place, signal);
      const held = await deployment.heldBy(pid);
      const at = clock.monotonic();
      place.child.signal("SIGTERM");
      await until(deps, () => place.pid !== pid);
      await resumed(deps, { kind: "rolling restart", held, at });
      await deployment.isUp(place, signal);
    }
  },
};

export function chooseFault(random: Random): { kind: FaultKind; run: Fault } {
  const kinds = Object.keys(weights) as FaultKind[];
  let at = random() * kinds.reduce((sum, kind) => sum + weights[kind], 0);
  const kind = kinds.find((each) => (at -= weights[each]) < 0) ?? kinds[0]!;
  return { kind, run: faults[kind] };
}

/** Every kind once, in an order of chance: so that a short run has them all. */
export function everyFault(random: Random): { kind: FaultKind; run: Fault }[] {
  return (Object.keys(faults) as FaultKind[])
    .map((kind) => ({ kind, run: faults[kind], order: random() }))
    .toSorted((a, b) => a.order - b.order);
}

interface Frozen {
  readonly place: Place;
  readonly held: readonly HeldTask[];
  readonly at: number;
}

/** Stops a worker that is surely at work, and tells what it holds. */
async function freezeAtWork(deps: FaultDeps): Promise<Frozen> {
  const { deployment, clock, random, signal } = deps;
  const place = deployment.workers[Math.floor(random() * deployment.workers.length)]!;
  for (;;) {
    const pid = await deployment.isUp(place, signal);
    await until(deps, async () => place.pid !== pid || (await deployment.heldBy(pid)).length >= 2);
    place.child.signal("SIGSTOP");
    const at = clock.monotonic();
    const held = await deployment.heldBy(pid);
    if (held.length > 0) return { place, held, at };
    place.child.signal("SIGCONT");
  }
}

/** Waits for the first entry that another process writes for one of the tasks. */
async function resumed(
  { deployment, clock, signal, onResumed }: FaultDeps,
  { kind, held, at }: { kind: FaultKind; held: readonly HeldTask[]; at: number },
): Promise<void> {
  if (held.length === 0) return;
  const next = sql(
    `select 1 from entry e join unnest($1::uuid[], $2::int[]) h(id, epoch) on e.task_id = h.id
     where e.epoch > h.epoch limit 1`,
    held.map(({ id }) => id),
    held.map(({ epoch }) => epoch),
  );
  const giveUpAt = at + 60_000;
  while ((await deployment.database.query(next)).length === 0) {
    // They all had ended, or wait for a human: then nobody goes on with them.
    if (clock.monotonic() > giveUpAt) return;
    await clock.sleep(lookEveryMs, signal);
  }
  onResumed(kind, clock.monotonic() - at);
}

async function restartPostgres(deps: FaultDeps, kind: FaultKind, mode: "fast" | "immediate"): Promise<void> {
  const { postgres } = deps.deployment;
  await postgres.stop(mode);
  await postgres.start();
  await anyProgress(deps, { kind, at: deps.clock.monotonic() });
}

/** Waits until tasks go on. */
async function anyProgress(deps: FaultDeps, { kind, at }: { kind: FaultKind; at: number }): Promise<void> {
  const { deployment, clock, onResumed } = deps;
  const count = sql("select count(*) as n from entry");
  const ask = async (): Promise<number | undefined> => {
    try {
      return (await deployment.database.query<{ n: number }>(count))[0]?.n;
    } catch {
      // Our own connections were cut, too.
      return undefined;
    }
  };
  const before = await until(deps, ask);
  await until(deps, async () => ((await ask()) ?? 0) > before);
  onResumed(kind, clock.monotonic() - at);
}

const lookEveryMs = 5;

/** Looks until there is something. @throws when the fault has lasted for too long */
async function until<Found>(
  { clock, signal }: FaultDeps,
  look: () => Promise<Found | false | undefined> | Found | false | undefined,
): Promise<Found> {
  for (;;) {
    const found = await look();
    if (found !== false && found !== undefined) return found;
    await clock.sleep(lookEveryMs, signal);
  }
}

async function answers(url: string): Promise<boolean> {
  return fetch(`${url}/health`).then(
    ({ ok }) => ok,
    () => false,
  );
}
