/**
 * What a tool answered, as an outcome for the journal: JSON that satisfies the tool's output schema. A long one is kept
 * aside by its hash, and the outcome holds only its beginning.
 */
import type { ToolOutcome } from "../agent/conversation.ts";
import type { Json } from "../agent/json.ts";
import type { Clock } from "../platform/clock.ts";
import { messageOf } from "../platform/errors.ts";
import type { Tool } from "./define-tool.ts";
import { describeProblems, type Schema } from "./schema.ts";
import type { CallContext } from "./tool-runner.ts";

/** Keeps a JSON text that a task needs, and answers its SHA-256 in hex. */
export type KeepLarge = (owner: Pick<CallContext, "tenant" | "taskId">, jsonText: string) => Promise<string>;

export interface OutputLimits {
  /** JSON text up to this stays in the journal. */
  readonly maxInlineBytes: number;
  /** How much of a longer one the outcome holds. */
  readonly previewBytes: number;
  /** Longer ones are refused. */
  readonly maxBytes: number;
}

export interface OutputOptions {
  readonly context: CallContext;
  readonly limits: OutputLimits;
  readonly keepLarge: KeepLarge;
  readonly clock: Clock;
}

/** @throws what `keepLarge` threw, unless the tool is a `once` tool: its effect happened, its outcome must be told */
export async function outcomeOf(tool: Tool, answer: unknown, options: OutputOptions): Promise<ToolOutcome> {
  const { maxInlineBytes, maxBytes, previewBytes } = options.limits;
  const json = toJson(answer, tool.output);
  if (!json.ok) return failure("invalid_output", `${tool.name} ran, but its answer ${json.problem}`);
  const bytes = Buffer.byteLength(json.text);
  if (bytes <= maxInlineBytes) return { ok: true, output: JSON.parse(json.text) as Json };
  if (bytes > maxBytes) {
    const message = `${tool.name} ran, but its answer of ${bytes} bytes is over the limit of ${maxBytes}.`;
    return failure("output_too_large", message);
  }
  const preview = beginning(typeof json.value === "string" ? json.value : json.text, previewBytes);
  const hash = await keep(tool, json.text, options);
  if (hash !== null) return { ok: true, output: preview, large: { hash, bytes } };
  return { ok: true, output: `${preview}\n[The rest of these ${bytes} bytes could not be stored and is lost.]` };
}

function failure(code: string, message: string): ToolOutcome {
  return { ok: false, code, message };
}

type JsonAnswer =
  | { readonly ok: true; readonly text: string; readonly value: unknown }
  | { readonly ok: false; readonly problem: string };

/** The schema judges the JSON, not the object it came from: what is journaled is what was checked. */
function toJson(answer: unknown, schema: Schema | null): JsonAnswer {
  try {
    const text = stringify(answer);
    if (schema === null) return { ok: true, text, value: answer };
    const parsed = schema.parse(JSON.parse(text));
    if (parsed.ok) return { ok: true, text: stringify(parsed.value), value: parsed.value };
    return { ok: false, problem: `does not fit its output schema:\n${describeProblems(parsed.problems)}` };
  } catch (thrown) {
    return { ok: false, problem: `cannot be turned into checked JSON: ${beginning(messageOf(thrown), 1_000)}` };
  }
}

function stringify(value: unknown): string {
  const text = JSON.stringify(value === undefined ? null : value) as string | undefined;
  if (text === undefined) throw new TypeError(`a ${typeof value} is not JSON`);
  return text;
}

/** The first `maxBytes` of the text in UTF-8, cut between characters. */
export function beginning(text: string, maxBytes: number): string {
  const { read } = new TextEncoder().encodeInto(text.slice(0, maxBytes), new Uint8Array(maxBytes));
  return text.slice(0, read);
}

const keepBackoffMs = [100, 400, 1_600];

/**
 * A failure for a `read` or `idempotent` tool is thrown: the engine runs the call again. A `once` tool cannot run
 * again, so the store gets a few more chances, and then (null) only the beginning of the answer is told.
 */
async function keep(tool: Tool, text: string, { context, keepLarge, clock }: OutputOptions): Promise<string | null> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await keepLarge(context, text);
    } catch (thrown) {
      if (tool.effect !== "once") throw thrown;
      const pauseMs = keepBackoffMs[attempt];
      if (pauseMs === undefined || !(await pause(pauseMs))) return null;
    }
  }

  async function pause(ms: number): Promise<boolean> {
    return clock.sleep(ms, context.signal).then(
      () => true,
      () => false,
    );
  }
}
