/** A route seen by a drill: what is asked first, and what is left of it when that has failed. */
import type { ModelRoute } from "../../agent/route.ts";

/** The candidates of the first rank alone. */
export function primaryOf(route: ModelRoute): ModelRoute {
  const first = firstRankOf(route);
  return { ...route, candidates: route.candidates.filter(({ rank }) => rank === first) };
}

/** The candidates after the first rank; null: there are none. */
export function fallbackOf(route: ModelRoute): ModelRoute | null {
  const first = firstRankOf(route);
  const candidates = route.candidates.filter(({ rank }) => rank !== first);
  return candidates.length === 0 ? null : { ...route, candidates };
}

/**
 * The fallback first, and the primary as the last resort: a drill must cost nobody an answer. Null: there is no fallback.
 *
 * In this order and no other: a strategy would begin with the primary again where it suits the request, or hold what the
 * fallback says to a check that in an outage nobody makes.
 */
export function drilledRoute(route: ModelRoute): ModelRoute | null {
  const fallback = fallbackOf(route);
  if (fallback === null) return null;
  const last = Math.max(...fallback.candidates.map(({ rank }) => rank));
  const primary = primaryOf(route).candidates.map((candidate) => ({ ...candidate, rank: last + candidate.rank }));
  return { ...route, strategy: "fixed", candidates: [...fallback.candidates, ...primary] };
}

function firstRankOf({ candidates }: ModelRoute): number {
  return Math.min(...candidates.map(({ rank }) => rank));
}
