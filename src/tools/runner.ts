/**
 * Tools inside this process, behind the contract of tool-runner.ts.
 *
 * The journal holds a call's input as JSON, as the model or a human gave it; what the schema makes of it (defaults,
 * transforms to values that are no JSON) exists only between `parse` and `run`, so every run parses again.
 */
import type { AssistantPart, ToolOutcome, ToolSpec } from "../agent/conversation.ts";
import type { PlannedCall } from "../agent/journal.ts";
import type { Json } from "../agent/json.ts";
import type { Clock } from "../platform/clock.ts";
import { HoldfastError, InvalidInputError, messageOf } from "../platform/errors.ts";
import { attempt, type Ending } from "./attempt.ts";
import type { ToolCatalogue } from "./catalogue.ts";
import { type Tool, UncertainOutcomeError } from "./define-tool.ts";
import { beginning, type KeepLarge, outcomeOf, type OutputLimits } from "./output.ts";
import { describeProblems, type Parsed } from "./schema.ts";
import type { ToolRunner } from "./tool-runner.ts";

export interface ToolRunnerOptions extends Partial<OutputLimits> {
  readonly catalogue: ToolCatalogue;
  readonly clock: Clock;
  readonly keepLarge: KeepLarge;
}

const defaultLimits: OutputLimits = { maxInlineBytes: 32_768, previewBytes: 8_192, maxBytes: 64 * 1024 * 1024 };
const maxMessageBytes = 4_096;

export function createToolRunner(options: ToolRunnerOptions): ToolRunner {
  const { catalogue, clock, keepLarge } = options;
  const limits: OutputLimits = {
    maxInlineBytes: options.maxInlineBytes ?? defaultLimits.maxInlineBytes,
    previewBytes: options.previewBytes ?? defaultLimits.previewBytes,
    maxBytes: options.maxBytes ?? defaultLimits.maxBytes,
  };

  // An agent's list of references is one array for its whole life.
  const known = new WeakMap<readonly string[], Offer>();
  const offerTo = (references: readonly string[]): Offer => {
    const offer = known.get(references) ?? offered(catalogue, references);
    known.set(references, offer);
    return offer;
  };

  return {
    specs(references) {
      const { specs, faults } = offerTo(references);
      if (faults[0] !== undefined) throw faults[0];
      return specs;
    },

    plan(references, parts) {
      const { tools } = offerTo(references);
      return parts.filter((part) => part.type === "call").map((call) => planCall(call, tools));
    },

    check({ tool: name, version }, input) {
      const tool = catalogue.find(name, version);
      if (tool === undefined) return { ok: false, message: goneMessage(name, version) };
      const parsed = parseInput(tool, input);
      return parsed.ok ? { ok: true, input } : { ok: false, message: parsed.message };
    },

    async run(call, context) {
      if (call.problem !== undefined) return { ok: false, ...call.problem };
      const tool = call.version === undefined ? undefined : catalogue.find(call.tool, call.version);
      // With another effect class the engine's precautions would be those of the old one.
      if (tool === undefined || tool.effect !== call.effect) {
        return { ok: false, code: "unknown_tool", message: goneMessage(call.tool, call.version ?? "?") };
      }
      const parsed = parseInput(tool, call.input);
      if (!parsed.ok) return { ok: false, code: "invalid_arguments", message: parsed.message };
      context.signal.throwIfAborted(); // nothing has run yet, whatever the effect
      const ending = await attempt(tool, { input: parsed.value, context, clock });
      if (ending.type !== "returned") return cutShort(tool, ending, context.signal);
      return outcomeOf(tool, ending.value, { context, limits, keepLarge, clock });
    },
  };
}

/** The tools an agent may call, by name and as a model sees them, and what is wrong with its references. */
interface Offer {
  readonly tools: ReadonlyMap<string, Tool>;
  readonly specs: readonly ToolSpec[];
  readonly faults: readonly HoldfastError[];
}

