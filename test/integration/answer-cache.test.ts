/** The cache of answers in a whole Holdfast, with the real provider packages over HTTP, against the mock provider. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Entry } from "../../src/agent/journal.ts";
import { createModelGateway } from "../../src/gateway/gateway.ts";
import { createProviders } from "../../src/gateway/providers/registry.ts";
import { systemClock } from "../../src/platform/clock.ts";
import type { Database } from "../../src/store/database.ts";
import { startMockProvider, type MockProvider, type MockScript } from "../../src/testing/mock-provider.ts";
import { testDatabases } from "../support/databases.ts";
import { journalOf, startHoldfast, toolOf, type Running } from "../support/running-holdfast.ts";
import { sql } from "../support/stored-tasks.ts";

type ModelEntry = Entry & { kind: "model" };

const models = ["openai/gpt-5", "anthropic/claude-sonnet-4-6", "compatible/llama"];
const usage = { input: 1_000, cached: 0, output: 100, reasoning: 0 };

for (const { name, open } of await testDatabases()) {
  describe(`the cache of answers on ${name}`, () => {
    let database: Database;
    before(async () => {
      database = await open();
    });
    after(() => database.close());

    async function desk(
      model: string,
      { script, cache, effect = "read" }: { script: MockScript; cache: object; effect?: "read" | "once" },
    ): Promise<AsyncDisposable & { provider: MockProvider; holdfast: Running; ran: () => number }> {
      const provider = await startMockProvider({ script });
      const at = { apiKey: "test", baseURL: `${provider.url}/v1` };
      const providers = createProviders({ openai: at, anthropic: at, compatible: at });
      const gateway = createModelGateway({ providers, clock: systemClock, random: () => 0, attempts: 1 });
      let ran = 0;
      const found = (): object => ({ found: ++ran > 0 });
      const holdfast = await startHoldfast(database, {
        script: [],
        tools: [toolOf("find", effect, found)],
        agent: { model, cache: cache as { ttlMs: number } },
        options: { parts: { gateway } },
      });
      const close = async (): Promise<void> => {
        await holdfast.stop();
        await provider.close();
      };
      return { provider, holdfast, ran: () => ran, [Symbol.asyncDispose]: close };
    }

    async function turnsOf(holdfast: Running, prompt: string): Promise<ModelEntry[]> {
      const task = await holdfast.submit({ prompt, tokenBudget: 32_768 });
      assert.equal((await task.result()).output, "It is found.");
      return (await journalOf(holdfast, task.id)).filter((entry): entry is ModelEntry => entry.kind === "model");
    }

    const story: MockScript = [
      { reasoning: "Hm.", calls: [{ name: "find", input: { id: 1 } }], usage },
      { text: "It is found.", usage },
    ];

    for (const model of models) {
      test(`${model}: a task that says the same asks no model, runs its tools anew, and costs nothing`, async () => {
        await using at = await desk(model, { script: story, cache: { ttlMs: 60_000 } });
        const first = await turnsOf(at.holdfast, `Find it, ${model}`);
        const second = await turnsOf(at.holdfast, `Find it, ${model}`);
        assert.deepEqual([at.provider.requests.length, at.ran()], [2, 2]);
        assert.deepEqual(
          second.map(({ parts, finish, model: by }) => ({ parts, finish, by })),
          first.map(({ parts, finish, model: by }) => ({ parts, finish, by })),
        );
        for (const [index, turn] of second.entries()) {
          assert.equal(turn.hit, "cache");
          assert.deepEqual([turn.costMicros, turn.usage.input, turn.usage.output], [0, 0, 0]);
          assert.deepEqual(turn.saved, { usage: first[index]!.usage, costMicros: first[index]!.costMicros });
        }
      });
    }

    test("a call with an effect is asked for by the model every time", async () => {
      const script: MockScript = (request) => story[(request.attempt - 1) % 2]!;
      await using at = await desk("openai/gpt-5", { script, cache: { ttlMs: 60_000 }, effect: "once" });
      await turnsOf(at.holdfast, "Do it");
      const [call] = await turnsOf(at.holdfast, "Do it");
      assert.equal(call?.hit, undefined);
      assert.equal(at.ran(), 2);
    });

    test("when the provider is down a stale answer is given, and the journal says why", async () => {
      const script: MockScript = ({ attempt }) =>
        attempt === 1 ? { text: "It is found.", usage } : { fault: "status", status: 503 };
      await using at = await desk("openai/gpt-5", { script, cache: { ttlMs: 60_000, staleMs: 3_600_000 } });
      await turnsOf(at.holdfast, "Is it there?");
      await database.query(sql("update answer set kept_at = kept_at - interval '10 minutes'"));
      const [turn] = await turnsOf(at.holdfast, "Is it there?");
      assert.equal(turn?.hit, "cache");
      assert.deepEqual(
        turn.attempts.map(({ code }) => code),
        ["model_unavailable"],
      );
      assert.match(turn.choice?.reason ?? "", /no model could be reached, and an equal call was answered 600 s ago/);
    });
  });
}
