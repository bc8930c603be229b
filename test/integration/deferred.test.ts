/** Deferred tasks, through the batch APIs of the real provider packages, against the mock provider. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Entry } from "../../src/agent/journal.ts";
import { createPrices } from "../../src/gateway/cost.ts";
import { createModelGateway } from "../../src/gateway/gateway.ts";
import { createProviders } from "../../src/gateway/providers/registry.ts";
import type { TaskRequest } from "../../src/engine/task-request.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { readSettings } from "../../src/platform/settings.ts";
import type { Database } from "../../src/store/database.ts";
import { startMockProvider, type MockProvider, type MockProviderOptions } from "../../src/testing/mock-provider.ts";
import { testDatabases } from "../support/databases.ts";
import { journalOf, kindsOf, startHoldfast, toolOf, until, type Running } from "../support/running-holdfast.ts";
import { sql } from "../support/stored-tasks.ts";

type ModelEntry = Entry & { kind: "model" };

const models = ["openai/gpt-5", "anthropic/claude-sonnet-4-6"];
const usage = { input: 1_001, cached: 0, output: 101, reasoning: 0 };

interface Desk extends AsyncDisposable {
  readonly provider: MockProvider;
  readonly holdfast: Running;
  readonly submit: (request?: Partial<TaskRequest>) => ReturnType<Running["submit"]>;
}

for (const { name, open } of await testDatabases()) {
  describe(`deferred tasks on ${name}`, () => {
    let database: Database;
    before(async () => {
      database = await open();
    });
    after(() => database.close());

    async function desk(model: string, options: MockProviderOptions): Promise<Desk> {
      const provider = await startMockProvider(options);
      const at = { apiKey: "test", baseURL: `${provider.url}/v1` };
      const providers = createProviders({ openai: at, anthropic: at });
      const holdfast = await startHoldfast(database, {
        script: [],
        tools: [toolOf("find", "read", () => "there")],
        agent: { model, limits: { tokens: 30_000 } },
        options: {
          settings: readSettings({
            OPENAI_API_KEY: "test",
            OPENAI_BASE_URL: at.baseURL,
            ANTHROPIC_API_KEY: "test",
            ANTHROPIC_BASE_URL: at.baseURL,
          }),
          parts: { gateway: createModelGateway({ providers, clock: systemClock, random: () => 0, attempts: 1 }) },
          tuning: { batches: { everyMs: 20, requestMs: 5_000 } },
        },
      });
      const close = async (): Promise<void> => {
        await holdfast.stop();
        await provider.close();
      };
      const submit = (request: Partial<TaskRequest> = {}) =>
        holdfast.submit({ prompt: "Find it", deferred: true, agent: holdfast.agent, ...request });
      return { provider, holdfast, submit, [Symbol.asyncDispose]: close };
    }

    const modelTurns = async (holdfast: Running, taskId: string): Promise<ModelEntry[]> =>
      (await journalOf(holdfast, taskId)).filter((entry): entry is ModelEntry => entry.kind === "model");

    const ledgerOf = (taskId: string) =>
      database.query<{ cost: number; input: number; code: string | null }>(
        sql("select cost_micros as cost, input, code from usage where task_id = $1 order by seq", taskId),
      );

    for (const model of models) {
      test(`${model}: every turn goes through a batch, and costs half`, async () => {
        const script = [
          { reasoning: "Hm.", text: "I look.", calls: [{ name: "find", input: { id: 1 } }], usage },
          { text: "It is there.", usage },
        ];
        await using at = await desk(model, { script });
        const task = await at.submit();
        const result = await task.result();
        assert.deepEqual([result.status, result.output, result.error], ["completed", "It is there.", null]);
        const kinds = ["deferred", "model", "tool", "deferred", "model", "end"];
        assert.deepEqual(await kindsOf(at.holdfast, task.id), kinds);
        const turns = await modelTurns(at.holdfast, task.id);
        const full = createPrices().costMicros(model, { ...usage, estimated: false }, { at: Date.now() });
        assert.ok(full !== null && full > 0);
        assert.deepEqual(
          turns.map(({ costMicros, usage: used }) => [costMicros, used.input, used.output]),
          turns.map(() => [Math.ceil(full / 2), usage.input, usage.output]),
        );
        assert.deepEqual(
          (await ledgerOf(task.id)).map(({ cost, input }) => [cost, input]),
          turns.map(({ costMicros }) => [costMicros, usage.input]),
        );
        assert.deepEqual(
          at.provider.batches.map(({ customIds }) => customIds.length),
          [1, 1],
        );
        assert.ok(
          at.provider.requests.every(({ stream }) => !stream),
          "nothing was called directly",
        );
        const told = JSON.stringify(at.provider.requests[1]?.body);
        assert.ok(told.includes("there") && told.includes("I look."), told);
      });

      test(`${model}: tasks travel together, hold no slot while they wait, and one that is refused fails alone`, async () => {
        await using at = await desk(model, {
          batches: "when_told",
          script: ({ messages }) =>
            messages.at(-1)?.text.includes("bad") ? { fault: "status", status: 400 } : { text: "It is there.", usage },
        });
        const tasks = await Promise.all(["a", "bad", "c"].map((prompt) => at.submit({ prompt })));
        await until(() => at.provider.batches.flatMap(({ customIds }) => customIds).length === 3);
        const statuses = await Promise.all(
          tasks.map(async ({ id }) => (await at.holdfast.engine.result({ tenant: "default", taskId: id })).status),
        );
        assert.deepEqual(statuses, ["waiting", "waiting", "waiting"]);
        at.provider.endBatches();
        const results = await Promise.all(tasks.map((task) => task.result()));
        assert.deepEqual(
          results.map(({ status, error }) => [status, error]),
          [
            ["completed", null],
            ["failed", "model_bad_request"],
            ["completed", null],
          ],
        );
        assert.ok(at.provider.batches.length < 3);
      });
    }

    test("a batch that is refused as a whole goes again, each call of it alone", async () => {
      const sizes: number[] = [];
      await using at = await desk("openai/gpt-5", {
        script: () => ({ text: "It is there.", usage }),
        onBatch: ({ customIds }) => {
          sizes.push(customIds.length);
          if (customIds.length > 1) throw new Error("one of them is wrong");
        },
      });
      const sessions = ["a", "b", "c"];
      const tasks = await Promise.all(sessions.map((prompt) => at.submit({ prompt })));
      const results = await Promise.all(tasks.map((task) => task.result()));
      assert.deepEqual(
        results.map(({ status }) => status),
        ["completed", "completed", "completed"],
      );
      assert.ok(sizes.filter((size) => size === 1).length === 3, String(sizes));
    });

    test("what does not come in time is called directly, and paid for when it comes after all", async () => {
      await using at = await desk("openai/gpt-5", {
        batches: "when_told",
        script: () => ({ text: "It is there.", usage }),
      });
      const task = await at.submit({ deferred: { withinMs: 600 } });
      await until(() => at.provider.batches.length === 1);
      const result = await task.result();
      assert.deepEqual([result.status, result.output], ["completed", "It is there."]);
      assert.deepEqual(await kindsOf(at.holdfast, task.id), ["deferred", "model", "end"]);
      const [turn] = await modelTurns(at.holdfast, task.id);
      assert.notEqual(turn?.choice?.strategy, "deferred");
      at.provider.endBatches();
      const late = sql(
        "select cost_micros as cost, input from usage where code = 'deferred_late' and agent = $1",
        at.holdfast.agent,
      );
      const [row] = await until(async () => {
        const rows = await database.query<{ cost: number; input: number }>(late);
        return rows.length > 0 && rows;
      });
      assert.deepEqual([row?.cost, row?.input], [Math.ceil(turn!.costMicros! / 2), usage.input]);
      await until(async () => (await database.query(sql("select from deferred_batch"))).length === 0);
      assert.equal((await database.query(late)).length, 1);
    });

    test("or fails, where the task says so", async () => {
      await using at = await desk("openai/gpt-5", { batches: "when_told", script: [] });
      const task = await at.submit({ deferred: { withinMs: 300, otherwise: "fail" } });
      const result = await task.result();
      assert.deepEqual([result.status, result.error], ["failed", "deferred_expired"]);
    });

    test("one that is cancelled while it waits ends at once; what it had sent is paid for when it comes", async () => {
      await using at = await desk("openai/gpt-5", {
        batches: "when_told",
        script: () => ({ text: "It is there.", usage }),
      });
      const task = await at.submit();
      await until(() => at.provider.batches.length === 1);
      assert.equal((await task.cancel()).status, "cancelled");
      const other = await at.submit();
      await until(() => at.provider.batches.length === 2);
      at.provider.endBatches();
      assert.equal((await other.result()).status, "completed");
      const late = sql("select input from usage where code = 'deferred_late' and agent = $1", at.holdfast.agent);
      assert.deepEqual(await until(async () => (await database.query(late))[0] !== undefined && database.query(late)), [
        { input: usage.input },
      ]);
    });

    test("a route without a batch API is called as ever", async () => {
      await using at = await desk("rules/default", { script: [] });
      const task = await at.submit({ prompt: "Hello" });
      assert.equal((await task.result()).status, "completed");
      assert.ok(!(await kindsOf(at.holdfast, task.id)).includes("deferred"));
    });
  });
}
