/**
 * How fast queues get shorter, measured: what waited before, and came in since, and waits no more. It is measured for the
 * whole queue and for each tenant and agent, over the last half minute, by whoever counts the queue anyway.
 *
 * Not exact, and it need not be: a task that comes back to the queue (answered, woken) is not seen coming in, and one that
 * waits behind another of its session counts as soon as it is submitted.
 */
import type { QueueRow } from "../store/queries/tasks.ts";

/** One part of the queue: all of it, or that of a tenant or an agent. */
export type Scope = "all" | `tenant ${string}` | `agent ${string}`;

export interface Counts {
  readonly waiting: number;
  readonly submitted: number;
}

export type Census = ReadonlyMap<Scope, Counts>;

/** What was drained between two counts. */
export interface Flow {
  readonly elapsedMs: number;
  readonly drained: ReadonlyMap<Scope, number>;
}

const shortestWaitMs = 1_000;
const longestWaitMs = 60_000;
const windowMs = 30_000;
/** For less time than this, that nothing moved means nothing. */
const shortestStandstillMs = 5_000;
/** What is told to come again comes again at a time of its own, up to so much later. */
const jitter = 0.2;

export function censusOf(rows: readonly QueueRow[]): Census {
  const census = new Map<Scope, Counts>([["all", { waiting: 0, submitted: 0 }]]);
  for (const { tenant, agent, waiting, submitted } of rows) {
    for (const scope of ["all", `tenant ${tenant}`, `agent ${agent}`] as const) {
      const sum = census.get(scope) ?? { waiting: 0, submitted: 0 };
      census.set(scope, { waiting: sum.waiting + waiting, submitted: sum.submitted + submitted });
    }
  }
  return census;
}

export function flowBetween(before: Census, after: Census, elapsedMs: number): Flow {
  const drained = new Map<Scope, number>();
  for (const scope of new Set([...before.keys(), ...after.keys()])) {
    const { waiting, submitted } = after.get(scope) ?? { waiting: 0, submitted: 0 };
    drained.set(scope, Math.max(0, (before.get(scope)?.waiting ?? 0) + submitted - waiting));
  }
  return { elapsedMs, drained };
}

/** The flows with the newest, without those that are too old to say anything. */
export function slide(flows: readonly Flow[], newest: Flow): Flow[] {
  const kept = [newest];
  let covered = newest.elapsedMs;
  for (const flow of flows.toReversed()) {
    covered += flow.elapsedMs;
    if (covered > windowMs) break;
    kept.unshift(flow);
  }
  return kept;
}

/** Tasks a second; undefined while too little has been measured to tell. */
export function drainRate(flows: readonly Flow[], scope: Scope): number | undefined {
  const elapsedMs = flows.reduce((sum, flow) => sum + flow.elapsedMs, 0);
  const drained = flows.reduce((sum, flow) => sum + (flow.drained.get(scope) ?? 0), 0);
  if (drained === 0 && elapsedMs < shortestStandstillMs) return undefined;
  return (drained * 1_000) / elapsedMs;
}

/** When to come again: after what waits now has been worked off, within bounds. @param random in [0, 1) */
export function waitFor(waiting: number, perSecond: number | undefined, random: number): number {
  const expectedMs = waiting === 0 || perSecond === undefined ? 0 : (waiting / perSecond) * 1_000;
  const boundedMs = Math.min(longestWaitMs, Math.max(shortestWaitMs, expectedMs));
  return Math.round(boundedMs * (1 + jitter * random));
}
