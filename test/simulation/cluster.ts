/** The processes of a deployment and all that goes between them and their customers. */
import type { Holdfast } from "../../src/holdfast.ts";
import { createModelGateway } from "../../src/gateway/gateway.ts";
import { messageOf } from "../../src/platform/errors.ts";
import { connect, type DatabaseServer } from "./connection.ts";
import type { Faults } from "./faults.ts";
import type { Outside } from "./outside.ts";
import type { Plant } from "./plant.ts";
import type { Scripts } from "./scripts.ts";
import { agentNames, configOf } from "./service.ts";
import type { SharedDatabase } from "./shared-database.ts";
import { simulatedProviders, type ModelBook } from "./simulated-model.ts";
import { SimulatedProcess } from "./simulated-process.ts";
import type { World } from "./world.ts";

export interface ClusterDeps {
  readonly world: World;
  readonly faults: Faults;
  readonly shared: SharedDatabase;
  readonly outside: Outside;
  readonly scripts: Scripts;
  readonly book: ModelBook;
  readonly plant: Plant;
}

/** The customer does not know whether the service heard it. */
export class ConnectionLost extends Error {}

export const leaseMs = 2_000;
const tuning = {
  leaseMs,
  pollMs: 1_500,
  drainMs: 1_500,
  retries: { attempts: 8, baseMs: 100, mostMs: 1_500, outageMs: 10_000 },
};
const timeouts = { firstTokenMs: 1_500, silenceMs: 1_000, totalMs: 4_000 };
const patienceMs = 4_000;

export class Cluster {
  readonly #deps: ClusterDeps;
  readonly all: SimulatedProcess[] = [];
  readonly server: DatabaseServer = { aheadMs: 0, isAway: false, refusals: [], heldBack: [] };

  constructor(deps: ClusterDeps) {
    this.#deps = deps;
    deps.shared.onNotice = (payload) => this.#spread(payload);
  }

  get living(): SimulatedProcess[] {
    return this.all.filter(({ state }) => state !== "gone");
  }

  get serving(): SimulatedProcess[] {
    return this.all.filter((process) => process.isServing);
  }

  start(release: 1 | 2): SimulatedProcess {
    const { world, faults, scripts, book, plant, outside } = this.#deps;
    const process = new SimulatedProcess(world, { name: `p${this.all.length + 1}`, release });
    this.all.push(process);
    const database = connect({ ...this.#deps, process, server: this.server, die: () => this.kill(process) });
    const providers = simulatedProviders({ world, faults, scripts, book, plant, process });
    const gateway = createModelGateway({ providers, clock: process.clock(), random: () => world.random(), timeouts });
    // Of an old release one process may host only a part.
    const hostedAgents = release === 1 && world.chance(0.2) ? ["steady"] : [...agentNames[release]];
    world.plan({
      owner: process,
      afterMs: world.between(1, 50),
      label: "starts",
      run: () => {
        const started = process.start(configOf(process, { outside, plant, die: () => this.kill(process) }), {
          hostedAgents,
          tuning,
          parts: { database, gateway },
        });
        started.catch((error: unknown) => {
          world.trace(process, `cannot start: ${messageOf(error)}`);
          this.kill(process);
        });
      },
    });
    return process;
  }

  kill(process: SimulatedProcess): void {
    if (process.state === "gone") return;
    this.#deps.world.trace(process, "dies");
    this.#deps.world.end(process);
    for (const breakOff of process.connections) breakOff();
    process.connections.clear();
  }

  /** Lets it leave in good order. */
  async stop(process: SimulatedProcess): Promise<void> {
    const { world } = this.#deps;
    const { holdfast } = process;
    if (!process.isServing || holdfast === undefined) return;
    process.isStopping = true;
    world.trace(process, "is told to stop");
    await holdfast.stop();
    this.kill(process);
  }

  /**
   * Asks a process for something, as a customer does: over a wire.
   * @throws ConnectionLost when nobody knows what came of it; whatever the service answers otherwise
   */
  request<Result>(
    process: SimulatedProcess,
    what: string,
    run: (holdfast: Holdfast) => Promise<Result>,
  ): Promise<Result> {
    const { world, faults } = this.#deps;
    return new Promise((resolve, reject) => {
      let settled = false;
      const settle = (outcome: () => void): void => {
        if (settled) return;
        settled = true;
        stopWaiting();
        process.connections.delete(lose);
        outcome();
      };
      const travel = (afterMs: number, arrive: () => void): void => {
        world.plan({ owner: world.outside, afterMs, label: "", run: arrive });
      };
      const lose = (): void => travel(world.between(1, 20), () => settle(() => reject(new ConnectionLost(what))));
      const stopWaiting = world.plan({ owner: world.outside, afterMs: patienceMs, label: "", run: lose });
      if (process.state === "gone" || faults.strikes("requestLost")) return lose();
      process.connections.add(lose);
      const respond = (outcome: () => void): void => {
        if (faults.strikes("responseLost")) lose();
        else travel(world.between(0.2, 5), () => settle(outcome));
      };
      const handle = (): void => {
        if (process.holdfast === undefined || process.isStopping) return lose();
        run(process.holdfast).then(
          (result) => respond(() => resolve(result)),
          (error: unknown) => respond(() => reject(error)),
        );
      };
      world.plan({ owner: process, afterMs: world.between(0.2, 5), label: `is asked to ${what}`, run: handle });
    });
  }

  /** A NOTIFY reaches every process that listens: late, twice, or not at all. */
  #spread(payload: string): void {
    const { world, faults } = this.#deps;
    for (const process of this.living) {
      for (const listener of process.listeners) {
        const copies = faults.strikes("hintLost") ? 0 : faults.strikes("hintDoubled") ? 2 : 1;
        for (let copy = 0; copy < copies; copy++) {
          const afterMs = faults.strikes("hintLate") ? world.between(50, 3_000) : world.between(0.3, 5);
          world.plan({ owner: process, afterMs, label: "", run: () => listener(payload) });
        }
      }
    }
  }
}