function offered(catalogue: ToolCatalogue, references: readonly string[]): Offer {
  const tools = new Map<string, Tool>();
  const faults: HoldfastError[] = [];
  for (const reference of references) {
    try {
      const tool = catalogue.resolve(reference);
      const other = tools.get(tool.name);
      if (other !== undefined && other !== tool) throw ambiguous(tool, other);
      tools.set(tool.name, tool);
    } catch (thrown) {
      if (!(thrown instanceof HoldfastError)) throw thrown;
      faults.push(thrown);
    }
  }
  const specs = [...tools.values()].map(({ name, description, input }) => {
    return { name, description, inputSchema: input.jsonSchema };
  });
  return { tools, specs, faults };
}

/** What a run without an answer means: null where a `once` tool's effect may have happened. */
function cutShort(tool: Tool, ending: Exclude<Ending, { type: "returned" }>, signal: AbortSignal): ToolOutcome | null {
  const once = tool.effect === "once";
  switch (ending.type) {
    case "threw":
      if (once && ending.thrown instanceof UncertainOutcomeError) return null;
      return { ok: false, code: "tool_failed", message: failureMessage(tool, ending.thrown) };
    case "timeout":
      if (once) return null;
      return { ok: false, code: "tool_timeout", message: `${tool.name} did not answer within ${tool.timeoutMs} ms.` };
    case "aborted":
      if (once) return null;
      throw signal.reason;
  }
}

function planCall(part: AssistantPart & { type: "call" }, tools: ReadonlyMap<string, Tool>): PlannedCall {
  const { id, input } = part;
  const tool = tools.get(part.tool);
  if (tool === undefined) {
    const names = [...tools.keys()].join(", ") || "none";
    const message = `There is no tool "${beginning(part.tool, 100)}". The tools are: ${names}.`;
    return { id, tool: part.tool, input, needsApproval: false, problem: { code: "unknown_tool", message } };
  }
  const planned = { id, tool: tool.name, input, version: tool.version, effect: tool.effect };
  const parsed = parseInput(tool, input);
  if (parsed.ok) return { ...planned, needsApproval: tool.needsApproval(parsed.value) };
  return { ...planned, needsApproval: false, problem: { code: "invalid_arguments", message: parsed.message } };
}

type ParsedInput = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly message: string };

/** Never throws: a schema that does (a check of its author's) refuses the input. */
function parseInput(tool: Tool, input: Json): ParsedInput {
  const invalid = `The arguments of ${tool.name} are not valid`;
  const syntax = typeof input === "string" ? syntaxProblem(input) : null;
  if (syntax !== null) return { ok: false, message: `${invalid}: they are not JSON (${syntax}).` };
  try {
    const parsed: Parsed = tool.input.parse(input);
    if (parsed.ok) return parsed;
    return { ok: false, message: `${invalid}:\n${describeProblems(parsed.problems)}` };
  } catch (thrown) {
    return { ok: false, message: `${invalid}: ${beginning(messageOf(thrown), maxMessageBytes)}` };
  }
}

/** Arguments that come as text are what the model wrote where an object was due. */
function syntaxProblem(text: string): string | null {
  try {
    JSON.parse(text);
    return null;
  } catch (thrown) {
    return beginning(messageOf(thrown), 500);
  }
}

function failureMessage(tool: Tool, thrown: unknown): string {
  return beginning(thrownText(thrown), maxMessageBytes) || `${tool.name} failed without a message.`;
}

/** Anything can be thrown, even what has no text; "fetch failed" says nothing without its cause. */
function thrownText(thrown: unknown): string {
  try {
    if (typeof thrown === "string") return thrown;
    if (!(thrown instanceof Error)) return JSON.stringify(thrown) ?? String(thrown);
    return thrown.cause instanceof Error ? `${thrown.message}: ${thrown.cause.message}` : String(thrown.message);
  } catch {
    return "";
  }
}

function goneMessage(name: string, version: string): string {
  return `The tool ${name}@${version} is no longer here, nor a version compatible with it. Nothing was run.`;
}

function ambiguous(tool: Tool, other: Tool): InvalidInputError {
  return new InvalidInputError(
    "ambiguous_tool",
    `An agent can have one version of a tool, but asks for ${tool.name}@${other.version} and @${tool.version}.`,
  );
}
