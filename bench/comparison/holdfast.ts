/**
 * Holdfast as anyone embeds it: submit a task, wait for its result. The model is a function, as every engine's is here.
 *
 * The tool is `idempotent`, so it waits until the turn that asked for it is durable, as the work says. The variant `reads`
 * declares that it only reads: such a tool does not wait, and its outcome travels with the turn.
 */
import { createHoldfast, defineAgent, defineConfig, defineTool, type Holdfast } from "../../src/index.ts";
import type { Role } from "../../src/holdfast.ts";
import type { ModelGateway, ModelReply } from "../../src/gateway/model-gateway.ts";
import { readSettings } from "../../src/platform/settings.ts";
import { migrate } from "../../src/store/migrate.ts";
import { openPostgres } from "../../src/store/postgres.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import { callModel, callTool, prompt, type ToolInput, turns } from "../work.ts";
import { countRows } from "./count-rows.ts";
import { runSubject, type Subject } from "./subject.ts";

const stepsSql = `select (select count(*) from task) + (select count(*) from entry) as count`;

export const holdfastSubject: Subject = {
  prepare: async ({ databaseUrl }) => {
    const database = await openPostgres({ url: databaseUrl });
    await migrate(database);
    await database.close();
  },
  start: async ({ databaseUrl, variant }) => {
    const holdfast = await startHoldfast(databaseUrl, variant === "reads" ? { effect: "read" } : {});
    return {
      runTask: () => runTask(holdfast),
      durableSteps: () => countRows(databaseUrl, stepsSql),
      stop: () => holdfast.stop(),
    };
  },
};

export async function startHoldfast(
  databaseUrl: string,
  { effect = "idempotent", ...options }: { roles?: readonly Role[]; effect?: "read" | "idempotent" } = {},
): Promise<Holdfast> {
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
  return createHoldfast(defineConfig({ agents: [agent], tools: [lookUp] }), {
    ...options,
    settings: readSettings({ DATABASE_URL: databaseUrl }),
    parts: { gateway: instantGateway, log: silentLogger },
  });
}

/** Submits a task, waits for its result, and makes sure that it is the one the work has. */
export async function runTask(holdfast: Holdfast): Promise<void> {
  const task = await holdfast.submit({ prompt });
  const result = await task.result();
  if (result.stepsUsed !== turns || result.toolCalls !== turns - 1) throw new Error(JSON.stringify(result));
}

const instantGateway: ModelGateway = {
  call: async ({ messages, onDelta }) => {
    const { text, call } = await callModel(messages.filter(({ role }) => role === "assistant").length);
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

if (import.meta.main) await runSubject(holdfastSubject);
