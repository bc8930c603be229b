/**
 * Faults and drills that an operator orders over the API: whichever process is asked, every process does it. The order is in
 * the store; each process looks there every few seconds, and hands in what its drilled calls came to.
 */
import { createBackground } from "../../platform/background.ts";
import type { Clock } from "../../platform/clock.ts";
import { HoldfastError } from "../../platform/errors.ts";
import type { Random } from "../../platform/random.ts";
import type { Experiment, ExperimentKind } from "../../store/queries/experiments.ts";
import type { Logger } from "../../telemetry/log.ts";
import { logStoreTrouble } from "../../telemetry/store-trouble.ts";
import { Drill, type DrillDeps } from "./drill.ts";
import { planDrill, type DrillOptions, type DrillPlan } from "./drill-plan.ts";
import { addResults, DrillTally, type DrillResult } from "./drill-tally.ts";
import { parseFaults, type Fault, type FaultOptions } from "./fault-rules.ts";
import { Faults, type FaultsDeps } from "./faults.ts";

export interface ExperimentStore {
  orderExperiment(experiment: Experiment): Promise<void>;
  endExperiment(kind: ExperimentKind): Promise<void>;
  experiments(): Promise<readonly Experiment[]>;
  addDrillResults(rows: readonly DrillResult[]): Promise<void>;
  drillResults(since: { hours: number; limit: number }): Promise<readonly DrillResult[]>;
}

export interface ExperimentsDeps {
  readonly store: ExperimentStore;
  readonly clock: Clock;
  readonly log: Logger;
  /** Whether this environment has game days. Elsewhere no fault is injected, whatever is ordered. */
  readonly gameDay: boolean;
  readonly faults: Faults;
  readonly drill: Drill;
  readonly tally: DrillTally;
}

/** What the configuration may say of experiments. */
export interface ExperimentOptions {
  /** From the start of each process on; only where the environment says HOLDFAST_GAME_DAY=on. */
  readonly faults?: readonly FaultOptions[];
  /** A share of the calls goes to the fallback as if what comes first had failed. Default: none. */
  readonly drill?: DrillOptions;
}

/** @throws InvalidInputError `invalid_fault`, `invalid_config` with the path of what is wrong */
export function parseExperiments({ faults = [], drill }: ExperimentOptions = {}): {
  readonly faults: readonly Fault[];
  readonly plan: DrillPlan | null;
} {
  return { faults: parseFaults(faults, "/gateway/faults"), plan: drill === undefined ? null : planDrill(drill) };
}

/** @throws HoldfastError `game_day_off` */
export function createExperiments(
  deps: Pick<ExperimentsDeps, "store" | "clock" | "log" | "gameDay"> & {
    readonly random: Random;
    readonly options: ExperimentOptions | undefined;
    readonly onInjected: FaultsDeps["onInjected"];
    readonly onDrilled: DrillDeps["onCall"];
  },
): Experiments {
  const configured = parseExperiments(deps.options);
  if (configured.faults.length > 0) requireGameDay(deps.gameDay);
  const faults = new Faults(deps);
  const now = deps.clock.now();
  faults.set(
    "config",
    configured.faults.map((fault) => ({ ...fault, until: now + fault.forMs })),
  );
  const tally = new DrillTally();
  const drill = new Drill({ ...deps, tally, plan: configured.plan, onCall: deps.onDrilled });
  return new Experiments({ ...deps, faults, tally, drill });
}

function requireGameDay(gameDay: boolean): void {
  if (gameDay) return;
  const message =
    "Faults are injected only where the environment says HOLDFAST_GAME_DAY=on. Set it where an outage on purpose is wanted, " +
    "and nowhere else.";
  throw new HoldfastError("game_day_off", message);
}

const lookEveryMs = 5_000;
const mostResultRows = 5_000;

export class Experiments {
  readonly #deps: ExperimentsDeps;
  readonly #background;
  #cancelTimer: (() => void) | undefined;
  #isStopped = false;
  #isStruck = false;

