import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { z } from "zod";
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
import type { Answer } from "../agent/journal.ts";
import { UncertainOutcomeError, defineTool } from "../tools/define-tool.ts";
import type { Database } from "../store/database.ts";
import { createStore } from "../store/store.ts";
import type { ScriptedTurn } from "../testing/scripted-model.ts";

const [embedded] = await testDatabases();

describe("Questions to humans", () => {
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

  const answer = ({ engine }: Running, id: string, given: Answer) =>
    engine.approvals.answer(tenant, id, { answer: given, by: "ann" });

  const payOnce = (paid: unknown[]) =>
    defineTool({
      name: "pay",
      version: "1.0.0",
      description: "Pays.",
      effect: "once",
      input: z.object({ amount: z.number().positive(), note: z.string().default("none") }),
      approval: true,
      run: (input) => {
        paid.push(input);
        return { paid: input.amount };
      },
    });
  const script: ScriptedTurn[] = [{ calls: [{ id: "pay", name: "pay", input: { amount: 80 } }] }, { text: "Done." }];

  test("an approved call runs once, and the task holds no worker while it waits", async () => {
    const paid: unknown[] = [];
    await withHoldfast({ script, tools: [payOnce(paid)] }, async (holdfast) => {
      const task = await holdfast.submit({ prompt: "Pay 80" });
      const [question] = await questionsOf(holdfast, task.id);
      assert.deepEqual([question?.kind, question?.tool, question?.input], ["tool", "pay", { amount: 80 }]);
      assert.match(question!.inputHash, /^[0-9a-f]{64}$/);
      assert.deepEqual([holdfast.worker?.running, (await task.result({ waitMs: 0 })).status, paid], [0, "waiting", []]);
      const answered = await answer(holdfast, question!.id, { decision: "approve" });
      assert.deepEqual([answered.status, answered.answeredBy], ["answered", "ann"]);
      assert.equal((await task.result()).output, "Done.");
      assert.deepEqual(paid, [{ amount: 80, note: "none" }]);
      assert.deepEqual(await kindsOf(holdfast, task.id), [
        "model",
        "question",
        "answer",
        "intent",
        "tool",
        "model",
        "end",
      ]);
    });
  });

  test("a denied call does not run, and the model is told why", async () => {
    const paid: unknown[] = [];
    await withHoldfast({ script, tools: [payOnce(paid)] }, async (holdfast) => {
      const task = await holdfast.submit({ prompt: "Pay 80" });
      const [question] = await questionsOf(holdfast, task.id);
      await answer(holdfast, question!.id, { decision: "deny", comment: "Too much." });
      assert.equal((await task.result()).status, "completed");
      assert.deepEqual([paid, shownTo(holdfast, 2).at(-1)], [[], "pay: denied"]);
    });
  });

  test("an edited call runs with the new arguments if they fit the tool, and the model sees them", async () => {
    const paid: unknown[] = [];
    await withHoldfast({ script, tools: [payOnce(paid)] }, async (holdfast) => {
      const task = await holdfast.submit({ prompt: "Pay 80" });
      const [question] = await questionsOf(holdfast, task.id);
      const edit = (input: object) => answer(holdfast, question!.id, { decision: "edit", input: { ...input } });
      await assert.rejects(edit({ amount: -5 }), { code: "invalid_arguments" });
      await assert.rejects(edit({}), { code: "invalid_arguments" });
      await edit({ amount: 40 });
      await task.result();
      assert.deepEqual(paid, [{ amount: 40, note: "none" }]);
      assert.equal(shownTo(holdfast, 2)[1], 'assistant: pay({"amount":40})');
    });
  });

  test("an answer of the wrong kind, a second one, one by a stranger and one to a withdrawn question are refused", async () => {
    await withHoldfast({ script: () => script[0]!, tools: [payOnce([])] }, async (holdfast) => {
      const [task, other] = [await holdfast.submit({ prompt: "Pay" }), await holdfast.submit({ prompt: "Pay" })];
      const [question] = await questionsOf(holdfast, task.id);
      const [withdrawn] = await questionsOf(holdfast, other.id);
      await assert.rejects(answer(holdfast, question!.id, { decision: "retry" }), { code: "invalid_decision" });
      const strange = holdfast.engine.approvals.answer("globex", question!.id, {
        answer: { decision: "approve" },
        by: "eve",
      });
      await assert.rejects(strange, { code: "approval_not_found" });
      await answer(holdfast, question!.id, { decision: "approve" });
      await assert.rejects(answer(holdfast, question!.id, { decision: "approve" }), { code: "approval_answered" });
      await other.cancel();
      await assert.rejects(answer(holdfast, withdrawn!.id, { decision: "approve" }), { code: "approval_answered" });
      await questionsOf(holdfast, task.id);
      await task.cancel();
    });
  });

  test("all questions of a turn are asked together and the task goes on when the last is answered", async () => {
    const calls = [1, 2].map((amount) => ({ id: `pay${amount}`, name: "pay", input: { amount } }));
    const paid: unknown[] = [];
    await withHoldfast({ script: [{ calls }, { text: "Done." }], tools: [payOnce(paid)] }, async (holdfast) => {
      const task = await holdfast.submit({ prompt: "Pay twice" });
      const [first, second] = await questionsOf(holdfast, task.id);
      await answer(holdfast, second!.id, { decision: "deny", comment: "" });
      assert.equal((await task.result({ waitMs: 0 })).status, "waiting");
      await answer(holdfast, first!.id, { decision: "approve" });
      assert.equal((await task.result()).status, "completed");
      assert.deepEqual(paid, [{ amount: 1, note: "none" }]);
    });
  });

  const uncertain = (runs: string[]) =>
    toolOf("send", "once", (_, { idempotencyKey }) => {
      runs.push(idempotencyKey);
      if (runs.length === 1) throw new UncertainOutcomeError("the line went dead");
      return "sent";
    });

  for (const [decision, given, seen, times] of [
    ["succeeded", { decision: "succeeded", output: { id: 7 } }, 'send: {"id":7}', 1],
    ["failed", { decision: "failed", comment: "No mail." }, "send: tool_failed", 1],
    ["retry", { decision: "retry" }, 'send: "sent"', 2],
  ] satisfies [string, Answer, string, number][]) {
    test(`an outcome that nobody knows is asked for, and "${decision}" is believed`, async () => {
      const runs: string[] = [];
      const turns = [{ calls: [{ name: "send", input: {} }] }, { text: "Done." }];
      await withHoldfast({ script: turns, tools: [uncertain(runs)] }, async (holdfast) => {
        const task = await holdfast.submit({ prompt: "Send it" });
        const [question] = await questionsOf(holdfast, task.id);
        assert.equal(question?.kind, "uncertain");
        await assert.rejects(answer(holdfast, question!.id, { decision: "approve" }), { code: "invalid_decision" });
        await answer(holdfast, question!.id, given);
        assert.equal((await task.result()).status, "completed");
        assert.deepEqual([shownTo(holdfast, 2).at(-1), runs.length, new Set(runs).size], [seen, times, 1]);
      });
    });
  }

  test("a once tool that outlives its timeout is asked about, never repeated by itself", async () => {
    let runs = 0;
    const tools = [toolOf("send", { effect: "once", timeoutMs: 5 }, () => new Promise(() => runs++))];
    await withHoldfast(
      { script: [{ calls: [{ name: "send", input: {} }] }, { text: "Done." }], tools },
      async (holdfast) => {
        const task = await holdfast.submit({ prompt: "Send it" });
        const [question] = await questionsOf(holdfast, task.id);
        await answer(holdfast, question!.id, { decision: "failed", comment: "" });
        await task.result();
        assert.deepEqual([question?.kind, runs], ["uncertain", 1]);
      },
    );
  });

  const find = toolOf("find", "read", () => "found");
  const searching = ({ messages }: { messages: readonly unknown[] }): ScriptedTurn =>
    messages.length > 7
      ? { text: "Enough." }
      : { text: "Looking.", calls: [{ name: "find", input: { at: messages.length } }] };

  test("at a limit a task that may ask is frozen, and continues when a human raises it", async () => {
    const agent = { limits: { maxSteps: 2, onLimit: "ask" as const } };
    await withHoldfast({ script: searching, tools: [find], agent }, async (holdfast) => {
      const task = await holdfast.submit({ prompt: "Search" });
      const [question] = await questionsOf(holdfast, task.id);
      assert.deepEqual(
        [question?.kind, question?.input],
        ["limit", { limit: "max_steps_reached", used: 2, ceiling: 2 }],
      );
      await answer(holdfast, question!.id, { decision: "continue", advice: "Be quick.", limits: {} });
      const result = await task.result();
      assert.deepEqual([result.status, result.output, result.error], ["completed", "Enough.", null]);
      assert.ok(shownTo(holdfast, 3).includes("user: Be quick."));
    });
  });

  test("at a limit a human may end the task: it is completed with what there is", async () => {
    const agent = { limits: { maxSteps: 1, onLimit: "ask" as const } };
    await withHoldfast({ script: searching, tools: [find], agent }, async (holdfast) => {
      const task = await holdfast.submit({ prompt: "Search" });
      const [question] = await questionsOf(holdfast, task.id);
      await answer(holdfast, question!.id, { decision: "end" });
      const { status, output, error, stepsUsed } = await task.result();
      assert.deepEqual(
        { status, output, error, stepsUsed },
        {
          status: "completed",
          output: "Looking.",
          error: "max_steps_reached",
          stepsUsed: 1,
        },
      );
    });
  });

  test("without a human to ask a limit ends the task honestly", async () => {
    await withHoldfast({ script: searching, tools: [find] }, async (holdfast) => {
      const steps = await (await holdfast.submit({ prompt: "Search", maxSteps: 1 })).result();
      assert.deepEqual([steps.status, steps.error, steps.output], ["completed", "max_steps_reached", "Looking."]);
    });
    const dear = () => ({ text: "Dear.", calls: [{ name: "find", input: {} }], costMicros: 600_000 });
    await withHoldfast({ script: dear, tools: [find] }, async (holdfast) => {
      const cost = await (await holdfast.submit({ prompt: "Search", costBudgetUsd: 1 })).result();
      assert.deepEqual([cost.error, cost.costUsd, cost.stepsUsed], ["cost_budget_exceeded", 1.2, 2]);
    });
    const long = () => ({ text: "Long.", calls: [{ name: "find", input: {} }], usage: { input: 300, output: 300 } });
    await withHoldfast({ script: long, tools: [find] }, async (holdfast) => {
      const tokens = await (await holdfast.submit({ prompt: "Search", tokenBudget: 1_000 })).result();
      assert.deepEqual([tokens.error, tokens.tokensUsed], ["token_budget_exceeded", 600]);
    });
  });

  test("the same call for the fourth time is a question, and advice instead of it reaches the model", async () => {
    let finds = 0;
    const same = toolOf("find", "read", () => ++finds);
    const stutter = ({
      messages,
    }: {
      messages: readonly { role: string; outcome?: { ok: boolean } }[];
    }): ScriptedTurn =>
      messages.some(({ outcome }) => outcome?.ok === false)
        ? { text: "I stop." }
        : { calls: [{ name: "find", input: { id: 1 } }] };
    await withHoldfast({ script: stutter as Start["script"], tools: [same] }, async (holdfast) => {
      const task = await holdfast.submit({ prompt: "Search" });
      const [question] = await questionsOf(holdfast, task.id);
      assert.deepEqual([question?.kind, finds], ["stutter", 3]);
      await answer(holdfast, question!.id, { decision: "continue", advice: "It is not there.", limits: {} });
      assert.deepEqual([(await task.result()).output, finds], ["I stop.", 3]);
    });
  });

  test("a question survives the process that asked it, and any other may be told the answer", async () => {
    const paid: unknown[] = [];
    const start = { script, tools: [payOnce(paid)], agent: { name: "surviving" } };
    const first = await startHoldfast(database, start);
    const task = await first.submit({ prompt: "Pay 80" });
    const [question] = await questionsOf(first, task.id);
    await first.stop();
    await withHoldfast({ ...start, script: [{ text: "Done." }] }, async (second) => {
      await answer(second, question!.id, { decision: "approve" });
      assert.equal((await second.task(task.id).result()).output, "Done.");
      assert.equal(paid.length, 1);
    });
  });

  test("an intent that a killed process left is asked about by the next one", async () => {
    const runs: string[] = [];
    const start: Start = {
      script: ({ messages }) =>
        messages.length === 1 ? { calls: [{ id: "c", name: "send", input: {} }] } : { text: "Done." },
      tools: [toolOf("send", "once", (_, { idempotencyKey }) => void runs.push(idempotencyKey))],
      agent: { name: "uncertain" },
    };
    const silent = await startHoldfast(database, { ...start, options: { roles: ["api"] } });
    const task = await silent.submit({ prompt: "Send" });
    await silent.stop();
    // The journal of a process that died right after the intent.
    const store = createStore(database);
    const worker = "0193a1b2-0000-7000-8000-00000000dead";
    await store.registerWorker({ id: worker, leaseMs: 60_000, info: {} });
    const [claimed] = await store.claim({ worker, agents: ["uncertain"], limit: 1 });
    const usage = { input: 1, cached: 0, output: 1, reasoning: 0, estimated: false };
    const call = { id: "c", tool: "send", input: {}, version: "1.0.0", effect: "once" as const, needsApproval: false };
    const parts = [{ type: "call" as const, id: "c", tool: "send", input: {} }];
    const turn = { kind: "model" as const, parts, calls: [call], finish: "calls" as const, model: "a/b", usage };
    await store.append({
      taskId: task.id,
      epoch: claimed!.epoch,
      entries: [
        {
          ...turn,
          costMicros: 0,
          ttftMs: 0,
          tpotMs: 0,
          attempts: [],
          seq: 1,
          at: 1,
        },
        {
          kind: "intent",
          callId: "c",
          tool: "send",
          key: `${task.id}:1:0`,
          seq: 2,
          at: 2,
        },
      ],
    });
    await store.unregisterWorker(worker);
    await withHoldfast(start, async (holdfast) => {
      const [question] = await questionsOf(holdfast, task.id);
      assert.deepEqual([question?.kind, runs], ["uncertain", []]);
      await answer(holdfast, question!.id, { decision: "retry" });
      await holdfast.task(task.id).result();
      assert.deepEqual(runs, [`${task.id}:1:0`]);
      const intents = (await journalOf(holdfast, task.id)).filter(({ kind }) => kind === "intent");
      assert.equal(intents.length, 2);
      await until(() => holdfast.worker?.running === 0);
    });
  });
});
