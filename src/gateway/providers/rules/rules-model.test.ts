import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type {
  LanguageModelV4CallOptions,
  LanguageModelV4FunctionTool,
  LanguageModelV4Message,
  LanguageModelV4StreamPart,
} from "@ai-sdk/provider";
import { signature } from "./answer.ts";
import { converse, everyTool, next, shopTools, user } from "../../../../test/support/rules-conversation.ts";
import { createRulesModel } from "./rules-model.ts";

const shopAnswers = {
  find_order: () => ({ id: "A-1042", status: "delivered", totalUsd: 82 }),
  find_policy: () => ({ policies: [] }),
};

describe("an answer", () => {
  test("leads with what was asked and ends with what this model is, once", async () => {
    const { last } = await converse(["Where is order A-1042?"], { answers: shopAnswers });
    assert.match(last, /^Status delivered\./u);
    assert.ok(last.endsWith(signature));
    assert.equal(last.split("rules/default").length, 2);
  });

  test("says so when nothing was found", async () => {
    const { last } = await converse(["What is your return policy?"], { answers: shopAnswers });
    assert.match(last, /^I found nothing with find policy/u);
  });

  test("renders any shape within bounds", async () => {
    const values = [
      null,
      true,
      7,
      "text",
      [],
      [1, 2],
      [[["deep"]]],
      { a: { b: { c: { d: { e: 1 } } } } },
      Array.from({ length: 5000 }, (_, id) => ({ id, text: "x".repeat(500) })),
    ];
    for (const value of values) {
      const { last } = await converse(["Where is order A-1042?"], { answers: { find_order: () => value } });
      assert.ok(last.length < 8000 && last.endsWith(signature), JSON.stringify(value).slice(0, 80));
    }
  });

  test("tells what it can do when nothing fits", async () => {
    const { text } = await next({ prompt: [user("Sing me a song")], tools: shopTools });
    assert.match(text, /find order: Look up one order by its id\./u);
  });

  test("answers from the instructions when they have it", async () => {
    const prompt: LanguageModelV4Message[] = [
      { role: "system", content: "You are a clerk. The shop is open from 9 to 5 on weekdays. Be brief." },
      user("When is the shop open?"),
    ];
    assert.match((await next({ prompt })).text, /^The shop is open from 9 to 5 on weekdays\./u);
  });
});

async function gather<Part>(stream: ReadableStream<Part>): Promise<Part[]> {
  const parts: Part[] = [];
  for await (const part of stream) parts.push(part);
  return parts;
}

describe("the model interface", () => {
  const options: LanguageModelV4CallOptions = { prompt: [user("Where are A-1042 and A-1043?")], tools: shopTools };

  async function parts(given: LanguageModelV4CallOptions): Promise<LanguageModelV4StreamPart[]> {
    const { stream } = await createRulesModel().doStream(given);
    return gather(stream);
  }

  test("streams calls with their input and finishes with usage", async () => {
    const streamed = await parts(options);
    const call = ["tool-input-start", "tool-input-delta", "tool-input-end", "tool-call"];
    assert.deepEqual(
      streamed.map(({ type }) => type),
      ["stream-start", "response-metadata", ...call, ...call, "finish"],
    );
    const finish = streamed.at(-1);
    assert.ok(finish?.type === "finish" && finish.finishReason.unified === "tool-calls");
    assert.ok((finish.usage.inputTokens.total ?? 0) > 100 && (finish.usage.outputTokens.total ?? 0) > 5);
  });

  test("streams text word by word, and a plain reply is the same text", async () => {
    const streamed = await parts({ prompt: [user("Hello")], tools: shopTools });
    const deltas = streamed.flatMap((part) => (part.type === "text-delta" ? [part.delta] : []));
    assert.ok(deltas.length > 10);
    assert.equal(deltas.join(""), (await next({ prompt: [user("Hello")], tools: shopTools })).text);
  });

  test("gives equal prompts equal answers", async () => {
    assert.deepEqual(await parts(options), await parts(options));
  });

  test("names a call as no earlier one was named", async () => {
    const earlier = { type: "tool-call" as const, toolCallId: "call_41", toolName: "find_order", input: {} };
    const { calls } = await next({
      ...options,
      prompt: [user("Hello"), { role: "assistant", content: [earlier] }, user("Where is A-1042?")],
    });
    assert.deepEqual(
      calls.map(({ id }) => id),
      ["call_42"],
    );
  });

  test("keeps to the limit of output tokens", async () => {
    const { text, finish } = await next({ prompt: [user("Hello")], tools: shopTools, maxOutputTokens: 16 });
    assert.deepEqual([text.length, finish], [64, "length"]);
  });

  test("calls nothing when tools are switched off", async () => {
    assert.deepEqual((await next({ ...options, toolChoice: { type: "none" } })).calls, []);
  });

  test("warns that it cannot write JSON to a schema", async () => {
    const { warnings } = await createRulesModel().doGenerate({ ...options, responseFormat: { type: "json" } });
    assert.deepEqual(warnings, [{ type: "unsupported", feature: "responseFormat" }]);
  });

  test("stops when its signal aborts", async () => {
    const abort = new AbortController();
    const { stream } = await createRulesModel().doStream({ ...options, abortSignal: abort.signal });
    abort.abort(new Error("enough"));
    await assert.rejects(gather(stream), /enough/u);
    await assert.rejects(async () => createRulesModel().doStream({ ...options, abortSignal: abort.signal }), /enough/u);
  });
});

