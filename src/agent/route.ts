/**
 * A route: which models may answer a call, in which order, and for which calls. Plain data, checked once when its agent is
 * defined. What is made of it for a call is the gateway's business (gateway/route/strategy.ts).
 */
import { InvalidInputError } from "../platform/errors.ts";

export interface ModelRoute {
  readonly strategy: RouteStrategy;
  /** Empty: the deployment's default route. */
  readonly candidates: readonly Candidate[];
  /** A call whose first token is late asks a second time; see gateway/resilience/hedge.ts. */
  readonly hedge: boolean;
  /** With `small_first`: who judges the answer of the small model; see gateway/route/small-first.ts. Absent: nobody. */
  readonly judge?: RouteJudge;
}

export interface RouteJudge {
  /** `provider/model`. */
  readonly model: string;
  /** Empty: the usual ones. */
  readonly criteria: readonly string[];
  /** The answer stands if this share of them is met. */
  readonly atLeast: number;
}

/**
 * Where in the order a call begins. `fixed`: at the first rank. `small_first`: there too, but what the first rank answers
 * counts only if it stands up to a check, and else the next rank is asked. `complexity`: the harder the request looks, the
 * later. `saturation`: at the first candidate whose context window the request does not nearly fill.
 */
export type RouteStrategy = (typeof strategies)[number];

export interface Candidate {
  /** `provider/model`. */
  readonly model: string;
  /** The lower is asked first. */
  readonly rank: number;
  /** Its share of the calls, beside the other candidates of its rank. */
  readonly weight: number;
  /** It is asked only where all of this holds. */
  readonly when: Conditions;
  readonly timeouts: Partial<ModelTimeouts>;
}

export interface Conditions {
  /** Whether the request offers tools. */
  readonly tools?: boolean;
  /** Of the request, as estimated from its length. */
  readonly contextTokensAtLeast?: number;
  readonly contextTokensAtMost?: number;
}

/** How long an attempt at a model may take; in milliseconds. */
export interface ModelTimeouts {
  /** From the call to the head of the provider's reply. */
  readonly connectMs: number;
  /** From the call to the first token. */
  readonly firstTokenMs: number;
  /** Between two signs of life after it. */
  readonly silenceMs: number;
  /** The whole reply. */
  readonly totalMs: number;
}

/** What `defineAgent` takes as `model`: one candidate, several in the order to try, or a route with more to say. */
export type RouteInput = string | readonly string[] | RouteOptions;

export interface RouteOptions {
  /** In the order to try, unless they say `rank`. */
  candidates: readonly (string | CandidateOptions)[];
  /** Default "fixed". */
  strategy?: RouteStrategy;
  /** Ask a second time when the first token is late, and take who answers first; both are paid for. Default false. */
  hedge?: boolean;
  /** With `small_first`: the model that judges the answers of the small one, `provider/model`. Default: nobody does. */
  judge?: string | JudgeOptions;
}

export interface JudgeOptions {
  /** `provider/model`. */
  model: string;
  /** What an answer must do, each in a sentence. Default: answer it all, make nothing up, keep to the instructions. */
  criteria?: readonly string[];
  /** The share of the criteria that must be met, above 0 to 1; default 1. */
  atLeast?: number;
}

export interface CandidateOptions {
  /** `provider/model`. */
  model: string;
  /** Candidates of one rank share its calls, and stand in for one another. Default: its place in the list, from 1. */
  rank?: number;
  /** Its share of the calls of its rank; default 1. */
  weight?: number;
  /** For which calls it is a candidate; default: all. */
  when?: { tools?: boolean; contextTokensAtLeast?: number; contextTokensAtMost?: number };
  timeouts?: Partial<ModelTimeouts>;
}

const strategies = ["fixed", "small_first", "complexity", "saturation"] as const;
/** The name of a model: `provider/model`. */
export const modelPattern = /^[a-z][a-z0-9-]*\/\S+$/;

/** A route of these models, one after the other. */
export function plainRoute(models: readonly string[]): ModelRoute {
  const candidates = models.map((model, index) => ({ model, rank: index + 1, weight: 1, when: {}, timeouts: {} }));
  return { strategy: "fixed", candidates, hedge: false };
}

/** The names of its models, in the order they are tried when nothing else decides. */
export function modelsOf({ candidates }: ModelRoute): readonly string[] {
  return candidates.toSorted((one, other) => one.rank - other.rank).map(({ model }) => model);
}

/** A model of rules, in this process: it takes what nobody else does. */
export function isRuleModel(model: string): boolean {
  return model.startsWith("rules/");
}

/**
 * Checks a route and fills in what is left out.
 * @throws InvalidInputError `invalid_agent` with the path of what is wrong
 */
export function defineRoute(input: RouteInput | undefined): ModelRoute {
  if (input === undefined) return plainRoute([]);
  if (typeof input === "string" || isList(input)) {
    const models = typeof input === "string" ? [input] : input;
    models.forEach((model, index) => requireModel(model, `/model/${index}`));
    return plainRoute(models);
  }
  const { strategy = "fixed", hedge = false, judge } = input;
  if (!strategies.includes(strategy)) {
    throw invalid("/model/strategy", strategy, `must be one of ${strategies.join(", ")}`);
  }
  const candidates = input.candidates.map(candidateOf);
  if (candidates.every(({ when }) => Object.keys(when).length > 0)) {
    const rule = "must hold one without `when`, to which every call may go; rules/default can be the last";
    throw invalid("/model/candidates", input.candidates, rule);
  }
  if (judge === undefined) return { strategy, candidates, hedge };
  if (strategy !== "small_first") throw invalid("/model/judge", judge, "is for the strategy small_first alone");
  return { strategy, candidates, hedge, judge: judgeOf(judge) };
}

function judgeOf(given: string | JudgeOptions): RouteJudge {
  const { model, criteria = [], atLeast = 1 } = typeof given === "string" ? { model: given } : given;
  requireModel(model, "/model/judge/model");
  const areSaid = criteria.every((criterion) => typeof criterion === "string" && criterion.trim() !== "");
  if (!areSaid) throw invalid("/model/judge/criteria", criteria, "must be sentences");
  if (!(atLeast > 0 && atLeast <= 1)) throw invalid("/model/judge/atLeast", atLeast, "must be above 0, and 1 at most");
  return { model, criteria, atLeast };
}

function candidateOf(option: string | CandidateOptions, index: number): Candidate {
  const path = `/model/candidates/${index}`;
  const given: CandidateOptions = typeof option === "string" ? { model: option } : option;
  const { model, rank = index + 1, weight = 1, when = {}, timeouts = {} } = given;
  requireModel(model, `${path}/model`);
  requireAboveZero({ rank, weight }, path);
  const { tools: _tools, ...bounds } = when;
  requireAboveZero(bounds, `${path}/when`);
  requireAboveZero(timeouts, `${path}/timeouts`);
  return { model, rank, weight, when, timeouts };
}

function requireModel(model: unknown, path: string): void {
  if (typeof model === "string" && modelPattern.test(model)) return;
  throw invalid(path, model, 'must be "provider/model"');
}

function requireAboveZero(values: object, path: string): void {
  for (const [name, value] of Object.entries(values)) {
    if (!(Number.isFinite(value) && value > 0)) throw invalid(`${path}/${name}`, value, "must be a number above 0");
  }
}

function isList(input: readonly string[] | RouteOptions): input is readonly string[] {
  return Array.isArray(input);
}

function invalid(path: string, value: unknown, rule: string): InvalidInputError {
  return new InvalidInputError("invalid_agent", `${path} is ${JSON.stringify(value)}, but ${rule}.`, path);
}
