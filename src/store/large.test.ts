import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import fc from "fast-check";
import { entryOf, newTask, noProgress, questionOf, sql } from "../../test/support/stored-tasks.ts";
import { testStores } from "../../test/support/test-stores.ts";
import type { Entry } from "../agent/journal.ts";
import type { Json } from "../agent/json.ts";
import { systemId } from "../platform/ids.ts";
import type { Database } from "./database.ts";
import { largeFrom, packLarge, unpackLarge } from "./large.ts";
import { createStore } from "./store.ts";

const tenant = "acme";
const big = (letter: string): string => `${letter}😀`.repeat(largeFrom / 2);
const many: Json = Object.fromEntries(Array.from({ length: 4_000 }, (_, index) => [`key ${index}`, index]));

describe("What is large", () => {
  test("is taken out and put back, whatever it is and however deep; what is small stays as it is", async () => {
    const leaf = fc.oneof(fc.string(), fc.constant(big("a")), fc.constant(big("b")), fc.constant(many), fc.integer());
    const anyJson = fc.letrec<{ value: Json }>((tie) => ({
      value: fc.oneof(
        { depthSize: "small" },
        leaf,
        fc.array(tie("value"), { maxLength: 3 }),
        fc.dictionary(fc.string(), tie("value"), { maxKeys: 3 }),
      ),
    })).value;
    await fc.assert(
      fc.asyncProperty(fc.record({ one: anyJson, two: anyJson }), async (body) => {
        const { value, contents } = packLarge(body);
        const stored = JSON.parse(JSON.stringify(value)) as Record<string, unknown>;
        const size = JSON.stringify(stored).length;
        assert.ok(size < 3 * largeFrom, `${size} characters are left`);
        const shelf = { query: () => Promise.resolve(contents) } as unknown as Database;
        await unpackLarge(shelf, [{ taskId: "t", body: stored }]);
        assert.deepEqual(stored, JSON.parse(JSON.stringify(body)));
        if (contents.length === 0) assert.equal(value, body);
      }),
      { numRuns: 60 },
    );
  });

  test("is told apart from what only looks like a reference to it", () => {
    const body = { output: { $large: [{ path: ["output"], hash: "0".repeat(64) }] } };
    assert.equal(packLarge(body).value, body);
  });
});

for (const { name, database, store, desk, empty } of await testStores()) {
  describe(`large values in a store on ${name}`, () => {
    beforeEach(empty);

    const kept = async (): Promise<number> =>
      (await database.query<{ rows: number }>(sql("select count(*)::int as rows from large_value")))[0]!.rows;
    const input = (prompt: string, context: Json = null) => ({ ...newTask().input, prompt, context });

    test("the same prompt of many tasks, and what is said of it, are kept once and read as they were", async () => {
      const prompt = big("p");
      const tasks = [];
      for (let index = 0; index < 3; index++) {
        const task = await desk.held({ input: input(prompt, many) });
        assert.deepEqual(await store.open(task), []);
        assert.deepEqual([task.input.prompt, task.input.context], [prompt, many], "as it is opened");
        const { id: taskId, epoch } = task;
        await store.append({ taskId, epoch, entries: [entryOf(1, prompt), entryOf(2, "small")] });
        await desk.finish(task, "completed", [entryOf(3, big("x"))]);
        tasks.push(task);
      }
      assert.equal(await kept(), 3);
      const whole: Entry[] = [entryOf(1, prompt), entryOf(2, "small"), entryOf(3, big("x"))];
      for (const task of tasks) {
        assert.deepEqual(await desk.journal(task), whole);
        assert.deepEqual(await store.journal({ tenant, taskId: task.id, afterSeq: 0, limit: 10 }), whole);
        assert.equal((await desk.row(task)).input.prompt, prompt);
        const [said] = await store.exchanges({ tenant, sessionId: task.sessionId, before: null, limit: 1 });
        assert.deepEqual(said?.input.context, many);
      }
      const [listed] = await store.tasks({ tenant, limit: 1 });
      assert.ok(listed !== undefined && listed.input.prompt.length < 1_001 && prompt.startsWith(listed.input.prompt));
      const [stored] = await database.query<{ bytes: number }>(
        sql("select (select max(length(body::text)) from entry) + max(length(input::text)) as bytes from task"),
      );
      assert.ok(stored!.bytes < 5_000, `${stored!.bytes} bytes`);
    });

    test("a question about large arguments is shown with them", async () => {
      const task = await desk.held();
      const approvalId = systemId();
      const entry = { ...questionOf(1, approvalId), input: { to: "ann", text: big("q") } } as Entry;
      const { id: taskId, agent, epoch } = task;
      await store.park({ taskId, tenant, agent, epoch, entries: [entry], wakeInMs: null, progress: noProgress });
      const asked = { to: "ann", text: big("q") };
      assert.deepEqual((await store.approval(tenant, approvalId))?.input, asked);
      assert.deepEqual((await store.approvals({ tenant, status: "pending", limit: 5 }))[0]?.input, asked);
      assert.deepEqual(await desk.journal(task), [entry]);
      assert.equal(await kept(), 1);
    });

    test("a fork needs what its original has, also when that is gone", async () => {
      const original = await desk.held();
      const { id: taskId, epoch, sessionId } = original;
      await store.append({ taskId, epoch, entries: [entryOf(1, big("f"))] });
      await desk.finish(original);
      const task = newTask({ agent: desk.agent, forkedFrom: taskId, input: input(big("g")) });
      await store.fork(task, { from: taskId, afterSeq: 0, upToSeq: 1 });
      await store.deleteSession(tenant, sessionId);
      const references = await database.query(sql("select from large_reference where task_id = $1", task.id));
      assert.equal(references.length, 2);
      assert.deepEqual(await desk.journal(task), [entryOf(1, big("f"))]);
      assert.equal((await desk.row(task)).input.prompt, big("g"));
    });

    test("another tenant's equal value is its own", async () => {
      for (const owner of [tenant, "globex"]) await desk.submit({ tenant: owner, input: input(big("t")) });
      assert.equal(await kept(), 2);
    });

    test("many tasks that write the same values at the same time all have them", async () => {
      const inputs = ["1", "2", "3", "4"].map((letter) => input(big(letter), big(`${letter}c`)));
      const others = createStore(database);
      const tasks = await Promise.all(
        Array.from({ length: 40 }, (_, index) => {
          const task = newTask({ agent: desk.agent, input: inputs[index % 4]! });
          return (index % 2 ? store : others).submit({ task, worker: null }).then(() => task);
        }),
      );
      for (const task of tasks) assert.deepEqual((await desk.row(task)).input, task.input);
      assert.equal(await kept(), 8);
    });

    test("a value that somebody has changed is not taken for what was stored", async () => {
      const task = await desk.submit({ input: input(big("c")) });
      await database.query(sql("update large_value set content = '\"changed\"'"));
      await assert.rejects(store.task({ tenant, id: task.id }), { code: "large_value_corrupt" });
      const [{ hash } = { hash: "" }] = await database.query<{ hash: string }>(sql("select hash from large_value"));
      await assert.rejects(store.largeValue(tenant, hash), { code: "large_value_corrupt" });
    });

    test("a repeat of an idempotency key needs nothing of its own", async () => {
      const first = await desk.submit({ idempotencyKey: "k", input: input(big("i")) });
      const again = await desk.submit({ idempotencyKey: "k", input: input(big("i")) });
      assert.equal(again.id, first.id);
      assert.equal((await database.query(sql("select from large_reference"))).length, 1);
    });
  });
}