describe("odd input", () => {
  const odd: Record<string, LanguageModelV4Message[]> = {
    "no messages": [],
    "an empty request": [user("")],
    "only spaces": [user(" \n\t ")],
    "only a system message": [{ role: "system", content: "Be brief." }],
    "an answer without a request": [{ role: "assistant", content: [{ type: "text", text: "Hello" }] }],
    "emoji, marks and directions": [user("🧨\u200f refund\u0301 \u0000 ﷽ A-１０４２ İstanbul ẞ")],
    "lone surrogates": [user("refund \ud800 order \udfff")],
    "another script": [user("注文はどこですか？ Где мой заказ?")],
    "nothing but marks": [user(`?!.,;:"'“”$#@-()[]{}\\/`)],
    "a pattern of regular expressions": [user("find order (((a+)+)+)$ [^")],
  };
  for (const [name, prompt] of Object.entries(odd)) {
    test(`${name} gets an answer`, async () => {
      for (const offered of [[], everyTool]) {
        const { text, calls } = await next({ prompt, tools: offered });
        assert.ok(text.endsWith(signature) || calls.length > 0);
      }
    });
  }

  test("tools with strange schemas do no harm", async () => {
    const schemas = [
      {},
      { type: "object" },
      { $ref: "#/$defs/a", $defs: { a: { $ref: "#/$defs/a" } } },
      { properties: { order: { pattern: "(" }, x: true, y: { anyOf: [] } }, required: ["order", "x", "y"] },
    ];
    for (const inputSchema of schemas) {
      const strange: LanguageModelV4FunctionTool = {
        type: "function",
        name: "find_order",
        inputSchema: inputSchema as LanguageModelV4FunctionTool["inputSchema"],
      };
      await next({ prompt: [user("Find order A-1042")], tools: [strange] });
    }
  });

  test("a huge text is read in linear time", async () => {
    const texts = [
      "a".repeat(1_000_000),
      "1,".repeat(500_000),
      "a@".repeat(500_000),
      "refund it and ".repeat(70_000),
      '"'.repeat(1_000_000),
      "a-".repeat(500_000),
      "January ".repeat(100_000),
      " ".repeat(1_000_000),
      "?!.".repeat(300_000),
      "no ".repeat(300_000),
    ];
    for (const text of texts) {
      const before = process.cpuUsage().user;
      await next({
        prompt: [user(text), { role: "assistant", content: [{ type: "text", text }] }, user(text)],
        tools: everyTool,
      });
      const spentMs = (process.cpuUsage().user - before) / 1000;
      assert.ok(spentMs < 3000, `${text.slice(0, 10)}… took ${spentMs} ms`);
    }
  });
});
