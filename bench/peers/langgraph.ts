/** LangGraph.js: LangChain's agent with the checkpointer for Postgres. The variant is the durability; empty: the default. */
import { BaseChatModel } from "@langchain/core/language_models/chat_models";
import { AIMessage, type BaseMessage } from "@langchain/core/messages";
import type { ChatResult } from "@langchain/core/outputs";
import { PostgresSaver } from "@langchain/langgraph-checkpoint-postgres";
import { createAgent, tool } from "langchain";
import { Pool } from "pg";
import { z } from "zod";
import { countRows } from "../comparison/count-rows.ts";
import { poolSize, runSubject } from "../comparison/subject.ts";
import { callModel, callTool, prompt, stepsPerTask } from "../work.ts";

/** The first checkpoint is of the empty state, before the input is in it. */
const stepsSql = `select count(*) from checkpoints where metadata->>'source' = 'loop'`;

class InstantModel extends BaseChatModel {
  override _llmType(): string {
    return "instant";
  }

  override bindTools(): this {
    return this;
  }

  override async _generate(messages: BaseMessage[]): Promise<ChatResult> {
    const { text, call } = await callModel(messages.filter((message) => message.type === "ai").length);
    const calls = call ? [{ id: call.id, name: call.name, args: { ...call.input }, type: "tool_call" as const }] : [];
    return { generations: [{ text, message: new AIMessage({ content: text, tool_calls: calls }) }] };
  }
}

const lookUp = tool(async (input) => JSON.stringify(await callTool(input)), {
  name: "look_up",
  description: "Looks something up.",
  schema: z.object({ turn: z.number(), text: z.string() }),
});

await runSubject({
  prepare: async ({ databaseUrl }) => {
    const saver = PostgresSaver.fromConnString(databaseUrl);
    await saver.setup();
    await saver.end();
  },
  start: async ({ databaseUrl, variant }) => {
    const pool = new Pool({ connectionString: databaseUrl, max: poolSize });
    const agent = createAgent({
      model: new InstantModel({}),
      tools: [lookUp],
      systemPrompt: "Look things up.",
      checkpointer: new PostgresSaver(pool),
    });
    const durability = variant === "sync" ? { durability: "sync" as const } : {};
    return {
      runTask: async () => {
        const configurable = { thread_id: crypto.randomUUID() };
        const { messages } = await agent.invoke(
          { messages: [{ role: "user", content: prompt }] },
          { configurable, ...durability },
        );
        if (messages.length !== stepsPerTask) throw new Error(`The task ended with ${messages.length} messages.`);
      },
      durableSteps: () => countRows(databaseUrl, stepsSql),
      stop: () => pool.end(),
    };
  },
});
