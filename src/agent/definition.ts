/** An agent: a named, versioned definition of one reasoning domain. Plain data, checked once when it is defined. */
import { InvalidInputError } from "../platform/errors.ts";
import { defineRoute, type ModelRoute, type RouteInput } from "./route.ts";

export interface AgentDefinition {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly instructions: string;
  /** Without candidates: the deployment's default route. */
  readonly model: ModelRoute;
  /** References to tools, `name` or `name@range`, as in "refund@^1". */
  readonly tools: readonly string[];
  readonly limits: Limits;
  readonly queue: QueueLimits;
  /** Null: a model is asked every time. */
  readonly cache: AnswerCacheRule | null;
}

/** For how long the answer to one call is the answer to all that say exactly the same; in milliseconds. */
export interface AnswerCacheRule {
  readonly ttlMs: number;
  /** How much longer it stands in where no candidate of the route answers. */
  readonly staleMs: number;
}

/** How many tasks of an agent there may be at the same time; null: no bound of its own. */
export interface QueueLimits {
  /** In all processes together; more wait. */
  readonly maxRunning: number | null;
  /** That wait for a worker; more are refused. */
  readonly maxWaiting: number | null;
}

/** Hard ceilings of one task. */
export interface Limits {
  /** Model turns. */
  readonly maxSteps: number;
  /** Input and output tokens of all turns together. */
  readonly tokens: number;
  /** Micro-dollars; null: no ceiling. */
  readonly costMicros: number | null;
  /** Working time in milliseconds from submission, not counting the time spent waiting for a human; null: none. */
  readonly deadlineMs: number | null;
  /** At a ceiling: end with the partial answer, or freeze and ask a human to raise it. */
  readonly onLimit: "stop" | "ask";
}

export const defaultLimits: Limits = {
  maxSteps: 10,
  tokens: 8192,
  costMicros: null,
  deadlineMs: null,
  onLimit: "stop",
};

/** What `defineAgent` takes; everything but `name` and `instructions` has a default. */
export interface AgentOptions {
  name: string;
  instructions: string;
  /** Semantic version; default "1.0.0". */
  version?: string;
  description?: string;
  /** A model `provider/model`, several in the order to try, or a route. Default: that of the deployment. */
  model?: RouteInput;
  tools?: readonly string[];
  limits?: {
    maxSteps?: number;
    tokens?: number;
    costUsd?: number;
    deadlineMs?: number;
    onLimit?: "stop" | "ask";
  };
  /** Default: no bounds but those of all agents together. */
  queue?: {
    /** Tasks of this agent that run at the same time, in all processes together. */
    maxRunning?: number;
    /** Tasks of this agent that wait for a worker before submits are refused with 429. */
    maxWaiting?: number;
  };
  /** Give the answer to an equal call again, up to this age, and where no model answers up to `staleMs` more. Default: never. */
  cache?: { ttlMs: number; staleMs?: number };
}

const namePattern = /^[a-z][a-z0-9_-]{0,62}$/;

/**
 * Defines an agent.
 * @throws InvalidInputError `invalid_agent` with the path of what is wrong
 */
export function defineAgent(options: AgentOptions): AgentDefinition {
  const { limits = {}, queue = {}, cache } = options;
  requireMatch(options.name, {
    pattern: namePattern,
    path: "/name",
    rule: 'must be lower case letters, digits, "_" or "-"',
  });
  if (typeof options.instructions !== "string" || options.instructions.trim() === "") {
    throw new InvalidInputError("invalid_agent", `Agent "${options.name}" needs instructions.`, "/instructions");
  }
  const model = defineRoute(options.model);
  requirePositive(limits.maxSteps, "/limits/maxSteps");
  requirePositive(limits.tokens, "/limits/tokens");
  requirePositive(limits.deadlineMs, "/limits/deadlineMs");
  requirePositive(limits.costUsd, "/limits/costUsd");
  requireCount(queue.maxRunning, "/queue/maxRunning");
  requireCount(queue.maxWaiting, "/queue/maxWaiting");
  if (cache !== undefined) requirePositive(cache.ttlMs ?? Number.NaN, "/cache/ttlMs");
  requirePositive(cache?.staleMs, "/cache/staleMs");
  return {
    name: options.name,
    version: options.version ?? "1.0.0",
    description: options.description ?? "",
    instructions: options.instructions,
    model,
    tools: options.tools ?? [],
    limits: {
      maxSteps: limits.maxSteps ?? defaultLimits.maxSteps,
      tokens: limits.tokens ?? defaultLimits.tokens,
      costMicros: limits.costUsd === undefined ? null : Math.round(limits.costUsd * 1e6),
      deadlineMs: limits.deadlineMs ?? null,
      onLimit: limits.onLimit ?? defaultLimits.onLimit,
    },
    queue: { maxRunning: queue.maxRunning ?? null, maxWaiting: queue.maxWaiting ?? null },
    cache: cache === undefined ? null : { ttlMs: cache.ttlMs, staleMs: cache.staleMs ?? 0 },
  };
}

function requireMatch(value: unknown, { pattern, path, rule }: { pattern: RegExp; path: string; rule: string }): void {
  if (typeof value === "string" && pattern.test(value)) return;
  throw new InvalidInputError("invalid_agent", `${path} is ${JSON.stringify(value)}, but ${rule}.`, path);
}

function requirePositive(value: number | undefined, path: string): void {
  if (value === undefined || (Number.isFinite(value) && value > 0)) return;
  throw new InvalidInputError("invalid_agent", `${path} is ${value}, but must be a number above 0.`, path);
}

function requireCount(value: number | undefined, path: string): void {
  if (value === undefined || (Number.isInteger(value) && value > 0 && value < 2 ** 31)) return;
  throw new InvalidInputError("invalid_agent", `${path} is ${value}, but must be a whole number above 0.`, path);
}
