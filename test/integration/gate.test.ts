/**
 * Four processes on one PostgreSQL, and a provider that allows 600 requests and 60,000 tokens in any window, here of twelve
 * seconds: `npm run bench -- --gate` does the same with a minute.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createHoldfast, defineAgent, defineConfig } from "../../src/index.ts";
import { readSettings } from "../../src/platform/settings.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import { startMockProvider } from "../../src/testing/mock-provider.ts";
import { testDatabases } from "../support/databases.ts";
import { runGateLoad } from "../support/gate-load.ts";

const scale = { windowMs: 12_000, deliveryMs: 200 };

test("four processes never exceed a configured limit, in whatever window", async () => {
  const limits = { requestsPerMinute: 600, tokensPerMinute: 60_000 };
  const use = await runGateLoad({ ...scale, limits, headers: false, adaptWindows: 0, windows: 1.4 });
  if (use === undefined) return;
  assert.ok(use.worstRequests <= 1 && use.worstTokens <= 1, JSON.stringify(use));
  assert.equal(use.refused, 0);
});

test("four processes that know no limit learn it from the headers: then they use nine tenths, and are not refused", async () => {
  const use = await runGateLoad({ ...scale, limits: {}, headers: true, adaptWindows: 1.2, windows: 2 });
  if (use === undefined) return;
  assert.ok(use.worstRequests <= 1 && use.worstTokens <= 1, JSON.stringify(use));
  assert.ok(use.refused < 0.01, JSON.stringify(use));
  assert.ok(use.used >= 0.9, JSON.stringify(use));
});

test("a call that one key is refused goes out with the next one at once, and later calls with that", async () => {
  await using provider = await startMockProvider({
    script: ({ headers }) =>
      headers["authorization"] === "Bearer one"
        ? { fault: "status", status: 429, retryAfter: 60 }
        : { text: "Here you are." },
  });
  const agent = defineAgent({ name: "clerk", instructions: "Be of use.", model: "openai/gpt-5" });
  const gateway = { limits: { "openai/*": { requestsPerMinute: 100 } } };
  const holdfast = await createHoldfast(defineConfig({ agents: [agent], gateway }), {
    settings: readSettings({ OPENAI_API_KEY: "one,two", OPENAI_BASE_URL: `${provider.url}/v1` }),
    parts: { database: await (await testDatabases())[0]!.open(), log: silentLogger },
  });
  try {
    for (let task = 0; task < 3; task++) {
      const submitted = await holdfast.submit({ agent: "clerk", prompt: "Hi" });
      const { status, error } = await submitted.result({ waitMs: 20_000 });
      assert.deepEqual([status, error], ["completed", null]);
    }
    const keys = provider.requests.map(({ headers }) => headers["authorization"]);
    assert.deepEqual(keys, ["Bearer one", "Bearer two", "Bearer two", "Bearer two"]);
  } finally {
    await holdfast.stop();
  }
});