  constructor(deps: ExperimentsDeps) {
    this.#deps = deps;
    const { log } = deps;
    this.#background = createBackground((_name, error) => logStoreTrouble(log, error, "experiments cannot be read"));
  }

  get gameDay(): boolean {
    return this.#deps.gameDay;
  }

  /** Of which the gateway draws. */
  get faults(): Faults {
    return this.#deps.faults;
  }

  /** Through which the calls go. */
  get drill(): Drill {
    return this.#deps.drill;
  }

  /** Begins to look for orders, at once. */
  start(): void {
    this.#background.start("experiments", () => this.#look().finally(() => this.#arm()));
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancelTimer?.();
    await this.#background.settled();
    this.#background.start("experiments", () => this.#handIn());
    await this.#background.settled();
  }

  /** @throws HoldfastError `game_day_off`; InvalidInputError `invalid_fault`; StoreError */
  async orderFaults(faults: readonly FaultOptions[], forMs: number): Promise<void> {
    requireGameDay(this.gameDay);
    parseFaults(faults, "/faults");
    const value = { faults: faults.map((fault) => ({ ...fault, forMs })) };
    await this.#deps.store.orderExperiment({ kind: "faults", value, leftMs: forMs });
    await this.#look();
  }

  async orderDrill(share: number, forMs: number): Promise<void> {
    await this.#deps.store.orderExperiment({ kind: "drill", value: { share }, leftMs: forMs });
    await this.#look();
  }

  /** Ends what was ordered; what the configuration says goes on. */
  async end(kind: ExperimentKind): Promise<void> {
    await this.#deps.store.endExperiment(kind);
    await this.#look();
  }

  /** What the drills of the last hours came to, in all processes: for each route its two paths. */
  async drillResults(hours: number): Promise<DrillResult[]> {
    await this.#handIn();
    const sums = new Map<string, DrillResult>();
    for (const row of await this.#deps.store.drillResults({ hours, limit: mostResultRows })) {
      const key = JSON.stringify([row.first, row.fallback, row.path]);
      const known = sums.get(key);
      sums.set(key, known === undefined ? row : addResults(known, row));
    }
    return [...sums.values()];
  }

  #arm(): void {
    if (this.#isStopped) return;
    this.#cancelTimer = this.#deps.clock.timer(lookEveryMs, () => this.start());
  }

  async #look(): Promise<void> {
    const { store, clock, faults, drill, gameDay } = this.#deps;
    await this.#handIn();
    const found = new Map((await store.experiments()).map((each) => [each.kind, each]));
    const now = clock.now();
    const ordered = found.get("drill");
    const { share = 0 } = (ordered?.value ?? {}) as { share?: number };
    drill.order(ordered === undefined ? null : { share, until: now + ordered.leftMs });
    const struck = gameDay ? found.get("faults") : undefined;
    const { faults: options = [] } = (struck?.value ?? {}) as { faults?: FaultOptions[] };
    const until = now + (struck?.leftMs ?? 0);
    faults.set(
      "request",
      parseFaults(options, "/faults").map((fault) => ({ ...fault, until })),
    );
    this.#tellOfFaults();
  }

  /** Whoever reads the log of an outage must see that it is one on purpose. */
  #tellOfFaults(): void {
    const { log, faults } = this.#deps;
    const isStruck = faults.active.length > 0;
    if (isStruck === this.#isStruck) return;
    this.#isStruck = isStruck;
    const models = [...new Set(faults.active.map(({ model }) => model))];
    if (isStruck) log.warn({ models }, "a game day: faults are injected into model calls");
    else log.warn("the game day is over: no faults are injected any more");
  }

  /** What could not be written is handed in with the next; if only the answer was lost, it counts twice. */
  async #handIn(): Promise<void> {
    const { store, tally } = this.#deps;
    const results = tally.take();
    try {
      await store.addDrillResults(results);
    } catch (error) {
      tally.giveBack(results);
      throw error;
    }
  }
}
