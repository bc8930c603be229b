import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { createProviders } from "./registry.ts";

const key = { apiKey: "test" };

test("a model is found by the provider before the first slash", () => {
  const settings = { openai: key, anthropic: key, google: key, compatible: { baseURL: "http://127.0.0.1:8000/v1" } };
  const providers = createProviders(settings);
  const found = ["openai/gpt-5", "anthropic/claude-sonnet-4-6", "google/gemini-3-pro", "compatible/meta/llama"].map(
    (name) => {
      const { provider, modelId } = providers.model(name);
      return `${provider} ${modelId}`;
    },
  );
  assert.deepEqual(found, [
    "openai.responses gpt-5",
    "anthropic.messages claude-sonnet-4-6",
    "google.generative-ai gemini-3-pro",
    "compatible.chat meta/llama",
  ]);
});

test("a provider may have several keys, each with a hash that tells nothing of it and is the same everywhere", async () => {
  const asked: unknown[] = [];
  const server = createServer((request, response) => {
    asked.push(request.headers.authorization);
    response.writeHead(401).end("{}");
  });
  await new Promise<void>((listening) => void server.listen(0, "127.0.0.1", listening));
  try {
    const baseURL = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
    const providers = createProviders({ openai: { apiKey: "one, two,", baseURL }, compatible: { baseURL } });
    for (const index of [0, 1, 0]) {
      const prompt = [{ role: "user" as const, content: [{ type: "text" as const, text: "hi" }] }];
      await assert.rejects(async () => providers.model("openai/gpt-5", index).doStream({ prompt }));
    }
    assert.deepEqual(asked, ["Bearer one", "Bearer two", "Bearer one"]);
    const [one, two, ...more] = providers.keysOf("openai/gpt-5");
    assert.match(one!, /^[0-9a-f]{16}$/);
    assert.deepEqual([one === two, more], [false, []]);
    assert.deepEqual(createProviders({ openai: { apiKey: "two" } }).keysOf("openai/gpt-4o"), [two]);
    assert.deepEqual(providers.keysOf("compatible/llama"), ["none"]);
    for (const name of ["anthropic/claude-sonnet-4-6", "rules/default", "toString/x"])
      assert.deepEqual(providers.keysOf(name), [], name);
  } finally {
    server.close();
  }
});

test("the rules need no key", () => {
  assert.equal(createProviders({}).model("rules/default").specificationVersion, "v4");
});

for (const name of ["openai", "openai/", "gpt-5", "toString/x", ""]) {
  test(`"${name}" names no model`, () =>
    assert.throws(() => createProviders({ openai: key }).model(name), {
      code: "unknown_model_provider",
      message: /openai, anthropic, google, compatible, rules/,
    }));
}

const settingOf = {
  "openai/gpt-5": "OPENAI_API_KEY",
  "anthropic/claude-sonnet-4-6": "ANTHROPIC_API_KEY",
  "google/gemini-3-pro": "GOOGLE_GENERATIVE_AI_API_KEY",
  "compatible/llama": "OPENAI_COMPATIBLE_BASE_URL",
};
for (const [name, setting] of Object.entries(settingOf)) {
  test(`${name} without its key says to set ${setting}`, () =>
    assert.throws(() => createProviders({ openai: { apiKey: "" } }).model(name), {
      code: "model_key_missing",
      message: new RegExp(setting),
    }));
}
