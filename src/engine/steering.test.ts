/** Messages to tasks that are at work, as users and their agents see them. */
import assert from "node:assert/strict";
import { after, before, describe, test, type TestContext } from "node:test";
import { testDatabases } from "../../test/support/databases.ts";
import {
  journalOf,
  kindsOf,
  questionsOf,
  shownTo,
  startHoldfast,
  tenant,
  toolOf,
  until,
  type Running,
  type Start,
} from "../../test/support/running-holdfast.ts";
import { newTask, sql } from "../../test/support/stored-tasks.ts";
import { systemId } from "../platform/ids.ts";
import type { Database } from "../store/database.ts";
import type { AtWork } from "../store/queries/inbox.ts";
import type { ScriptedTurn } from "../testing/scripted-model.ts";
import type { WhileBusy } from "./task-request.ts";

const look: ScriptedTurn = { calls: [{ id: "c1", name: "look", input: {} }] };

for (const { name, open } of await testDatabases()) {
  describe(`messages to a task at work, on ${name}`, () => {
    let database: Database;
    before(async () => {
      database = await open();
    });
    after(() => database.close());

    async function start(t: TestContext, options: Start): Promise<Running> {
      const holdfast = await startHoldfast(database, {
        ...options,
        options: { ...options.options, tuning: { drainMs: 1_000, ...options.options?.tuning } },
      });
      t.after(() => holdfast.stop());
      return holdfast;
    }

    /** A task whose first turn calls a tool that runs until it is let go. */
    async function withSlowTool(
      t: TestContext,
      turns: readonly ScriptedTurn[],
      play: (stage: {
        holdfast: Running;
        sessionId: string;
        taskId: string;
        letGo: () => void;
        send: (
          prompt: string,
          options?: { whileBusy?: WhileBusy; idempotencyKey?: string },
        ) => ReturnType<Running["submit"]>;
      }) => Promise<void>,
    ): Promise<void> {
      const running = Promise.withResolvers<void>();
      const gate = Promise.withResolvers<void>();
      const tool = toolOf("look", "read", async () => {
        running.resolve();
        await gate.promise;
        return "seen";
      });
      const holdfast = await start(t, { script: [look, ...turns], tools: [tool] });
      const sessionId = systemId();
      try {
        const { id: taskId } = await holdfast.submit({ prompt: "Look.", sessionId });
        await running.promise;
        await play({
          holdfast,
          sessionId,
          taskId,
          letGo: gate.resolve,
          send: (prompt, options) => holdfast.submit({ prompt, sessionId, whileBusy: "inject", ...options }),
        });
      } finally {
        gate.resolve();
      }
    }

    test("an injected message stands after the outcomes of the turn before it, and the next turn answers to it", async (t) => {
      await withSlowTool(t, [{ text: "Seen, and blue." }], async ({ holdfast, taskId, sessionId, letGo, send }) => {
        const handle = await send("Only the blue ones.");
        assert.deepEqual([handle.id, typeof handle.messageId], [taskId, "string"]);
        letGo();
        const result = await handle.result();
        assert.deepEqual([result.taskId, result.status, result.output], [taskId, "completed", "Seen, and blue."]);
        const said = ["user: Look.", "assistant: look({})", 'look: "seen"', "user: Only the blue ones."];
        assert.deepEqual(shownTo(holdfast, 2), said);
        const entry = (await journalOf(holdfast, taskId)).find(({ kind }) => kind === "message");
        assert.equal(entry?.kind === "message" && entry.messageId, handle.messageId);
        const [exchange] = await holdfast.engine.exchanges({ tenant, sessionId, before: null, limit: 9 });
        assert.deepEqual(
          exchange?.messages.map(({ role }) => role),
          ["user", "assistant", "tool", "user", "assistant"],
        );
      });
    });

    test("several messages are heard together, in the order they came", async (t) => {
      await withSlowTool(t, [{ text: "Done." }], async ({ holdfast, taskId, letGo, send }) => {
        for (const prompt of ["one", "two", "three"]) await send(prompt);
        letGo();
        await holdfast.task(taskId).result();
        assert.deepEqual(shownTo(holdfast, 2).slice(-3), ["user: one", "user: two", "user: three"]);
        assert.equal(holdfast.gateway.requests.length, 2);
      });
    });

    test("a message that comes while the answer is given keeps the task from ending with it", async (t) => {
      const gate = Promise.withResolvers<void>();
      const script: ScriptedTurn[] = [{ text: "An answer.", gate: gate.promise }, { text: "A better one." }];
      const holdfast = await start(t, { script });
      const sessionId = systemId();
      const task = await holdfast.submit({ prompt: "Ask.", sessionId });
      await until(() => holdfast.gateway.requests.length === 1);
      const message = await holdfast.submit({ prompt: "Think again.", sessionId, whileBusy: "inject" });
      assert.equal(message.id, task.id);
      gate.resolve();
      assert.equal((await message.result()).output, "A better one.");
      assert.deepEqual(await kindsOf(holdfast, task.id), ["model", "message", "model", "end"]);
      assert.deepEqual(shownTo(holdfast, 2), ["user: Ask.", "assistant: An answer.", "user: Think again."]);
    });

    test("where nothing is at work the message is a task of its own, behind what was said before", async (t) => {
      const holdfast = await start(t, { script: [{ text: "One." }, { text: "Two." }] });
      const sessionId = systemId();
      for (const whileBusy of ["inject", "interrupt"] as const) {
        const handle = await holdfast.submit({ prompt: "Say.", sessionId, whileBusy });
        assert.equal(handle.messageId, null);
        assert.equal((await handle.result()).status, "completed");
      }
      assert.deepEqual(shownTo(holdfast, 2), ["user: Say.", "assistant: One.", "user: Say."]);
    });

    test("a task of another agent takes no message", async (t) => {
      await withSlowTool(t, [{ text: "Done." }], async ({ holdfast, sessionId, taskId }) => {
        const other = await start(t, { script: [{ text: "Mine." }] });
        const handle = await other.submit({ prompt: "For me.", sessionId, whileBusy: "inject" });
        assert.deepEqual([handle.messageId, handle.id === taskId], [null, false]);
        assert.deepEqual(await kindsOf(holdfast, taskId), ["model"]);
        await other.engine.cancel({ tenant, taskId: handle.id }, "test");
      });
    });

    test("a repeat of the key answers the same message, before and after it was heard", async (t) => {
      await withSlowTool(t, [{ text: "Done." }], async ({ holdfast, taskId, letGo, send, sessionId }) => {
        const idempotencyKey = systemId();
        const first = await send("Once.", { idempotencyKey });
        const again = await send("Once.", { idempotencyKey });
        assert.deepEqual([again.id, again.messageId], [first.id, first.messageId]);
        await assert.rejects(send("Another.", { idempotencyKey }), { code: "idempotency_key_reused" });
        const queued = holdfast.submit({ prompt: "Once.", sessionId, idempotencyKey });
        await assert.rejects(queued, { code: "idempotency_key_reused" });
        letGo();
        await first.result();
        const later = await send("Once.", { idempotencyKey });
        assert.deepEqual([later.id, later.messageId], [first.id, first.messageId]);
        assert.deepEqual(await kindsOf(holdfast, taskId), ["model", "tool", "message", "model", "end"]);
      });
    });

    test("an inbox has a bound, and the bound moves on when the task has heard", async (t) => {
      await withSlowTool(t, [{ text: "Done." }], async ({ holdfast, sessionId, send }) => {
        for (let n = 0; n < 20; n++) await send(`message ${n}`);
        await assert.rejects(send("one more"), { code: "inbox_full" });
        const rows = await database.query(sql("select id from task where session_id = $1", sessionId));
        assert.equal(rows.length, 1, "what is refused is no task either");
        const long = "x".repeat(100_001);
        await assert.rejects(send(long), { code: "invalid_request", path: "/prompt" });
        assert.ok(holdfast.worker?.leased);
      });
    });

    test("an interrupt cuts off the turn in flight; what it had said is kept, counted, and shown to the next turn", async (t) => {
      const never = Promise.withResolvers<void>();
      const script: ScriptedTurn[] = [{ first: "Once upon a", gate: never.promise }, { text: "Very well." }];
      const holdfast = await start(t, { script });
      const sessionId = systemId();
      const task = await holdfast.submit({ prompt: "A story.", sessionId });
      await until(() => holdfast.gateway.requests.length === 1);
      const message = await holdfast.submit({ prompt: "No, a poem.", sessionId, whileBusy: "interrupt" });
      assert.equal(message.id, task.id);
      const result = await message.result();
      assert.deepEqual([result.output, result.error, result.stepsUsed], ["Very well.", null, 2]);
      const shown = ["user: A story.", "assistant: Once upon a", "user: No, a poem."];
      assert.deepEqual(shownTo(holdfast, 2), shown);
      const [cut] = await journalOf(holdfast, task.id);
      assert.equal(cut?.kind === "model" && cut.finish, "interrupted");
    });

    test("an interrupt is told to the process by the next heartbeat, if the word of it was lost", async (t) => {
      const script: ScriptedTurn[] = [{ first: "Once", gate: new Promise(() => {}) }, { text: "Very well." }];
      const holdfast = await start(t, { script, options: { tuning: { leaseMs: 1_000 } } });
      const sessionId = systemId();
      const task = await holdfast.submit({ prompt: "A story.", sessionId });
      await until(() => holdfast.gateway.requests.length === 1);
      const message = newTask({ tenant, sessionId, agent: holdfast.agent });
      const { leftFor } = (await holdfast.store.deliver({ task: message, worker: null, interrupts: true })) as {
        leftFor?: AtWork;
      };
      assert.equal(leftFor?.taskId, task.id);
      assert.equal((await task.result()).output, "Very well.");
    });

    const skip = name === "PGlite" && "an embedded database has one process";
    test("an interrupt reaches a worker in another process", { skip }, async (t) => {
      const script: ScriptedTurn[] = [{ first: "Once", gate: new Promise(() => {}) }, { text: "Very well." }];
      const worker = await start(t, { script });
      const api = await start(t, { script: [], agent: { name: worker.agent }, options: { roles: ["api"] } });
      const sessionId = systemId();
      const task = await api.submit({ prompt: "A story.", sessionId });
      await until(() => worker.gateway.requests.length === 1);
      const message = await api.submit({ prompt: "A poem.", sessionId, whileBusy: "interrupt" });
      assert.equal(message.id, task.id);
      assert.equal((await message.result()).output, "Very well.");
      assert.deepEqual(await kindsOf(api, task.id), ["model", "message", "model", "end"]);
    });

    test("an interrupt lets tools run to their end", async (t) => {
      await withSlowTool(t, [{ text: "Done." }], async ({ holdfast, taskId, letGo, send }) => {
        await send("Stop that.", { whileBusy: "interrupt" });
        letGo();
        await holdfast.task(taskId).result();
        assert.deepEqual(await kindsOf(holdfast, taskId), ["model", "tool", "message", "model", "end"]);
        const outcome = (await journalOf(holdfast, taskId))[1];
        assert.equal(outcome?.kind === "tool" && outcome.outcome.ok, true);
      });
    });

    test("an approval stays open; the message is heard when it is answered", async (t) => {
      const script = [look, { text: "Done." }];
      const tools = [toolOf("look", { effect: "read", approval: true }, () => "seen")];
      const holdfast = await start(t, { script, tools });
      const sessionId = systemId();
      const task = await holdfast.submit({ prompt: "Look.", sessionId });
      const [question] = await questionsOf(holdfast, task.id);
      const message = await holdfast.submit({ prompt: "Hurry.", sessionId, whileBusy: "interrupt" });
      assert.equal(message.id, task.id);
      assert.equal((await questionsOf(holdfast, task.id)).length, 1);
      await holdfast.engine.approvals.answer(tenant, question!.id, { answer: { decision: "approve" }, by: "ann" });
      await task.result();
      assert.deepEqual(shownTo(holdfast, 2).slice(1), ["assistant: look({})", 'look: "seen"', "user: Hurry."]);
    });

    test("what a task has no steps left for becomes a task of its own, ahead of nothing that was queued before", async (t) => {
      const gate = Promise.withResolvers<void>();
      const script: ScriptedTurn[] = [{ text: "One.", gate: gate.promise }, { text: "Two." }, { text: "Three." }];
      const holdfast = await start(t, { script, agent: { limits: { maxSteps: 1 } } });
      const sessionId = systemId();
      const task = await holdfast.submit({ prompt: "First.", sessionId });
      await until(() => holdfast.gateway.requests.length === 1);
      const queued = await holdfast.submit({ prompt: "Second.", sessionId });
      const idempotencyKey = systemId();
      const request = { prompt: "Third.", sessionId, whileBusy: "inject", idempotencyKey } as const;
      const message = await holdfast.submit(request);
      assert.equal(message.id, task.id);
      gate.resolve();
      const result = await message.result();
      assert.deepEqual([result.taskId, result.output], [message.messageId, "Three."]);
      assert.deepEqual([(await task.result()).output, (await queued.result()).output], ["One.", "Two."]);
      const again = await holdfast.submit(request);
      assert.deepEqual([again.id, again.messageId], [message.messageId, null]);
    });

    test("a task that is cancelled leaves its messages to a task of their own", async (t) => {
      const tools = [toolOf("look", { effect: "read", approval: true }, () => "seen")];
      const holdfast = await start(t, { script: [look, { text: "Hurrying." }], tools });
      const sessionId = systemId();
      const task = await holdfast.submit({ prompt: "Look.", sessionId });
      await questionsOf(holdfast, task.id);
      const message = await holdfast.submit({ prompt: "Hurry.", sessionId, whileBusy: "inject" });
      await task.cancel("ann");
      const result = await message.result();
      assert.deepEqual([result.taskId, result.output], [message.messageId, "Hurrying."]);
      assert.deepEqual(shownTo(holdfast, 2), ["user: Hurry."]);
    });

    test("a running task that is cancelled does so, too", async (t) => {
      await withSlowTool(t, [{ text: "Hurrying." }], async ({ holdfast, taskId, send, letGo }) => {
        const message = await send("Hurry.");
        await holdfast.task(taskId).cancel("ann");
        letGo();
        const result = await message.result();
        assert.deepEqual([result.taskId, result.output], [message.messageId, "Hurrying."]);
        assert.equal((await holdfast.task(taskId).result()).status, "cancelled");
      });
    });

    test("a task that is tried again after a failure still knows what it was told", async (t) => {
      await withSlowTool(
        t,
        [{ error: new Error("broken") }, { text: "Blue." }],
        async ({ holdfast, taskId, letGo, send }) => {
          await send("Only the blue ones.");
          letGo();
          await until(async () => (await kindsOf(holdfast, taskId)).includes("failure"));
          await holdfast.task(taskId).result();
          assert.deepEqual(shownTo(holdfast, 3).at(-1), "user: Only the blue ones.");
        },
      );
    });

    test("a fork keeps what was said to the steps it keeps", async (t) => {
      const gate = Promise.withResolvers<void>();
      const turns: ScriptedTurn[] = [
        { text: "An answer.", gate: gate.promise },
        { text: "A better one." },
        { text: "The best." },
      ];
      const holdfast = await start(t, { script: turns });
      const sessionId = systemId();
      const task = await holdfast.submit({ prompt: "Ask.", sessionId });
      await until(() => holdfast.gateway.requests.length === 1);
      await holdfast.submit({ prompt: "Think again.", sessionId, whileBusy: "inject" });
      gate.resolve();
      await task.result();
      const fork = await holdfast.engine.fork({ tenant, taskId: task.id }, { step: null, prompt: null, model: null });
      assert.equal((await holdfast.task(fork.taskId).result()).output, "The best.");
      assert.deepEqual(shownTo(holdfast, 3), ["user: Ask.", "assistant: An answer.", "user: Think again."]);
    });
  });
}
