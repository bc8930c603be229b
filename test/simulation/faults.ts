/**
 * Which faults a seed has in store, and how often. Each seed leaves some kinds out altogether: a fault that strikes all the
 * time hides what the others would show.
 */
import type { World } from "./world.ts";

/** How often a fault strikes where it can, at most; a seed takes a part of it. */
const mostOften = {
  // Between a process and the database.
  queryRefused: 0.04,
  answerLost: 0.06,
  transactionLost: 0.03,
  querySlow: 0.04,
  // A worker stands still, and its write arrives when another has taken its tasks.
  lateWrite: 0.25,
  // A process dies when its write has been committed and it has not been told.
  deathAtCommit: 0.06,
  // Between processes.
  hintLost: 0.4,
  hintDoubled: 0.2,
  hintLate: 0.3,
  // Between a customer and a process.
  requestLost: 0.05,
  responseLost: 0.08,
  streamCut: 0.1,
  // Models.
  modelBusy: 0.08,
  modelDown: 0.08,
  modelRefuses: 0.02,
  modelHangs: 0.05,
  modelBreaksOff: 0.08,
  modelSlow: 0.3,
  // Tools.
  toolFails: 0.08,
  toolHangs: 0.08,
  toolUnsure: 0.08,
  deathInTool: 0.1,
  // What befalls a process, each time something may befall one.
  death: 0.5,
  pause: 0.5,
  release: 0.5,
  clockJump: 0.3,
  outage: 0.2,
  modelOutage: 0.2,
} as const;

export type FaultKind = keyof typeof mostOften;

export class Faults {
  readonly #world: World;
  readonly #rates = new Map<FaultKind, number>();
  #over = false;
  /** No model answers: all providers are down. */
  modelsAreAway = false;

  /** Those that are favoured are there in any seed, as often as may be. */
  constructor(world: World, favoured: readonly FaultKind[] = []) {
    this.#world = world;
    for (const [kind, most] of Object.entries(mostOften)) {
      const rate = world.chance(0.6) ? most * world.between(0.2, 1) : 0;
      this.#rates.set(kind as FaultKind, favoured.includes(kind as FaultKind) ? most : rate);
    }
  }

  /** Whether it strikes here and now. */
  strikes(kind: FaultKind): boolean {
    const rate = this.#rates.get(kind) ?? 0;
    return !this.#over && rate > 0 && this.#world.chance(rate);
  }

  /** From now on all goes well: what was promised must come true. */
  end(): void {
    this.#over = true;
    this.modelsAreAway = false;
  }

  get over(): boolean {
    return this.#over;
  }
}
