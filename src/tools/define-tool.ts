/** `defineTool`: a tool as its author writes it, checked once and made ready to run. */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import semver from "semver";
import type { Effect } from "../agent/journal.ts";
import type { JsonObject } from "../agent/json.ts";
import { HoldfastError, InvalidInputError, messageOf } from "../platform/errors.ts";
import { compileSchema, type Direction, type Schema, type SchemaSource } from "./schema.ts";
import type { CallContext } from "./tool-runner.ts";

/** What `defineTool` takes. */
export interface ToolOptions<Input extends SchemaSource, Output extends SchemaSource | undefined = undefined> {
  /** Lower case letters, digits, "_" or "-", at most 63. */
  name: string;
  /** Semantic version. */
  version: string;
  /** What it does and when to use it: the model chooses by this text. */
  description: string;
  /**
   * What a repetition does: `read` has no effect and may be repeated; `idempotent` is repeated with the same
   * `idempotencyKey` and takes effect once; `once` is never repeated: if nobody knows whether it happened, a human is
   * asked.
   */
  effect: Effect;
  /** Zod, any Standard Schema that knows its JSON Schema, or plain JSON Schema 2020-12; of type object. */
  input: Input;
  /** What `run` answers. Checked after conversion to JSON; what the schema strips is not journaled. */
  output?: Output;
  /**
   * Ask a human before it runs? Default false. The function must be synchronous; whatever it answers other than
   * `false`, and if it throws, a human is asked.
   */
  approval?: boolean | ((input: InputOf<Input>) => boolean);
  /** After this the tool's signal aborts and its answer is no longer awaited. Default 30,000. */
  timeoutMs?: number;
  /**
   * Does the work. What it answers becomes JSON. What it throws is told to the model, so the message should say what
   * was wrong. A `once` tool that throws says "it did not happen"; if it cannot know that, it must throw an
   * `UncertainOutcomeError`.
   */
  run: (input: InputOf<Input>, context: ToolContext) => OutputOf<Output> | Promise<OutputOf<Output>>;
}

/** What a tool is told about a call. `signal` aborts at the timeout and when the task is cancelled or handed over. */
export type ToolContext = CallContext;

export type InputOf<Source> = Source extends StandardSchemaV1 ? StandardSchemaV1.InferOutput<Source> : JsonObject;
export type OutputOf<Source> = Source extends StandardSchemaV1 ? StandardSchemaV1.InferInput<Source> : unknown;

/** A defined tool. Its methods take the parsed input. */
export interface Tool<Input = unknown, Output = unknown> {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly effect: Effect;
  readonly input: Schema;
  readonly output: Schema | null;
  readonly timeoutMs: number;
  needsApproval(input: Input): boolean;
  run(input: Input, context: ToolContext): Output | Promise<Output>;
}

/** Thrown by a `once` tool that does not know whether its effect happened: a human is asked. */
export class UncertainOutcomeError extends HoldfastError {
  constructor(message: string, details: { cause?: unknown } = {}) {
    super("uncertain_outcome", message, details);
    this.name = "UncertainOutcomeError";
  }
}

const namePattern = /^[a-z][a-z0-9_-]{0,62}$/;
const effects: readonly string[] = ["read", "idempotent", "once"] satisfies Effect[];
const defaultTimeoutMs = 30_000;
const longestTimeoutMs = 2 ** 31 - 1;

/**
 * Defines a tool.
 * @throws InvalidInputError `invalid_tool` with the path of what is wrong
 */
export function defineTool<Input extends SchemaSource, Output extends SchemaSource | undefined = undefined>(
  options: ToolOptions<Input, Output>,
): Tool<InputOf<Input>, OutputOf<Output>> {
  const { name, version, description, effect, approval = false, timeoutMs = defaultTimeoutMs, run } = options;
  const isApproval = typeof approval === "boolean" || typeof approval === "function";
  const rules: Record<string, [holds: boolean, value: unknown, rule: string]> = {
    "/name": [matches(namePattern, name), name, 'lower case letters, digits, "_" or "-", at most 63'],
    "/version": [isVersion(version), version, 'a semantic version, as in "1.0.0"'],
    "/description": [matches(/\S/, description), description, "a text that tells a model what the tool does"],
    "/effect": [effects.includes(effect), effect, '"read", "idempotent" or "once"'],
    "/approval": [isApproval, approval, "true, false or a function of the input"],
    "/timeoutMs": [isTimeout(timeoutMs), timeoutMs, `a number above 0 and at most ${longestTimeoutMs}`],
    "/run": [typeof run === "function", run, "a function"],
  };
  for (const [path, [holds, value, rule]] of Object.entries(rules)) if (!holds) throw invalidTool(path, value, rule);
  const input = compile(options.input, "input");
  const { type } = input.jsonSchema;
  if (type !== "object") throw invalidTool("/input", type, 'a schema of type "object" (wrap a union in an object)');
  return Object.freeze({
    name,
    version,
    description,
    effect,
    input,
    output: options.output === undefined ? null : compile(options.output, "output"),
    timeoutMs,
    needsApproval: (parsed: InputOf<Input>) => (typeof approval === "function" ? asks(approval, parsed) : approval),
    run,
  });
}

/** On any doubt a human is asked. */
function asks<Input>(approval: (input: Input) => unknown, input: Input): boolean {
  try {
    const answer = approval(input);
    if (answer instanceof Promise) answer.catch(() => undefined);
    return answer !== false;
  } catch {
    return true;
  }
}

function compile(source: SchemaSource, direction: Direction): Schema {
  try {
    return compileSchema(source, direction);
  } catch (thrown) {
    throw new InvalidInputError("invalid_tool", `/${direction}: ${messageOf(thrown)}`, `/${direction}`);
  }
}

function matches(pattern: RegExp, value: unknown): boolean {
  return typeof value === "string" && pattern.test(value);
}

function isVersion(value: unknown): boolean {
  return typeof value === "string" && semver.valid(value) === value;
}

function isTimeout(value: unknown): boolean {
  return typeof value === "number" && value > 0 && value <= longestTimeoutMs;
}

function invalidTool(path: string, value: unknown, rule: string): InvalidInputError {
  return new InvalidInputError("invalid_tool", `${path} is ${JSON.stringify(value)}, but must be ${rule}.`, path);
}
