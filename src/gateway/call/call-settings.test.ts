import assert from "node:assert/strict";
import { test } from "node:test";
import { refuseLeftOut, settingsOf } from "./call-settings.ts";

test("what is not set is not sent", () => {
  assert.deepEqual(settingsOf({}, "openai"), {});
});

test("settings go under the names of the provider packages", () => {
  const made = settingsOf(
    {
      temperature: 0,
      topP: 0.5,
      stop: ["END"],
      seed: 7,
      presencePenalty: 1,
      frequencyPenalty: -1,
      reasoningEffort: "low",
      toolChoice: { tool: "find_order" },
      responseFormat: { type: "json", name: "order", schema: { type: "object" } },
    },
    "compatible",
  );
  assert.deepEqual(made, {
    temperature: 0,
    topP: 0.5,
    stopSequences: ["END"],
    seed: 7,
    presencePenalty: 1,
    frequencyPenalty: -1,
    reasoning: "low",
    toolChoice: { type: "tool", toolName: "find_order" },
    responseFormat: { type: "json", name: "order", schema: { type: "object" } },
  });
});

test("one call in a turn has another name with each provider, and is refused where there is none", () => {
  const own = (provider: string) => settingsOf({ parallelCalls: false }, provider).providerOptions;
  assert.deepEqual(own("openai"), { openai: { parallelToolCalls: false } });
  assert.deepEqual(own("anthropic"), { anthropic: { disableParallelToolUse: true } });
  assert.deepEqual(own("compatible"), { compatible: { parallel_tool_calls: false } });
  assert.throws(() => own("google"), { name: "AI_UnsupportedFunctionalityError" });
});

test("a schema is strict only where that is asked for", () => {
  const schema = { type: "object" };
  const own = (strict: boolean, provider: string) =>
    settingsOf({ responseFormat: { type: "json", schema, strict } }, provider).providerOptions;
  assert.deepEqual(own(false, "openai"), { openai: { strictJsonSchema: false } });
  assert.deepEqual(own(true, "compatible"), { compatible: { strictJsonSchema: true } });
  assert.equal(own(true, "anthropic"), undefined);
});

test("a setting that a provider leaves out is an error, unless it is only a wish", () => {
  refuseLeftOut([
    { type: "unsupported", feature: "seed" },
    { type: "other", message: "temperature" },
    { type: "unsupported", feature: "topK" },
  ]);
  assert.throws(() => refuseLeftOut([{ type: "unsupported", feature: "stopSequences" }]), {
    message: "The model cannot be called with stopSequences. Leave the setting out, or take another model.",
  });
});
