/** One seed: a deployment, its customers and its misfortunes, and the verdict. */
import { Cluster } from "./cluster.ts";
import { befall, mend } from "./chaos.ts";
import { beCustomer, type Market } from "./customers.ts";
import { Faults } from "./faults.ts";
import { answerQuestions } from "./humans.ts";
import { checkEffects } from "./invariants/effects.ts";
import { gather } from "./invariants/evidence.ts";
import { checkLedger } from "./invariants/ledger.ts";
import { checkPromises } from "./invariants/promises.ts";
import { checkTasks } from "./invariants/tasks.ts";
import { Verdict, type Violation } from "./invariants/violation.ts";
import { Outside } from "./outside.ts";
import { type Climate, nothingPlanted, type Plant } from "./plant.ts";
import { Scripts } from "./scripts.ts";
import { agentNames } from "./service.ts";
import type { SharedDatabase } from "./shared-database.ts";
import { ModelBook } from "./simulated-model.ts";
import { nothingTold } from "./told.ts";
import { World } from "./world.ts";

export interface Outcome {
  readonly seed: number;
  /** Equal for two runs that took the same course. */
  readonly hash: string;
  readonly violations: readonly Violation[];
  readonly trace: readonly string[];
}

/** From here on everything goes well. */
const chaosMs = 4_000;
/** All that was accepted must have ended so long after the faults have. A clock that was wrong by a minute may cost that. */
const patienceMs = 120_000;

export async function runSeed(seed: number, shared: SharedDatabase, plant: Plant = nothingPlanted()): Promise<Outcome> {
  await shared.empty();
  const world = new World(seed);
  const market = setUp(world, shared, plant);
  const verdict = new Verdict();
  const broken: unknown[] = [];
  const onRejection = (reason: unknown): void => void broken.push(reason);
  process.on("unhandledRejection", onRejection);
  try {
    const endedAt = await play(market, shared, verdict);
    const [refusal] = market.cluster.server.refusals;
    // What is planted must be a bug and not nonsense, which would be noticed by anybody.
    if (refusal !== undefined) throw new Error(`Seed ${seed}: a statement is wrong: ${refusal}`);
    await judge({ ...market, endedAt }, shared, verdict);
  } finally {
    process.off("unhandledRejection", onRejection);
  }
  for (const reason of broken) verdict.require(false, "errors", `A promise was left alone: ${String(reason)}`);
  return { seed, hash: world.hash(), violations: verdict.violations, trace: world.lines };
}

/** Errors that the faults of this world explain. */
const excuses = ["The connection was lost.", "A deadlock was detected."];

type Setting = Market & { readonly book: ModelBook; readonly climate: Climate };

function setUp(world: World, shared: SharedDatabase, plant: Plant): Setting {
  const faults = new Faults(world, plant.climate.faults);
  const outside = new Outside(world, faults);
  const scripts = new Scripts(world);
  const book = new ModelBook();
  const cluster = new Cluster({ world, faults, shared, outside, scripts, book, plant });
  for (let started = world.integer(1, 2); started > 0; started--) cluster.start(world.chance(0.7) ? 1 : 2);
  const some = world.integer(1, 2);
  const tenants = ["acme", "bolt"].slice(0, plant.climate.tenants ?? some);
  return { world, faults, outside, scripts, book, cluster, told: nothingTold(), tenants, climate: plant.climate };
}

/** @returns when all that had been accepted had ended */
async function play(market: Setting, shared: SharedDatabase, verdict: Verdict): Promise<number> {
  const { world } = market;
  let mended = false;
  let endedAt: number | undefined;
  const customers = Promise.all(orders(market).map((order) => beCustomer(market, order))).then(async () => {
    while (!mended || (await openTasks(shared)) > 0) await world.sleep(500);
    endedAt = world.elapsed;
  });
  let over = false;
  const everybody = Promise.all([
    customers,
    befall(market),
    answerQuestions(market, () => endedAt !== undefined),
  ]).finally(() => {
    over = true;
  });
  // What they throw is thrown below, when the world has come to rest.
  everybody.catch(() => undefined);
  const end = (): void => {
    mended = true;
    mend(market);
  };
  world.plan({ owner: world.outside, afterMs: chaosMs, label: "", run: end });
  while (!over && world.elapsed < chaosMs + patienceMs && (await world.step()));
  if (!over) {
    verdict.require(false, "liveness", `${await stuck(shared)} have not ended ${patienceMs} ms after the last fault.`);
    return world.elapsed;
  }
  await everybody;
  await close(market, verdict);
  return endedAt ?? world.elapsed;
}

/** All processes leave in good order. */
async function close({ world, cluster }: Setting, verdict: Verdict): Promise<void> {
  let left = false;
  const stopped = Promise.all(cluster.living.map((process) => cluster.stop(process))).then(() => {
    left = true;
  });
  const until = world.elapsed + 10_000;
  while (!left && world.elapsed < until && (await world.step()));
  verdict.require(left, "liveness", "A process that was told to stop did not.");
  if (left) await stopped;
  for (const process of cluster.living) cluster.kill(process);
}

function orders({ world, tenants, scripts, climate }: Setting) {
  return Array.from({ length: world.integer(2, 5) }, (_, index) => {
    const tenant = world.pick(tenants);
    // Tenants have sessions of the same names, and so do keys.
    const session = `s${world.integer(1, climate.sessions ?? 2)}`;
    return {
      tenant,
      session,
      script: scripts.write(tenant, session),
      key: world.chance(0.8) ? `key ${index}` : null,
      agent: climate.agent ?? world.pick([...agentNames[1], ...agentNames[1], ...agentNames[2]]),
      priority: world.pick([0, 0, 5, -5]),
    };
  });
}

async function openTasks({ database }: SharedDatabase): Promise<number> {
  const [row] = await database.query<{ open: number }>({
    name: "simulation_open",
    text: "select count(*)::int as open from task where status in ('pending', 'running', 'waiting')",
    values: [],
  });
  return row?.open ?? 0;
}

async function stuck({ database }: SharedDatabase): Promise<string> {
  const rows = await database.query<{ id: string; status: string }>({
    text: "select id, status from task where status in ('pending', 'running', 'waiting') order by id",
    values: [],
  });
  return rows.map(({ id, status }) => `…${id.slice(-4)} (${status})`).join(", ") || "The customers";
}

async function judge(
  market: Setting & { readonly endedAt: number },
  { database }: SharedDatabase,
  verdict: Verdict,
): Promise<void> {
  const evidence = await gather(database, { ...market, processes: market.cluster.all });
  checkTasks(evidence, verdict);
  checkEffects(evidence, verdict);
  checkLedger(evidence, verdict);
  checkPromises(evidence, verdict);
  for (const { name, complaints } of evidence.processes) {
    for (const complaint of complaints) {
      const isExcused = excuses.some((excuse) => complaint.includes(excuse));
      verdict.require(isExcused, "errors", `${name} logged: ${complaint}`);
    }
  }
}
