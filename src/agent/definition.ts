/** An agent: a named, versioned definition of one reasoning domain. Plain data, checked once when it is defined. */
import { InvalidInputError } from "../platform/errors.ts";

export interface AgentDefinition {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly instructions: string;
  /** The ordered candidates `provider/model`; empty: the deployment's default route. */
  readonly model: readonly string[];
  /** References to tools, `name` or `name@range`, as in "refund@^1". */
  readonly tools: readonly string[];
  readonly limits: Limits;
  readonly queue: QueueLimits;
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
  model?: string | readonly string[];
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
}

const namePattern = /^[a-z][a-z0-9_-]{0,62}$/;
const modelPattern = /^[a-z][a-z0-9-]*\/\S+$/;

/**
 * Defines an agent.
 * @throws InvalidInputError `invalid_agent` with the path of what is wrong
 */
export function defineAgent(options: AgentOptions): AgentDefinition {
  const { limits = {}, queue = {} } = options;
  requireMatch(options.name, {
    pattern: namePattern,
    path: "/name",
    rule: 'must be lower case letters, digits, "_" or "-"',
  });
  if (typeof options.instructions !== "string" || options.instructions.trim() === "") {
    throw new InvalidInputError("invalid_agent", `Agent "${options.name}" needs instructions.`, "/instructions");
  }
  const model = typeof options.model === "string" ? [options.model] : (options.model ?? []);
  model.forEach((candidate, index) =>
    requireMatch(candidate, { pattern: modelPattern, path: `/model/${index}`, rule: 'must be "provider/model"' }),
  );
  requirePositive(limits.maxSteps, "/limits/maxSteps");
  requirePositive(limits.tokens, "/limits/tokens");
  requirePositive(limits.deadlineMs, "/limits/deadlineMs");
  requirePositive(limits.costUsd, "/limits/costUsd");
  requireCount(queue.maxRunning, "/queue/maxRunning");
  requireCount(queue.maxWaiting, "/queue/maxWaiting");
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
