/**
 * A discrete-event simulation of very many sessions: people write, models take seconds to answer, workers gather writes
 * while one flush of a kind is in flight, and the cores of a database take the flushes in the order they come.
 *
 * It simulates queues and coalescing, the two things that do not follow from an average. What a flush costs is measured.
 */
import TinyQueue from "tinyqueue";
import { seededRandom } from "../../test/support/seeded-random.ts";
import { percentile } from "../measure.ts";
import type { Costs, Outcome, Plant, Workload, Write } from "./model.ts";

interface Simulation {
  readonly workload: Workload;
  readonly plant: Plant;
  readonly costs: Costs;
  /** Virtual time before anything is counted, and while it is. */
  readonly warmUpMs: number;
  readonly measureMs: number;
  readonly seed: number;
}

interface Task {
  readonly worker: WorkerProcess;
  turnsLeft: number;
  /** Time spent on anything but models and tools. */
  overheadMs: number;
}

interface Item {
  readonly task: Task;
  readonly asked: number;
  readonly done: () => void;
}

interface DatabaseServer {
  sessions: number;
  readonly workers: WorkerProcess[];
  /** When each core is free again. */
  readonly freeAt: number[];
  /** Time of its cores that flushes took, and the part of it that grows with what they carry. */
  busyMs: number;
  itemsMs: number;
}

interface WorkerProcess {
  readonly database: DatabaseServer;
  readonly waiting: Record<Write, Item[]>;
  readonly flushing: Record<Write, boolean>;
  cpuFreeAt: number;
  cpuMs: number;
}

/** More travel in the next flush, as in the store. */
const mostPerFlush = 500;

export function simulate(simulation: Simulation): Outcome {
  const { workload, plant, warmUpMs, measureMs } = simulation;
  const world = new World(simulation);
  const databases = Array.from({ length: plant.databases }, () => makeDatabase(plant));
  for (const database of assignSessions(databases, workload, world.random)) world.think(database);
  world.runUntil(warmUpMs + measureMs);

  const { overheads } = world;
  overheads.sort((a, b) => a - b);
  const workers = databases.flatMap((database) => database.workers);
  const capacityMs = measureMs * plant.cores;
  return {
    tasksPerSecond: overheads.length / (measureMs / 1_000),
    databaseLoad: Math.max(...databases.map(({ itemsMs }) => itemsMs)) / capacityMs,
    databaseBusy: Math.max(...databases.map(({ busyMs }) => busyMs)) / capacityMs,
    workerBusy: Math.max(...workers.map(({ cpuMs }) => cpuMs)) / measureMs,
    mostInFlight: world.mostInFlight,
    overheadP50Ms: percentile(overheads, 0.5),
    overheadP99Ms: percentile(overheads, 0.99),
    itemsPerFlush: world.items / world.flushes,
  };
}

class World {
  readonly random: () => number;
  /** Per task: what it waited for anything but models and tools. */
  readonly overheads: number[] = [];
  mostInFlight = 0;
  items = 0;
  flushes = 0;
  readonly #simulation: Simulation;
  readonly #events = new TinyQueue<{ at: number; run: () => void }>([], (a, b) => a.at - b.at);
  #now = 0;
  #inFlight = 0;

  constructor(simulation: Simulation) {
    this.#simulation = simulation;
    this.random = seededRandom(simulation.seed);
  }

  runUntil(endAt: number): void {
    for (let event = this.#events.pop(); event !== undefined && event.at < endAt; event = this.#events.pop()) {
      this.#now = event.at;
      event.run();
    }
  }

