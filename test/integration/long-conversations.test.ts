/**
 * Conversations that outgrow a model, over HTTP on both sides: the service's API, and the real provider packages against the
 * mock provider, which refuses what is too long in the words of the real ones.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Entry } from "../../src/client/wire.ts";
import { defineAgent, defineTool } from "../../src/index.ts";
import { createModelGateway } from "../../src/gateway/gateway.ts";
import { createProviders } from "../../src/gateway/providers/registry.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { startMockProvider, type MockProvider, type MockStep } from "../../src/testing/mock-provider.ts";
import type { MockRequest } from "../../src/testing/mock-provider/wire-format.ts";
import { startService, type TestService } from "../support/http-service.ts";

const windowChars = 12_000;
const pages = 5;

/** What each provider says to a prompt that does not fit. */
const refusals: Readonly<Record<string, MockStep>> = {
  "openai-responses": refusal({
    error: {
      message: "Your input exceeds the context window of this model. Please adjust your input and try again.",
      type: "invalid_request_error",
      param: "input",
      code: "context_length_exceeded",
    },
  }),
  "openai-chat": refusal({
    error: {
      message:
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9214 tokens. Please reduce the length of the messages.",
      type: "invalid_request_error",
      param: "messages",
      code: "context_length_exceeded",
    },
  }),
  anthropic: refusal({
    type: "error",
    error: { type: "invalid_request_error", message: "prompt is too long: 208310 tokens > 200000 maximum" },
  }),
};

function refusal(body: object): MockStep {
  return { fault: "status", status: 400, body };
}

const read = defineTool({
  name: "read",
  version: "1.0.0",
  description: "Reads a page.",
  effect: "read",
  input: { type: "object", properties: { page: { type: "integer" } }, required: ["page"] },
  run: ({ page }) => ({ page: (page as number | undefined) ?? 0, text: "word ".repeat(600) }),
});

/** Refuses what is too long, writes notes, and reads page after page. */
function narrow(): (request: MockRequest) => MockStep {
  let page = 0;
  return ({ messages, format }) => {
    const [first] = messages;
    if (first?.text.startsWith("You keep the notes")) return { text: "Pages were read; none mattered." };
    const chars = messages.reduce((sum, { text }) => sum + text.length, 0);
    if (chars > windowChars) return refusals[format]!;
    if (page === pages || messages.at(-1)?.text === "And now?") return { text: "All is read." };
    page += 1;
    return { calls: [{ id: `call_${page}`, name: "read", input: { page } }] };
  };
}

async function desk(model: readonly string[]): Promise<{ service: TestService; provider: MockProvider }> {
  const provider = await startMockProvider({ script: narrow() });
  const at = { apiKey: "test", baseURL: `${provider.url}/v1` };
  const providers = createProviders({ openai: at, anthropic: at, compatible: at });
  const gateway = createModelGateway({ providers, clock: systemClock, random: () => 0, attempts: 1 });
  const limits = { maxSteps: 20, tokens: 1_000_000 };
  const agents = [defineAgent({ name: "reader", instructions: "Read.", model, tools: ["read"], limits })];
  return { provider, service: await startService({ gateway, config: { agents, tools: [read] } }) };
}

const routes = [
  ["openai/gpt-5"],
  ["anthropic/claude-sonnet-4-6"],
  ["compatible/llama"],
  // The rules would take anything, and understand nothing of it.
  ["openai/gpt-5", "anthropic/claude-sonnet-4-6", "rules/default"],
];

for (const route of routes) {
  test(`${route.join(", ")}: what is refused as too long is made shorter, and later tasks see the notes`, async () => {
    const { service, provider } = await desk(route);
    try {
      const session = { session_id: "long", agent: "reader" };
      const result = await service.client.run({ ...session, prompt: "Read it all." });
      assert.deepEqual([result.status, result.error], ["completed", null]);
      assert.equal("output" in result && result.output, "All is read.");
      const { json } = await service.call("GET", `/tasks/${result.task_id}/journal`);
      const entries = json.items as Entry[];
      const cut = entries.find((entry) => entry.kind === "compression");
      assert.ok(cut?.kind === "compression");
      assert.deepEqual([cut.model, cut.summary], [route[0], "Pages were read; none mattered."]);
      assert.ok(cut.cost_usd === null || cut.cost_usd > 0);
      assert.equal(entries[cut.seq - 2]?.kind, "failure");
      const refused = entries[cut.seq - 2] as Entry & { kind: "failure" };
      assert.equal(refused.code, "model_context_too_long");
      const real = route.filter((model) => !model.startsWith("rules/"));
      assert.deepEqual(
        refused.attempts.map(({ model }) => model),
        real,
      );
      const streamed = (await service.events(result.task_id)).filter((event) => event.type === "entry");
      assert.ok(streamed.some(({ entry }) => entry.kind === "compression" && entry.seq === cut.seq));

      await service.client.run({ ...session, prompt: "And now?" });
      const last = provider.requests.at(-1)!.messages.map(({ text }) => text);
      assert.ok(last.some((text) => text.includes("Pages were read; none mattered.")));
      const { json: conversation } = await service.call("GET", "/sessions/long/messages");
      assert.ok(JSON.stringify(conversation).includes('"page":1'), "people read what was said");
    } finally {
      await service.close();
      await provider.close();
    }
  });
}
