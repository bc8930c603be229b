/** What is evaluated side by side: a route and each of its candidates, or what comes first in it and what it falls back to. */
import type { Candidate, ModelRoute } from "../agent/route.ts";
import { InvalidInputError } from "../platform/errors.ts";
import { fallbackOf, primaryOf } from "../gateway/experiments/drill-route.ts";

export interface Target {
  /** "route", "primary", "fallback", or the model. */
  readonly name: string;
  readonly route: ModelRoute;
}

/** The route as a whole comes first: it is what callers get. */
export function routeTargets(route: ModelRoute): Target[] {
  const models = [...new Set(route.candidates.map(({ model }) => model))];
  const alone = models.flatMap((model) => route.candidates.find((candidate) => candidate.model === model) ?? []);
  const candidates = alone.map((candidate) => ({ name: candidate.model, route: routeOfOne(candidate) }));
  return [{ name: "route", route }, ...(candidates.length > 1 ? candidates : [])];
}

/** @throws InvalidInputError `no_fallback` */
export function fallbackTargets(route: ModelRoute): Target[] {
  const fallback = fallbackOf(route);
  if (fallback === null) {
    throw new InvalidInputError(
      "no_fallback",
      "The route has one rank of candidates, so there is no fallback to drill.",
    );
  }
  return [
    { name: "fallback", route: fallback },
    { name: "primary", route: primaryOf(route) },
  ];
}

/** Every case goes to it, whatever its conditions in the route are. */
function routeOfOne(candidate: Candidate): ModelRoute {
  return { strategy: "fixed", candidates: [{ ...candidate, when: {} }], hedge: false };
}
