/** A worker that is lost during a model call has perhaps spent money: the one that takes over writes it down, once. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { FailureEntry } from "../agent/journal.ts";
import { estimateTokens } from "../agent/limits.ts";
import { testDatabases } from "../../test/support/databases.ts";
import { journalOf, kindsOf, startHoldfast, toolOf, until, type Running } from "../../test/support/running-holdfast.ts";
import { sql } from "../../test/support/stored-tasks.ts";
import type { Database, Statement } from "../store/database.ts";
import { StoreError } from "../store/store-error.ts";
import type { GatewayScript } from "../testing/scripted-model.ts";

const never = new Promise<never>(() => {});
const model = "compatible/own";
const models = { [model]: { price: { input: 1, output: 2 } } };

interface Starting {
  readonly limits?: { readonly costUsd?: number };
  readonly database?: Database;
}

/** A database that does not answer statements of these names. */
function refusing(database: Database, names: ReadonlySet<string>): Database {
  const isAway = ({ name }: Statement): boolean => name !== undefined && names.has(name);
  const lost = (): Promise<never> => Promise.reject(new StoreError("store_unavailable", "The connection was lost."));
  return {
    ...database,
    query: (statement) => (isAway(statement) ? lost() : database.query(statement)),
    batch: (statements) => (statements.some(isAway) ? lost() : database.batch(statements)),
  };
}

