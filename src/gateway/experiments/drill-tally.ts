/** What the calls of drills came to in this process, until it is added to what all processes know. */
import { addTo, emptyHistogram, sumOf, type Histogram } from "./histogram.ts";

export type DrillPath = "primary" | "fallback";

export interface DrillCall {
  /** The models of the route's first rank, and those after it, each joined by a comma. */
  readonly first: string;
  readonly fallback: string;
  readonly path: DrillPath;
  /** By the models of its path, and not by the others. */
  readonly answered: boolean;
  readonly tokens: number;
  /** Null: a price is unknown. */
  readonly costMicros: number | null;
  /** Null: there was no answer. */
  readonly ms: number | null;
  readonly ttftMs: number | null;
}

export interface DrillResult {
  readonly first: string;
  readonly fallback: string;
  readonly path: DrillPath;
  readonly calls: number;
  readonly answered: number;
  readonly tokens: number;
  /** Of the calls whose price is known. */
  readonly costMicros: number;
  readonly unpriced: number;
  readonly ms: Histogram;
  readonly ttftMs: Histogram;
}

/** Routes come from the configuration and from callers, so their number has a bound; what is over it is not counted. */
const mostRoutes = 500;

export class DrillTally {
  #results = new Map<string, DrillResult>();

  add(call: DrillCall): void {
    const ms = emptyHistogram();
    const ttftMs = emptyHistogram();
    if (call.ms !== null) addTo(ms, call.ms);
    if (call.ttftMs !== null) addTo(ttftMs, call.ttftMs);
    const { first, fallback, path, answered, tokens, costMicros } = call;
    this.#merge({
      first,
      fallback,
      path,
      tokens,
      ms,
      ttftMs,
      calls: 1,
      answered: answered ? 1 : 0,
      costMicros: costMicros ?? 0,
      unpriced: costMicros === null ? 1 : 0,
    });
  }

  /** What there is, which is no longer here then. */
  take(): DrillResult[] {
    const results = [...this.#results.values()];
    this.#results = new Map();
    return results;
  }

  /** What could not be handed on. */
  giveBack(results: readonly DrillResult[]): void {
    for (const result of results) this.#merge(result);
  }

  #merge(result: DrillResult): void {
    const key = JSON.stringify([result.first, result.fallback, result.path]);
    const known = this.#results.get(key);
    if (known === undefined && this.#results.size >= 2 * mostRoutes) return;
    this.#results.set(key, known === undefined ? result : addResults(known, result));
  }
}

export function addResults(one: DrillResult, other: DrillResult): DrillResult {
  return {
    ...one,
    calls: one.calls + other.calls,
    answered: one.answered + other.answered,
    tokens: one.tokens + other.tokens,
    costMicros: one.costMicros + other.costMicros,
    unpriced: one.unpriced + other.unpriced,
    ms: sumOf(one.ms, other.ms),
    ttftMs: sumOf(one.ttftMs, other.ttftMs),
  };
}
