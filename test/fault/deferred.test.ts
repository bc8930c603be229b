/** kill -9 of every process that knows of a deferred task, wherever it is: it ends, and nothing was sent twice. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Database } from "../../src/store/database.ts";
import { openPostgres } from "../../src/store/postgres.ts";
import { startMockProvider, type MockBatch } from "../../src/testing/mock-provider.ts";
import { startChild } from "../support/child.ts";
import { createServerDatabase } from "../support/databases.ts";
import { until } from "../support/running-holdfast.ts";
import { sql } from "../support/stored-tasks.ts";

const server = await createServerDatabase();
await server?.drop();

const usage = { input: 1_000, cached: 0, output: 100, reasoning: 0 };
const turns = [
  { calls: [{ name: "find", input: { id: 1 } }], usage },
  { text: "It is there.", usage },
];

interface Scene {
  readonly url: string;
  readonly database: Database;
}

async function withScene(use: (scene: Scene) => Promise<void>): Promise<void> {
  const made = await createServerDatabase();
  assert.ok(made);
  const database = await openPostgres({ url: made.url });
  try {
    await use({ url: made.url, database });
  } finally {
    await database.close();
    await made.drop();
  }
}

async function ended(database: Database, id: string): Promise<void> {
  const look = sql("select status, output from task where id = $1 and finished_at is not null", id);
  const row = await until(async () => (await database.query<{ status: string; output: string }>(look))[0]);
  assert.deepEqual(row, { status: "completed", output: "It is there." });
  const kinds = await database.query<{ kind: string }>(
    sql("select kind from entry where task_id = $1 order by seq", id),
  );
  assert.deepEqual(
    kinds.map(({ kind }) => kind),
    ["deferred", "model", "tool", "deferred", "model", "end"],
  );
  const charges = sql("select count(*)::int as rows, sum(input)::int as input from usage where task_id = $1", id);
  assert.deepEqual(await database.query(charges), [{ rows: 2, input: 2_000 }]);
}

function assertSentOnce(batches: readonly MockBatch[]): void {
  const ids = batches.flatMap(({ customIds }) => customIds);
  assert.deepEqual([ids.length, new Set(ids).size], [2, 2]);
}

describe("A deferred task", { skip: server === undefined && "there is no server" }, () => {
  for (const model of ["openai/gpt-5", "anthropic/claude-sonnet-4-6"]) {
    test(`${model}: survives the death of all, while its call waits, is sent and is answered`, async () => {
      await withScene(async ({ url, database }) => {
        await using provider = await startMockProvider({ script: turns, batches: "when_told" });
        const first = startChild("defer", url, provider.url, model, "submit");
        const id = await first.line();
        await first.kill();
        const second = startChild("defer", url, provider.url, model);
        await until(() => provider.batches.length === 1);
        await second.kill();
        provider.endBatches();
        const third = startChild("defer", url, provider.url, model);
        await until(() => provider.batches.length === 2);
        await third.kill();
        provider.endBatches();
        const last = startChild("defer", url, provider.url, model);
        await ended(database, id);
        await last.kill();
        assertSentOnce(provider.batches);
      });
    });

    test(`${model}: is not sent again when nobody heard whether the provider had taken it`, async () => {
      await withScene(async ({ url, database }) => {
        const taken = Promise.withResolvers<void>();
        let batches = 0;
        await using provider = await startMockProvider({
          script: turns,
          onBatch: () => {
            if (++batches > 1) return undefined;
            taken.resolve();
            return new Promise(() => {});
          },
        });
        const first = startChild("defer", url, provider.url, model, "submit");
        const id = await first.line();
        await taken.promise;
        await first.kill();
        const second = startChild("defer", url, provider.url, model);
        await ended(database, id);
        await second.kill();
        assertSentOnce(provider.batches);
      });
    });
  }

  test("is sent again when it is certain that it never arrived", async () => {
    await withScene(async ({ url, database }) => {
      await using provider = await startMockProvider({ script: turns });
      const first = startChild("defer", url, "http://127.0.0.1:9", "openai/gpt-5", "submit");
      const id = await first.line();
      await until(async () => (await database.query(sql("select from deferred_batch"))).length === 1);
      await first.kill();
      const second = startChild("defer", url, provider.url, "openai/gpt-5");
      await ended(database, id);
      await second.kill();
      assertSentOnce(provider.batches);
    });
  });
});
