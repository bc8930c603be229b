/**
 * One process of a deployment: the real Holdfast, whose clock, chance, ids, database and models are the world's. It can die
 * at any moment, stand still and come back, and its clock can be wrong.
 */
import { createHoldfast, type Holdfast, type HoldfastOptions } from "../../src/holdfast.ts";
import type { HoldfastConfig } from "../../src/config.ts";
import type { Clock } from "../../src/platform/clock.ts";
import { createIds } from "../../src/platform/ids.ts";
import { readSettings } from "../../src/platform/settings.ts";
import type { Logger } from "../../src/telemetry/log.ts";
import { sleepOn } from "../../src/testing/virtual-clock.ts";
import type { Owner, World } from "./world.ts";

/** How busy the machine is that runs the simulation is nothing to it. */
const neverLate = { look: () => 0, stop: () => {} };

export class SimulatedProcess implements Owner {
  readonly name: string;
  readonly release: 1 | 2;
  readonly #world: World;
  state: Owner["state"] = "running";
  /** It is up and serves; undefined while it starts. */
  holdfast: Holdfast | undefined;
  isStopping = false;
  /** What its clock shows too much. */
  aheadMs = 0;
  /** Those who hear NOTIFY in it. */
  readonly listeners: ((payload: string) => void)[] = [];
  /** Called when it dies: customers whose connection breaks. */
  readonly connections = new Set<() => void>();
  /** Errors it logged, which no fault excuses. */
  readonly complaints: string[] = [];

  constructor(world: World, { name, release }: { name: string; release: 1 | 2 }) {
    this.#world = world;
    this.name = name;
    this.release = release;
  }

  get isServing(): boolean {
    return this.state === "running" && !this.isStopping && this.holdfast !== undefined;
  }

  /** Starts it; it is up some time later, or dies of what went wrong on the way. */
  start(config: HoldfastConfig, options: Pick<HoldfastOptions, "hostedAgents" | "tuning" | "parts">): Promise<void> {
    const random = (): number => this.#world.random();
    const clock = this.clock();
    const own = { clock, random, newId: createIds(ascending(clock), random), log: this.#log(), eventLoop: neverLate };
    const parts = { ...options.parts, ...own };
    return createHoldfast(config, { ...options, settings: readSettings({}), parts }).then((holdfast) => {
      this.#world.trace(this, `serves release ${this.release}`);
      this.holdfast = holdfast;
    });
  }

  clock(): Clock {
    const world = this.#world;
    const startedAt = world.now;
    const timer: Clock["timer"] = (ms, run) => world.plan({ owner: this, afterMs: ms, label: "", isTimer: true, run });
    return {
      now: () => Math.floor(world.now) + this.aheadMs,
      monotonic: () => world.now - startedAt,
      timer,
      sleep: sleepOn(timer),
    };
  }

  #log(): Logger {
    const say = (level: string) => (first: unknown, text?: unknown) => {
      const { error, why } = (typeof first === "object" ? first : {}) as { error?: unknown; why?: unknown };
      const message = [typeof first === "string" ? first : text, error, why].filter(Boolean).map(String).join(": ");
      this.#world.trace(this, `${level}: ${message}`);
      if (level === "error") this.complaints.push(message);
    };
    return { debug: () => {}, info: () => {}, warn: say("warn"), error: say("error") };
  }
}

/** As the ids of a real process: they ascend, whatever its clock does. */
function ascending(clock: Clock): Clock {
  let latest = 0;
  return { ...clock, now: () => (latest = Math.max(latest, clock.now())) };
}
