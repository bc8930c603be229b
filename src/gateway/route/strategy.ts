/**
 * Puts the candidates of a route in the order in which this call tries them, and says why.
 *
 * Candidates whose conditions the request does not meet are left out. What is left goes by rank; within a rank by lot, so that
 * each has its share of the calls by weight. Then the strategy moves the beginning. Nothing is dropped by it: who comes
 * too early for the request is still asked when the others fail.
 */
import type { ModelChoice } from "../../agent/journal.ts";
import type { Candidate, Conditions, ModelRoute } from "../../agent/route.ts";
import type { Random } from "../../platform/random.ts";
import type { ModelRequest } from "../model-gateway.ts";
import { requestTokens } from "../call/request-tokens.ts";
import { splitModelName } from "../model-name.ts";

export interface RoutePlan {
  /** Never empty. */
  readonly order: readonly Candidate[];
  /** Why the first of them comes first. */
  readonly choice: ModelChoice;
  /** The input of the request, estimated. */
  readonly contextTokens: number;
  /** Candidates of this rank must stand up to a check; null: none must. */
  readonly checkedRank: number | null;
}

export interface StrategyDeps {
  readonly random: Random;
  /** In tokens; null where it is unknown. */
  readonly contextWindow: (model: string) => number | null;
}

type PlanRequest = Pick<ModelRequest, "route" | "system" | "messages" | "tools" | "maxOutputTokens">;

/** Fuller than this share of its context window models become forgetful, and the next turn may not fit. */
const fullShare = 0.8;

export function planRoute(request: PlanRequest, deps: StrategyDeps): RoutePlan {
  const { route } = request;
  const contextTokens = requestTokens(request);
  const open = route.candidates.filter(({ when }) => meets(when, { request, contextTokens }));
  const ranked = drawOrder(open, deps.random);
  const common = { contextTokens, checkedRank: null };
  const { strategy } = route;
  switch (strategy) {
    case "fixed":
      return { ...common, order: ranked, choice: { strategy, reason: fixedReason(route, ranked) } };
    case "small_first": {
      const checkedRank = ranked[0]?.rank ?? null;
      return { ...common, checkedRank, order: ranked, choice: { strategy, reason: "the small model is asked first" } };
    }
    case "complexity":
      return { ...common, ...byComplexity(ranked, request, contextTokens) };
    case "saturation":
      return { ...common, ...bySaturation(ranked, { tokens: contextTokens + request.maxOutputTokens, ...deps }) };
  }
}

function meets(when: Conditions, { request, contextTokens }: { request: PlanRequest; contextTokens: number }): boolean {
  const { tools, contextTokensAtLeast = 0, contextTokensAtMost = Number.POSITIVE_INFINITY } = when;
  if (tools !== undefined && tools !== request.tools.length > 0) return false;
  return contextTokens >= contextTokensAtLeast && contextTokens <= contextTokensAtMost;
}

/** By rank; those of one rank by a weighted lot, which is drawn only where there is something to draw. */
function drawOrder(candidates: readonly Candidate[], random: Random): Candidate[] {
  const ranks = Map.groupBy(
    candidates.toSorted((one, other) => one.rank - other.rank),
    ({ rank }) => rank,
  );
  return [...ranks.values()].flatMap((same) => (same.length === 1 ? same : draw(same, random)));
}

/** The larger the weight, the later the exponential clock that the lot stands for is likely to ring: earliest first. */
function draw(candidates: readonly Candidate[], random: Random): Candidate[] {
  const lots = new Map(candidates.map((candidate) => [candidate, -Math.log(1 - random()) / candidate.weight]));
  return candidates.toSorted((one, other) => lots.get(one)! - lots.get(other)!);
}

function fixedReason({ candidates }: ModelRoute, [first, second]: readonly Candidate[]): string {
  if (first !== undefined && first.rank === second?.rank) return `drawn by weight among those of rank ${first.rank}`;
  const skipped = candidates.some(({ rank }) => rank < (first?.rank ?? 0));
  return skipped ? "the first whose conditions the request meets" : "the first of the route";
}

/** A place among the ranks, the easiest first. The rules in this process are no strong model: they are the last resort. */
function byComplexity(
  ranked: readonly Candidate[],
  request: PlanRequest,
  contextTokens: number,
): Pick<RoutePlan, "order" | "choice"> {
  const { score, by } = complexityOf(request, contextTokens);
  const resorts = ranked.filter(isLastResort);
  const models = ranked.filter((candidate) => !isLastResort(candidate));
  const ranks = [...new Set(models.map(({ rank }) => rank))];
  const start = ranks[Math.min(ranks.length - 1, Math.floor(score * ranks.length))] ?? 0;
  const strong = models.filter(({ rank }) => rank >= start);
  const weak = models.filter(({ rank }) => rank < start).toSorted((one, other) => other.rank - one.rank);
  const reason = `complexity ${score.toFixed(2)} by its ${by}`;
  return { order: [...strong, ...weak, ...resorts], choice: { strategy: "complexity", reason } };
}

/** Where each feature of a request is taken to make it as hard as can be. */
const hardest = { input: 16_000, tools: 12, turns: 24, "last message": 3_000, "lines of the last message": 60 };

/**
 * How hard a request looks, from 0 to 1: as hard as its hardest feature. Only what can be counted in any language counts;
 * whether it is hard in truth, no rule can tell.
 */
export function complexityOf(
  { messages, tools }: Pick<ModelRequest, "messages" | "tools">,
  contextTokens: number,
): { score: number; by: string } {
  const last = messages.findLast((message) => message.role === "user")?.text ?? "";
  const counts: Record<keyof typeof hardest, number> = {
    input: contextTokens,
    tools: tools.length,
    turns: messages.length,
    "last message": last.length,
    "lines of the last message": last.split("\n").length - 1,
  };
  const features = (Object.keys(hardest) as (keyof typeof hardest)[]).map((by) => ({
    by,
    score: Math.min(1, counts[by] / hardest[by]),
  }));
  return features.reduce((hard, each) => (each.score > hard.score ? each : hard));
}

function bySaturation(
  ranked: readonly Candidate[],
  { tokens, contextWindow }: { tokens: number } & StrategyDeps,
): Pick<RoutePlan, "order" | "choice"> {
  const isRoomy = (candidate: Candidate): boolean => {
    const window = contextWindow(candidate.model);
    return window === null || tokens <= window * fullShare;
  };
  const roomy = ranked.filter((candidate) => isLastResort(candidate) || isRoomy(candidate));
  const full = ranked.filter((candidate) => !roomy.includes(candidate));
  const resorts = roomy.filter(isLastResort);
  const order = [...roomy.filter((candidate) => !isLastResort(candidate)), ...full, ...resorts];
  const names = full.map(({ model }) => model).join(", ");
  const reason =
    names === "" ? "the first of the route has room" : `about ${tokens} tokens would all but fill ${names}`;
  return { order, choice: { strategy: "saturation", reason } };
}

function isLastResort({ model }: Candidate): boolean {
  return splitModelName(model).provider === "rules";
}
