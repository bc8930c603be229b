/** The agent of the chaos run: a scripted model that answers at once, and a tool of each effect class. */
import type { Message } from "../../src/agent/conversation.ts";
import { defineAgent, defineConfig, defineTool, type HoldfastConfig } from "../../src/index.ts";
import type { ModelGateway } from "../../src/gateway/model-gateway.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { scriptedGateway, type ScriptedTurn } from "../../src/testing/scripted-model.ts";
import type { Ledger } from "./ledger.ts";

export const agentName = "courier";

/** Each takes two turns of the model and three calls. */
const rounds = 2;
/** Few enough that every process has something to do. */
const slots = 10;
/** Before a tool takes effect, and again before it answers: time to die in. */
const pauseMs = 20;

export const onceTool = "pay";

export function courierConfig(ledger: Ledger): HoldfastConfig {
  const tools = (["look", "note", onceTool] as const).map((name) =>
    defineTool({
      name,
      version: "1.0.0",
      description: `Does ${name}.`,
      effect: name === "look" ? "read" : name === "note" ? "idempotent" : "once",
      input: { type: "object", properties: { call: { type: "string" } }, required: ["call"] },
      run: async (input, { idempotencyKey, taskId, signal }) => {
        const { call } = input as { call: string };
        await systemClock.sleep(pauseMs, signal);
        if (name !== "look") ledger.record({ task: taskId, call, tool: name, key: idempotencyKey, pid: process.pid });
        await systemClock.sleep(pauseMs);
        return { done: call };
      },
    }),
  );
  const names = tools.map(({ name }) => name);
  const agent = defineAgent({ name: agentName, instructions: "Run errands.", tools: names });
  return defineConfig({ agents: [agent], tools, slots });
}

/** Each round looks and notes at the same time, and then pays. */
export const courierModel: ModelGateway = scriptedGateway(({ messages }) => turnAfter(messages));

/** The calls of every task. */
export const calls: readonly { readonly id: string; readonly tool: string }[] = Array.from(
  { length: rounds },
  (_, round) => ["look", "note", onceTool].map((tool) => ({ id: `${tool}-${round + 1}`, tool })),
).flat();

function turnAfter(messages: readonly Message[]): ScriptedTurn {
  const prompt = messages.findLastIndex(({ role }) => role === "user");
  const turn = messages.slice(prompt).filter(({ role }) => role === "assistant").length;
  const round = calls.slice(Math.floor(turn / 2) * 3).slice(0, 3);
  if (round.length === 0) return { text: "The errands are run." };
  const wanted = turn % 2 === 0 ? round.slice(0, 2) : round.slice(2);
  return { calls: wanted.map(({ id, tool }) => ({ id, name: tool, input: { call: id } })) };
}