  /** One person: thinks, writes, waits for the answer, and again. */
  think(database: DatabaseServer): void {
    this.#after(exponential(this.random, this.#simulation.workload.thinkMs), () => {
      const worker = database.workers[Math.floor(this.random() * database.workers.length)]!;
      const task: Task = { worker, turnsLeft: this.#simulation.workload.turns, overheadMs: 0 };
      this.#write("submit", task, () => {
        this.mostInFlight = Math.max(this.mostInFlight, ++this.#inFlight);
        this.#turn(task);
      });
    });
  }

  #turn(task: Task): void {
    const { modelMs, toolMs, sigma } = this.#simulation.workload;
    this.#after(logNormal(this.random, modelMs, sigma), () => {
      task.turnsLeft -= 1;
      if (task.turnsLeft === 0) this.#write("finish", task, () => this.#ended(task));
      // The turn and what its tool read travel together.
      else
        this.#after(logNormal(this.random, toolMs, sigma), () => this.#write("append", task, () => this.#turn(task)));
    });
  }

  #ended(task: Task): void {
    this.#inFlight -= 1;
    if (this.#measuring()) this.overheads.push(task.overheadMs);
    this.think(task.worker.database);
  }

  /** The worker's process prepares the write, then it waits for its flush. */
  #write(kind: Write, task: Task, done: () => void): void {
    const { worker } = task;
    const { workerMs } = this.#simulation.costs;
    worker.cpuFreeAt = Math.max(this.#now, worker.cpuFreeAt) + workerMs;
    if (this.#measuring()) worker.cpuMs += workerMs;
    const asked = this.#now;
    this.#after(worker.cpuFreeAt - this.#now, () => {
      worker.waiting[kind].push({ task, asked, done });
      this.#flush(kind, worker);
    });
  }

  #flush(kind: Write, worker: WorkerProcess): void {
    if (worker.flushing[kind] || worker.waiting[kind].length === 0) return;
    worker.flushing[kind] = true;
    const batch = worker.waiting[kind].splice(0, mostPerFlush);
    const doneAt = this.#occupyCore(worker.database, kind, batch.length);
    this.#after(doneAt - this.#now, () => {
      worker.flushing[kind] = false;
      for (const { task, asked, done } of batch) {
        task.overheadMs += this.#now - asked;
        done();
      }
      this.#flush(kind, worker);
    });
  }

  /** @returns when the core that is free first has done the flush */
  #occupyCore(database: DatabaseServer, kind: Write, items: number): number {
    const { fixedMs, itemMs } = this.#simulation.costs.flush[kind];
    const costMs = fixedMs + itemMs * items;
    const { freeAt } = database;
    const core = freeAt.indexOf(Math.min(...freeAt));
    const doneAt = Math.max(this.#now, freeAt[core]!) + costMs;
    freeAt[core] = doneAt;
    if (this.#measuring()) {
      database.busyMs += costMs;
      database.itemsMs += itemMs * items;
      this.flushes += 1;
      this.items += items;
    }
    return doneAt;
  }

  #measuring(): boolean {
    return this.#now >= this.#simulation.warmUpMs;
  }

  #after(ms: number, run: () => void): void {
    this.#events.push({ at: this.#now + ms, run });
  }
}

function makeDatabase({ cores, workers }: Plant): DatabaseServer {
  const database: DatabaseServer = {
    sessions: 0,
    workers: [],
    freeAt: Array.from({ length: cores }, () => 0),
    busyMs: 0,
    itemsMs: 0,
  };
  for (let n = 0; n < workers; n++) {
    database.workers.push({
      database,
      waiting: { submit: [], append: [], finish: [] },
      flushing: { submit: false, append: false, finish: false },
      cpuFreeAt: 0,
      cpuMs: 0,
    });
  }
  return database;
}

/** The database of each session: that of its tenant. The next tenant goes to the database with the fewest sessions. */
function assignSessions(
  databases: DatabaseServer[],
  { sessions, tenants }: Workload,
  random: () => number,
): DatabaseServer[] {
  const harmonic = Array.from({ length: tenants }, (_, n) => 1 / (n + 1)).reduce((sum, weight) => sum + weight, 0);
  const assigned: DatabaseServer[] = [];
  for (let n = 0; n < tenants && assigned.length < sessions; n++) {
    const database = databases.reduce((least, other) => (other.sessions < least.sessions ? other : least));
    const share = sessions / (n + 1) / harmonic;
    const size = Math.min(sessions - assigned.length, Math.floor(share) + (random() < share % 1 ? 1 : 0));
    database.sessions += size;
    for (let k = 0; k < size; k++) assigned.push(database);
  }
  const last = databases.at(-1)!;
  last.sessions += sessions - assigned.length;
  while (assigned.length < sessions) assigned.push(last);
  return assigned;
}

function exponential(random: () => number, mean: number): number {
  return -Math.log(1 - random()) * mean;
}

/** By the Box-Muller transform. */
function logNormal(random: () => number, median: number, sigma: number): number {
  const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  return median * Math.exp(sigma * normal);
}
