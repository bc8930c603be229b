/**
 * Mastra: its durable agent, with the recovery after a crash that it can be told to have; without it nothing of a run is
 * saved while it runs.
 */
import { Mastra } from "@mastra/core";
import { Agent, type AgentConfig } from "@mastra/core/agent";
import { createDurableAgent } from "@mastra/core/agent/durable";
import { createTool } from "@mastra/core/tools";
import { z } from "zod";
import { runSubject } from "../comparison/subject.ts";
import { answer, callModel, callTool, prompt, turns } from "../work.ts";
import { countSteps, openStore, prepareStore } from "./mastra-store.ts";

const usage = { inputTokens: 10, outputTokens: 5, totalTokens: 15 };

type PromptMessage = { readonly role: string };

const model = {
  specificationVersion: "v2",
  provider: "instant",
  modelId: "model",
  supportedUrls: {},
  doGenerate: () => Promise.reject(new Error("The work is streamed.")),
  doStream: async ({ prompt: messages }: { prompt: readonly PromptMessage[] }) => {
    const { text, call } = await callModel(messages.filter(({ role }) => role === "assistant").length);
    const said = call
      ? [{ type: "tool-call", toolCallId: call.id, toolName: call.name, input: JSON.stringify(call.input) }]
      : [
          { type: "text-start", id: "1" },
          { type: "text-delta", id: "1", delta: text },
          { type: "text-end", id: "1" },
        ];
    const finish = { type: "finish", finishReason: call ? "tool-calls" : "stop", usage };
    return { stream: ReadableStream.from([{ type: "stream-start", warnings: [] }, ...said, finish]) };
  },
} as unknown as AgentConfig["model"];

const lookUp = createTool({
  id: "look_up",
  description: "Looks something up.",
  inputSchema: z.object({ turn: z.number(), text: z.string() }),
  execute: (input) => callTool(input),
});

await runSubject({
  prepare: prepareStore,
  start: async ({ databaseUrl }) => {
    const storage = openStore(databaseUrl);
    const agent = new Agent({
      id: "bench",
      name: "Bench",
      instructions: "Look things up.",
      model,
      tools: { look_up: lookUp },
    });
    const bench = createDurableAgent({ agent, maxSteps: turns + 1 });
    new Mastra({ storage, agents: { bench }, logger: false, recovery: { durableAgents: "auto" } });
    return {
      runTask: async () => {
        const { output, cleanup } = await bench.stream(prompt);
        const text = await output.text;
        cleanup();
        if (text !== answer) throw new Error(`The task ended otherwise than it should: ${JSON.stringify(text)}`);
      },
      durableSteps: () => countSteps(databaseUrl),
      stop: () => storage.close(),
    };
  },
});
