/**
 * A model that does what the prompt says, and tools for it to call: tests over HTTP say in the request what is to happen.
 *
 * `say TEXT` · `call TOOL JSON` (then "Done.") · `fail` · `wait NAME` (says "wai", and "ted" when the gate is opened)
 */
import { z } from "zod";
import { defineAgent } from "../../src/agent/definition.ts";
import type { Json } from "../../src/agent/json.ts";
import type { HoldfastConfig } from "../../src/config.ts";
import { ModelCallError, type ModelGateway } from "../../src/gateway/model-gateway.ts";
import { scriptedGateway, type ScriptedTurn } from "../../src/testing/scripted-model.ts";
import { defineTool, UncertainOutcomeError } from "../../src/tools/define-tool.ts";

const find = defineTool({
  name: "find",
  version: "1.0.0",
  description: "Finds an order.",
  effect: "read",
  input: z.object({ orderId: z.string() }),
  output: z.object({ orderId: z.string(), totalUsd: z.number() }),
  run: ({ orderId }) => ({ orderId, totalUsd: 80 }),
});

const refund = defineTool({
  name: "refund",
  version: "1.2.0",
  description: "Refunds an order.",
  effect: "once",
  input: z.object({ orderId: z.string(), amountUsd: z.number().positive() }),
  approval: ({ amountUsd }) => amountUsd > 50,
  run: () => ({ refundId: "r-1" }),
});

const transfer = defineTool({
  name: "transfer",
  version: "1.0.0",
  description: "Transfers money, and never learns whether it arrived.",
  effect: "once",
  input: z.object({}),
  run: () => {
    throw new UncertainOutcomeError("The bank did not answer.");
  },
});

const dump = defineTool({
  name: "dump",
  version: "1.0.0",
  description: "Answers a long text.",
  effect: "read",
  input: z.object({ length: z.int() }),
  run: ({ length }) => "x".repeat(length),
});

export const deskConfig: HoldfastConfig = {
  agents: [
    defineAgent({
      name: "desk",
      instructions: "Do what you are told.",
      tools: ["find", "refund@^1", "dump", "transfer"],
      limits: { tokens: 100_000 },
    }),
    defineAgent({
      name: "short",
      instructions: "Do one thing.",
      tools: ["find"],
      limits: { maxSteps: 1, onLimit: "ask" },
    }),
  ],
  tools: [find, refund, dump, transfer],
};

interface ObedientModel extends ModelGateway {
  /** Lets `wait NAME` go on, now or whenever it comes. */
  open(name: string): void;
  /** Resolves when a `wait NAME` has said the first half. */
  reached(name: string): Promise<void>;
}

export function obedientModel(): ObedientModel {
  const gates = new Map<string, { opened: PromiseWithResolvers<void>; reached: PromiseWithResolvers<void> }>();
  const gate = (name: string) => {
    const known = gates.get(name) ?? { opened: Promise.withResolvers<void>(), reached: Promise.withResolvers<void>() };
    gates.set(name, known);
    return known;
  };
  const scripted = scriptedGateway((request) => {
    const last = request.messages.at(-1);
    return last?.role === "user" ? turnFor(last.text) : { text: "Done." };
  });
  return {
    open: (name) => gate(name).opened.resolve(),
    reached: (name) => gate(name).reached.promise,
    async call(request) {
      const last = request.messages.at(-1);
      const name = last?.role === "user" ? /^wait (\S+)/.exec(last.text)?.[1] : undefined;
      if (name === undefined) return scripted.call(request);
      request.onDelta({ type: "text", text: "wai" });
      gate(name).reached.resolve();
      const { signal, interruption = signal } = request;
      await unlessAborted(gate(name).opened.promise, AbortSignal.any([signal, interruption]));
      request.onDelta({ type: "text", text: "ted" });
      const reply = await scripted.call({ ...request, onDelta: () => {} });
      return { ...reply, parts: [{ type: "text", text: "waited" }] };
    },
  };
}

function unlessAborted(wait: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    wait.then(resolve, reject);
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

function turnFor(prompt: string): ScriptedTurn {
  const [, word = "", rest = ""] = /^(\w+) ?([\s\S]*)$/.exec(prompt) ?? [];
  if (word === "call") {
    const [, name = "", input = "{}"] = /^(\w+) (.*)$/.exec(rest) ?? [];
    return { text: "Let me see.", calls: [{ name, input: JSON.parse(input) as Json }] };
  }
  if (word === "fail")
    return { error: new ModelCallError("model_auth", "The key is wrong.", { retry: "never", attempts: [] }) };
  return { text: rest };
}
