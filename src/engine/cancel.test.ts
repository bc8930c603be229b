import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { testDatabases } from "../../test/support/databases.ts";
import {
  borrowed,
  kindsOf,
  questionsOf,
  startHoldfast,
  tenant,
  toolOf,
  until,
  type Running,
  type Start,
} from "../../test/support/running-holdfast.ts";
import { systemId } from "../platform/ids.ts";
import type { Database } from "../store/database.ts";
import { createStore } from "../store/store.ts";
import type { ScriptedTurn } from "../testing/scripted-model.ts";

const [embedded] = await testDatabases();

describe("Cancelling a task", () => {
  let database: Database;
  before(async () => {
    database = await embedded!.open();
  });
  after(() => database.close());

  const withHoldfast = async (start: Start, use: (holdfast: Running) => Promise<void>): Promise<void> => {
    const holdfast = await startHoldfast(database, start);
    try {
      await use(holdfast);
    } finally {
      await holdfast.stop();
    }
  };
  const never = new Promise<never>(() => {});
  const useTool: ScriptedTurn = { calls: [{ name: "work", input: {} }] };

  test("that waits in its session's line ends it, and the others go on", async () => {
    const gate = Promise.withResolvers<void>();
    await withHoldfast({ script: () => ({ text: "Hi.", gate: gate.promise }) }, async (holdfast) => {
      const sessionId = systemId();
      const tasks = [];
      for (const prompt of ["1", "2", "3"]) tasks.push(await holdfast.submit({ prompt, sessionId }));
      const cancelled = await tasks[1]!.cancel("bob");
      assert.deepEqual([cancelled.status, cancelled.error], ["cancelled", "cancelled"]);
      gate.resolve();
      assert.equal((await tasks[2]!.result()).status, "completed");
      assert.equal(holdfast.gateway.requests.length, 2);
    });
  });

  test("while the model is thinking cuts off the call, and what that had used by then is counted", async () => {
    await withHoldfast({ script: () => ({ first: "Let me", gate: never }) }, async (holdfast) => {
      const task = await holdfast.submit({ prompt: "Think" });
      await until(() => holdfast.gateway.requests.length === 1);
      await task.cancel("bob");
      const result = await task.result();
      assert.deepEqual([result.status, result.error], ["cancelled", "cancelled"]);
      assert.equal(holdfast.gateway.requests[0]!.interruption?.aborted, true);
      assert.deepEqual(await kindsOf(holdfast, task.id), ["model", "end"]);
      assert.deepEqual([result.output, result.tokensUsed], ["Let me", 15]);
      const [usage] = await holdfast.store.usage({ tenant, by: ["session"], sessionId: result.sessionId, limit: 1 });
      assert.equal(usage!.input + usage!.output, 15);
    });
  });

  test("while a tool reads cuts off the tool", async () => {
    const started = Promise.withResolvers<AbortSignal>();
    const tools = [toolOf("work", "read", (_, { signal }) => (started.resolve(signal), never))];
    await withHoldfast({ script: () => useTool, tools }, async (holdfast) => {
      const task = await holdfast.submit({ prompt: "Read" });
      const signal = await started.promise;
      await task.cancel();
      assert.equal((await task.result()).status, "cancelled");
      assert.equal(signal.aborted, true);
    });
  });

  test("while a once tool works lets it finish, and its outcome is in the journal", async () => {
    const [started, finish] = [Promise.withResolvers<void>(), Promise.withResolvers<string>()];
    const tools = [toolOf("work", "once", () => (started.resolve(), finish.promise))];
    await withHoldfast({ script: () => useTool, tools }, async (holdfast) => {
      const task = await holdfast.submit({ prompt: "Pay" });
      await started.promise;
      assert.equal((await task.cancel()).status, "running");
      assert.equal((await task.result({ waitMs: 30 })).status, "running");
      finish.resolve("paid");
      assert.equal((await task.result()).status, "cancelled");
      assert.deepEqual(await kindsOf(holdfast, task.id), ["model", "intent", "tool", "end"]);
    });
  });

  test("that waits for a human withdraws its questions", async () => {
    const tools = [toolOf("work", { effect: "once", approval: true }, () => "paid")];
    await withHoldfast({ script: () => useTool, tools }, async (holdfast) => {
      const task = await holdfast.submit({ prompt: "Pay" });
      const [question] = await questionsOf(holdfast, task.id);
      assert.equal((await task.cancel()).status, "cancelled");
      assert.equal((await holdfast.engine.approvals.find(tenant, question!.id)).status, "cancelled");
    });
  });

  test("that overtakes a question leaves no question in the journal: nobody was asked", async () => {
    const tools = [toolOf("work", { effect: "once", approval: true }, () => "paid")];
    const script = () => useTool;
    // Somebody elsewhere cancels the task when its questions are on their way to the store.
    const overtaken: Database = {
      ...borrowed(database),
      async query(statement) {
        if (statement.name === "park") {
          await createStore(database).cancel({ tenant, id: String(statement.values[0]), by: "bob" });
        }
        return database.query(statement);
      },
    };
    const holdfast = await startHoldfast(overtaken, { script, tools });
    const task = await holdfast.submit({ prompt: "Pay" });
    assert.equal((await task.result()).status, "cancelled");
    assert.deepEqual(await kindsOf(holdfast, task.id), ["model", "end"]);
    await holdfast.stop();
  });

  test("is told to the process that runs it by the next heartbeat, if the word of it was lost", async () => {
    const options = { tuning: { leaseMs: 1_000 } };
    await withHoldfast({ script: () => ({ gate: never }), options }, async (holdfast) => {
      const task = await holdfast.submit({ prompt: "Think" });
      await until(() => holdfast.gateway.requests.length === 1);
      await holdfast.store.cancel({ tenant, id: task.id, by: "somebody elsewhere" });
      assert.equal((await task.result()).status, "cancelled");
    });
  });

  test("that has ended, or is another's, is refused", async () => {
    await withHoldfast({ script: () => ({ text: "Hi." }) }, async (holdfast) => {
      const task = await holdfast.submit({ prompt: "Hello" });
      await task.result();
      await assert.rejects(task.cancel(), { code: "task_ended" });
      await assert.rejects(holdfast.engine.cancel({ tenant: "globex", taskId: task.id }, "eve"), {
        code: "task_not_found",
      });
      await assert.rejects(holdfast.task(systemId()).cancel(), { code: "task_not_found" });
    });
  });
});
