/** Holdfast as anyone embeds it, with an agent that does the work of work.ts. The model is a function that answers at once. */
import { createHoldfast, defineAgent, defineConfig, defineTool, type Holdfast } from "../src/index.ts";
import type { Effect } from "../src/agent/journal.ts";
import type { Role } from "../src/holdfast.ts";
import type { ModelGateway, ModelReply } from "../src/gateway/model-gateway.ts";
import { readSettings } from "../src/platform/settings.ts";
import type { Database } from "../src/store/database.ts";
import { silentLogger } from "../src/telemetry/log.ts";
import { borrowed } from "../test/support/running-holdfast.ts";
import { callModel, callTool, prompt, type ToolInput, turns } from "./work.ts";

export interface HoldfastOptions {
  /** A URL, or a database of the caller's, which outlives this instance. */
  readonly database: string | Database;
  /** An `idempotent` tool waits until the turn that asked for it is durable, as the work says; one that only reads does not. */
  readonly effect?: Effect;
  readonly roles?: readonly Role[];
}

export async function startHoldfast(options: HoldfastOptions): Promise<Holdfast> {
  const { database, effect = "idempotent", roles } = options;
  const lookUp = defineTool({
    name: "look_up",
    version: "1.0.0",
    description: "Looks something up.",
    effect,
    input: { type: "object", properties: { turn: { type: "number" }, text: { type: "string" } } },
    run: async (input) => ({ ...(await callTool(input as unknown as ToolInput)) }),
  });
  const limits = { maxSteps: turns + 1, tokens: 1_000_000 };
  const agent = defineAgent({ name: "bench", instructions: "Look things up.", tools: ["look_up"], limits });
  const given = typeof database === "string" ? {} : { database: borrowed(database) };
  return createHoldfast(defineConfig({ agents: [agent], tools: [lookUp] }), {
    ...(roles && { roles }),
    settings: readSettings(typeof database === "string" ? { DATABASE_URL: database } : {}),
    parts: { ...given, gateway: instantModel, log: silentLogger },
  });
}

/**
 * Submits a task, waits for its result, and makes sure that it is the one the work has.
 * @param sessionId default: a new session
 */
export async function runTask(holdfast: Holdfast, sessionId?: string): Promise<void> {
  const task = await holdfast.submit({ prompt, sessionId });
  const result = await task.result();
  if (result.stepsUsed !== turns || result.toolCalls !== turns - 1) throw new Error(JSON.stringify(result));
}

const instantModel: ModelGateway = {
  call: async ({ messages, onDelta }) => {
    // What came before belongs to earlier tasks of the session.
    const asked = messages.findLastIndex(({ role }) => role === "user");
    const { text, call } = await callModel(messages.slice(asked).filter(({ role }) => role === "assistant").length);
    if (text) onDelta({ type: "text", text });
    const reply: Omit<ModelReply, "parts" | "finish"> = {
      model: "instant/model",
      usage: { input: 10, cached: 0, output: 5, reasoning: 0, estimated: false },
      costMicros: 0,
      ttftMs: 0,
      tpotMs: 0,
      attempts: [],
    };
    if (!call) return { ...reply, parts: [{ type: "text", text }], finish: "stop" };
    const input = { ...call.input };
    return { ...reply, parts: [{ type: "call", id: call.id, tool: call.name, input }], finish: "calls" };
  },
};
