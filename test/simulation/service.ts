/** The agents and tools that are deployed, in two releases of which the second changes what the first one began. */
import { defineAgent, type AgentDefinition } from "../../src/agent/definition.ts";
import type { JsonObject } from "../../src/agent/json.ts";
import { defineConfig, type HoldfastConfig } from "../../src/config.ts";
import { defineTool, type Tool } from "../../src/tools/define-tool.ts";
import type { Outside } from "./outside.ts";
import type { Plant } from "./plant.ts";
import type { SimulatedProcess } from "./simulated-process.ts";

export const agentNames = { 1: ["steady", "asking"], 2: ["steady", "asking", "newcomer"] } as const;

const model = ["openai/gpt-4.1-mini", "anthropic/claude-haiku-4-5"];
const common = { instructions: "Do what the script says.", model };
const firstTools = ["look@^1", "note@^1", "pay@^1", "legacy@^1"];
const secondTools = ["look@^1", "note@^1", "pay@^1"];
const roomy = { maxSteps: 9, tokens: 30_000 };
const narrow = { maxSteps: 2, tokens: 30_000, costUsd: 0.05, onLimit: "ask" } as const;

const agents: Record<1 | 2, readonly AgentDefinition[]> = {
  1: [
    defineAgent({ ...common, name: "steady", tools: firstTools, limits: roomy }),
    defineAgent({ ...common, name: "asking", tools: firstTools, limits: narrow }),
  ],
  2: [
    defineAgent({
      ...common,
      name: "steady",
      version: "2.0.0",
      instructions: "Do what the script says, no more and no less.",
      tools: secondTools,
      limits: { ...roomy, maxSteps: 8 },
    }),
    defineAgent({ ...common, name: "asking", version: "2.0.0", tools: secondTools, limits: narrow }),
    defineAgent({ ...common, name: "newcomer", tools: secondTools, limits: roomy }),
  ],
};

const input = {
  type: "object",
  properties: { call: { type: "string" }, approve: { type: "boolean" }, edited: { type: "boolean" } },
  required: ["call"],
};

const tool = (name: string, version: string, effect: Tool["effect"]): Tool<never> =>
  defineTool({
    name,
    version,
    effect,
    input,
    description: "Does it.",
    timeoutMs: 1_500,
    approval: ({ approve }) => approve === true,
    run: () => Promise.reject(new Error("A tool is bound to a process before it runs.")),
  });

// Made once: to compile their schemas takes longer than many a simulation.
const tools: Record<1 | 2, readonly Tool<never>[]> = {
  1: [
    tool("look", "1.0.0", "read"),
    tool("note", "1.0.0", "idempotent"),
    tool("pay", "1.0.0", "once"),
    tool("legacy", "1.0.0", "idempotent"),
  ],
  2: [tool("look", "1.2.0", "read"), tool("note", "1.0.0", "idempotent"), tool("pay", "1.1.0", "once")],
};

/** What a process of a release runs. */
export function configOf(
  process: SimulatedProcess,
  { outside, plant, die }: { outside: Outside; plant: Plant; die: () => void },
): HoldfastConfig {
  const bound = tools[process.release].map((each): Tool<never> => {
    const real = each as Tool;
    // The effect is the outside's business: a fault that is planted in the definition does not change it.
    const running: Tool = {
      ...real,
      run: (given, context) => outside.run(real, given as JsonObject, { process, context, die }),
    };
    return plant.tool(running, process.name) as Tool<never>;
  });
  return defineConfig({ agents: agents[process.release], tools: bound, slots: 3 });
}