for (const { name, open } of await testDatabases()) {
  describe(`A model call whose worker was lost, on ${name}`, () => {
    let database: Database;
    before(async () => {
      database = await open();
    });
    after(() => database.close());

    const start = (script: GatewayScript, { limits = {}, ...at }: Starting = {}): Promise<Running> =>
      startHoldfast(at.database ?? database, {
        script,
        tools: [toolOf("look", "read", () => "seen")],
        agent: { model, limits },
        config: { models },
        options: { tuning: { leaseMs: 1_500 } },
      });

    /** As if the process were dead: somebody takes its lease, and its tasks with it. */
    const lose = async ({ store }: Running, taskId: string): Promise<void> => {
      await database.query(
        sql(
          `update worker set expires_at = holdfast_now() - interval '1 s'
           where id = (select lease_owner from task where id = $1)`,
          taskId,
        ),
      );
      await store.reap();
    };

    const ledgerOf = (taskId: string) =>
      database.query<{ code: string | null; tokens: number; cost: number | null; estimated: boolean }>(
        sql(
          `select code, input + output as tokens, cost_micros as cost, estimated from usage where task_id = $1
           order by seq`,
          taskId,
        ),
      );

    test("is charged as far as it is known, and made again", async () => {
      const said = "It is not done yet, but ";
      const holdfast = await start((_request, turn) => (turn === 1 ? { first: said, gate: never } : { text: "Done." }));
      const task = await holdfast.submit({ prompt: "Work" });
      await until(async () => (await holdfast.store.textInFlight(task.id, 0)) === said);
      await lose(holdfast, task.id);
      const result = await task.result();
      assert.deepEqual([result.status, result.error, result.output], ["completed", null, "Done."]);
      const [lost, answer] = (await journalOf(holdfast, task.id)) as [FailureEntry, unknown];
      assert.ok(answer);
      assert.deepEqual([lost.kind, lost.code, lost.attempts.length], ["failure", "worker_lost", 1]);
      const { usage, costMicros, ...attempt } = lost.attempts[0]!;
      assert.deepEqual([attempt.model, attempt.code, usage?.estimated], [model, "worker_lost", true]);
      assert.ok(usage !== undefined && usage.input > 0);
      assert.equal(usage.output, estimateTokens(said));
      assert.equal(costMicros, usage.input + 2 * usage.output);
      const tokens = usage.input + usage.output;
      // Tokens of the answer: 10 and 5.
      assert.equal(result.tokensUsed, tokens + 15);
      assert.deepEqual(await ledgerOf(task.id), [
        { code: "worker_lost", tokens, cost: costMicros, estimated: true },
        { code: null, tokens: 15, cost: 0, estimated: false },
      ]);
      await holdfast.stop();
    });

    test("is charged for each worker that was lost", async () => {
      const holdfast = await start((_request, turn) => (turn <= 2 ? { gate: never } : { text: "Done." }));
      const task = await holdfast.submit({ prompt: "Work" });
      for (const calls of [1, 2]) {
        await until(() => holdfast.gateway.requests.length === calls);
        await lose(holdfast, task.id);
      }
      assert.equal((await task.result()).status, "completed");
      assert.deepEqual(await kindsOf(holdfast, task.id), ["failure", "failure", "model", "end"]);
      await holdfast.stop();
    });

    test("is not charged when no call was due: a tool was at work", async () => {
      const gate = Promise.withResolvers<void>();
      let runs = 0;
      const work = toolOf("work", "idempotent", async () => {
        runs += 1;
        if (runs === 1) await gate.promise;
        return "done";
      });
      const holdfast = await startHoldfast(database, {
        script: [{ calls: [{ name: "work", input: {} }] }, { text: "Done." }],
        tools: [work],
        options: { tuning: { leaseMs: 1_500 } },
      });
      const task = await holdfast.submit({ prompt: "Work" });
      await until(() => runs === 1);
      await lose(holdfast, task.id);
      await until(() => runs === 2);
      gate.resolve();
      assert.equal((await task.result()).status, "completed");
      assert.deepEqual(await kindsOf(holdfast, task.id), ["model", "tool", "model", "end"]);
      await holdfast.stop();
    });

    test("is charged when nobody knows whether its reply was written, and the run was left for that", async () => {
      const away = new Set(["append", "finish"]);
      const holdfast = await start(() => ({ text: "Done." }), { database: refusing(database, away) });
      const task = await holdfast.submit({ prompt: "Work" });
      const isTakenAgain = sql("select id from task where id = $1 and epoch > 1", task.id);
      await until(async () => (await database.query(isTakenAgain)).length > 0);
      away.clear();
      assert.equal((await task.result()).status, "completed");
      assert.deepEqual(await kindsOf(holdfast, task.id), ["failure", "model", "end"]);
      assert.deepEqual(
        (await ledgerOf(task.id)).map(({ code }) => code),
        ["worker_lost", null],
      );
      await holdfast.stop();
    });

    test("is charged if the task is cancelled before anybody took it over", async () => {
      const away = new Set<string>();
      const holdfast = await start(() => ({ gate: never }), { database: refusing(database, away) });
      const task = await holdfast.submit({ prompt: "Work" });
      await until(() => holdfast.gateway.requests.length === 1);
      away.add("claim");
      await lose(holdfast, task.id);
      const hosts = sql(
        "select id from worker where expires_at > holdfast_now() and info->'agents' ? $1",
        holdfast.agent,
      );
      await until(async () => (await database.query(hosts)).length > 0);
      assert.equal((await task.cancel()).status, "pending");
      away.clear();
      assert.equal((await task.result()).status, "cancelled");
      assert.deepEqual(await kindsOf(holdfast, task.id), ["failure", "end"]);
      const [row] = await ledgerOf(task.id);
      assert.ok(row!.code === "worker_lost" && row!.tokens > 0 && row!.cost! > 0);
      assert.equal(holdfast.gateway.requests.length, 1);
      await holdfast.stop();
    });

    test("counts against the budget: no call is made beyond it", async () => {
      const holdfast = await start((_request, turn) => (turn === 1 ? { gate: never } : { text: "Done." }), {
        limits: { costUsd: 0.000_001 },
      });
      const task = await holdfast.submit({ prompt: "Work" });
      await until(() => holdfast.gateway.requests.length === 1);
      await lose(holdfast, task.id);
      const { status, error, costUsd } = await task.result();
      assert.deepEqual([status, error], ["completed", "cost_budget_exceeded"]);
      assert.ok(costUsd !== null && costUsd > 0.000_001);
      assert.equal(holdfast.gateway.requests.length, 1);
      await holdfast.stop();
    });
  });
}
