import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { testDatabases } from "../../test/support/databases.ts";
import {
  atTimeOf,
  journalOf,
  kindsOf,
  passTime,
  shownTo,
  startHoldfast,
  tenant,
  toolOf,
  until,
  type Running,
  type Start,
} from "../../test/support/running-holdfast.ts";
import { ModelCallError, type ModelErrorCode } from "../gateway/model-gateway.ts";
import type { Retry } from "../platform/errors.ts";
import type { Database } from "../store/database.ts";
import { createVirtualClock } from "../testing/virtual-clock.ts";

const [embedded] = await testDatabases();

describe("The engine", () => {
  let database: Database;
  before(async () => {
    database = await embedded!.open();
  });
  after(() => database.close());

  const modelError = (code: ModelErrorCode, retry: Retry): ModelCallError =>
    new ModelCallError(code, "no answer", { retry, attempts: [{ model: "a/b", code, message: "no", ms: 1 }] });

  /** Runs one on the database and stops it whatever happens. */
  const withHoldfast = async (start: Start, use: (holdfast: Running) => Promise<void>): Promise<void> => {
    const holdfast = await startHoldfast(database, start);
    try {
      await use(holdfast);
    } finally {
      await holdfast.stop();
    }
  };

  test("runs a task with tools to its end, and the journal reads like a story", async () => {
    const script = [
      {
        calls: [
          { name: "find", input: { id: 1 } },
          { name: "find", input: { id: 2 } },
        ],
        costMicros: 7,
      },
      { text: "Found both.", costMicros: 5 },
    ];
    const tools = [toolOf("find", "read", ({ id }) => ({ found: id }))];
    await withHoldfast({ script, tools }, async (holdfast) => {
      const task = await holdfast.submit({ prompt: "Find 1 and 2", context: { shop: "A" } });
      const { durationMs, ...result } = await task.result();
      assert.ok(durationMs >= 0);
      assert.deepEqual(result, {
        taskId: task.id,
        sessionId: task.id,
        status: "completed",
        output: "Found both.",
        error: null,
        stepsUsed: 2,
        tokensUsed: 30,
        toolCalls: 2,
        costUsd: 12e-6,
      });
      assert.deepEqual(await kindsOf(holdfast, task.id), ["model", "tool", "tool", "model", "end"]);
      assert.deepEqual(shownTo(holdfast, 2), [
        'user: Find 1 and 2\n\nContext:\n{\n  "shop": "A"\n}',
        'assistant: find({"id":1}) find({"id":2})',
        'find: {"found":1}',
        'find: {"found":2}',
      ]);
    });
  });

  test("the calls of one turn run at the same time, and the model reads them in its own order", async () => {
    const slow = Promise.withResolvers<void>();
    const tools = [
      toolOf("slow", "read", async () => {
        await slow.promise;
        return "slow";
      }),
      toolOf("quick", "read", () => {
        slow.resolve();
        return "quick";
      }),
    ];
    const script = [
      {
        calls: [
          { name: "slow", input: {} },
          { name: "quick", input: {} },
        ],
      },
      { text: "Done." },
    ];
    await withHoldfast({ script, tools }, async (holdfast) => {
      assert.equal((await (await holdfast.submit({ prompt: "Both" })).result()).status, "completed");
      assert.deepEqual(shownTo(holdfast, 2).slice(2), ['slow: "slow"', 'quick: "quick"']);
    });
  });

  test("a tool that throws, hangs, answers nonsense or is unknown is an observation, and the task goes on", async () => {
    const circular: Record<string, unknown> = {};
    circular["self"] = circular;
    const tools = [
      toolOf("throws", "read", () => {
        throw new Error("no such order");
      }),
      toolOf("hangs", { effect: "read", timeoutMs: 5 }, () => new Promise(() => {})),
      toolOf("nonsense", "idempotent", () => circular),
      toolOf("fails", "once", () => Promise.reject(new Error("card refused"))),
    ];
    const names = [...tools.map(({ name }) => name), "absent"];
    const script = [{ calls: names.map((name) => ({ name, input: {} })) }, { text: "All failed." }];
    await withHoldfast({ script, tools }, async (holdfast) => {
      const result = await (await holdfast.submit({ prompt: "Try all" })).result();
      assert.deepEqual([result.status, result.output], ["completed", "All failed."]);
      assert.deepEqual(shownTo(holdfast, 2).slice(2), [
        "throws: tool_failed",
        "hangs: tool_timeout",
        "nonsense: invalid_output",
        "fails: tool_failed",
        "absent: unknown_tool",
      ]);
    });
  });

  test("10 MB of output are kept by reference: the journal and the model see the beginning", async () => {
    const big = "x".repeat(10 * 1024 * 1024);
    const script = [{ calls: [{ name: "dump", input: {} }] }, { text: "Big." }];
    await withHoldfast({ script, tools: [toolOf("dump", "read", () => big)] }, async (holdfast) => {
      const task = await holdfast.submit({ prompt: "Dump", tokenBudget: 32_768 });
      assert.equal((await task.result()).output, "Big.");
      const journal = await journalOf(holdfast, task.id);
      assert.ok(JSON.stringify(journal).length < 50_000);
      const outcome = journal.find((entry) => entry.kind === "tool")?.outcome;
      assert.ok(outcome?.ok && outcome.large !== undefined);
      assert.equal(outcome.large.bytes, big.length + 2);
      assert.equal(await holdfast.engine.largeValue(tenant, outcome.large.hash), big);
    });
  });

  test("text that PostgreSQL refuses, in an answer, an argument or a result, breaks nothing", async () => {
    const bad = "a\0b\ud800";
    const script = [{ text: bad, calls: [{ name: "ask", input: { bad } }] }, { text: `${bad}!` }];
    const tools = [toolOf("ask", { effect: "once", approval: true }, () => bad)];
    await withHoldfast({ script, tools }, async (holdfast) => {
      const task = await holdfast.submit({ prompt: "Say it" });
      const [question] = await until(async () => {
        const open = await holdfast.engine.approvals.list({ tenant, status: "pending", taskId: task.id, limit: 1 });
        return open.length > 0 && open;
      });
      await holdfast.engine.approvals.answer(tenant, question!.id, { answer: { decision: "approve" }, by: "ann" });
      assert.deepEqual([(await task.result()).status, (await task.result()).output], ["completed", "a\ufffdb\ufffd!"]);
    });
  });

  test("an idempotency key answers the same task for the same request and refuses another", async () => {
    await withHoldfast({ script: () => ({ text: "Hi." }) }, async ({ engine, agent }) => {
      const request = { prompt: "Hello", agent, idempotencyKey: `key of ${agent}`, metadata: { b: 1, a: 2 } };
      const [first, second] = await Promise.all([engine.submit(tenant, request), engine.submit(tenant, request)]);
      assert.notEqual(first.created, second.created);
      assert.equal(first.task.taskId, second.task.taskId);
      const reordered = await engine.submit(tenant, { ...request, metadata: { a: 2, b: 1 } });
      assert.equal(reordered.task.taskId, first.task.taskId);
      await assert.rejects(engine.submit(tenant, { ...request, prompt: "Bye" }), { code: "idempotency_key_reused" });
    });
  });

  test("an unknown agent, a prompt without text and a number out of bounds are refused and nothing is stored", async () => {
    await withHoldfast({ script: [] }, async ({ engine, agent }) => {
      const refuse = (request: object, code: string, path: string) =>
        assert.rejects(engine.submit(tenant, { prompt: "Hello", ...request }), { code, path });
      await refuse({ agent: "nobody" }, "unknown_agent", "/agent");
      await refuse({ prompt: "" }, "invalid_request", "/prompt");
      await refuse({ prompt: "a\0" }, "invalid_request", "/prompt");
      await refuse({ maxSteps: 26 }, "invalid_request", "/maxSteps");
      await refuse({ deadlineMs: Number.NaN }, "invalid_request", "/deadlineMs");
      assert.deepEqual(await engine.tasks({ tenant, agent, limit: 10 }), []);
    });
  });

  test("beyond the bound of the queue a submit is refused with a time to come back, and later it is taken", async () => {
    const gate = Promise.withResolvers<void>();
    const clock = createVirtualClock(Date.now());
    const config = { slots: 1, maxWaiting: 3 };
    const options = { parts: { clock } };
    await withHoldfast({ script: () => ({ text: "Hi.", gate: gate.promise }), config, options }, async (holdfast) => {
      const submit = () => holdfast.submit({ prompt: "Hello" });
      const first = await submit();
      await until(() => holdfast.gateway.requests.length === 1);
      await clock.advance(1_000);
      const more = [await submit(), await submit(), await submit()];
      await assert.rejects(submit(), (error: { code: string; retry: { afterMs: number } }) => {
        assert.deepEqual([error.code, error.retry], ["queue_full", { afterMs: 1_200 }]);
        return true;
      });
      gate.resolve();
      for (const task of [first, ...more])
        await until(async () => (await task.result({ waitMs: 0 })).status === "completed");
      await clock.advance(1_000);
      await submit();
    });
  });

  test("an error of the model that passes is tried again with growing pauses, and the journal tells", async () => {
    const clock = createVirtualClock(Date.UTC(2026, 0, 1));
    const own = atTimeOf(clock, database);
    const script = (_: unknown, turn: number) =>
      turn <= 3 ? { error: modelError("model_unavailable", { afterMs: 10 }) } : { text: "At last." };
    const tuning = {
      leaseMs: 1e9,
      pollMs: 1_000,
      retries: { attempts: 1, baseMs: 1_000, mostMs: 300_000, outageMs: 10_000 },
    };
    const holdfast = await startHoldfast(own, { script, options: { parts: { clock }, tuning } });
    const task = await holdfast.submit({ prompt: "Hello" });
    const result = await passTime({ clock, database, stepMs: 250 }, async () => {
      const now = await task.result({ waitMs: 0 });
      return now.status === "completed" && now;
    });
    assert.equal(result.output, "At last.");
    const failures = (await journalOf(holdfast, task.id)).filter((entry) => entry.kind === "failure");
    assert.deepEqual(
      failures.map(({ code, retryAt, at }) => [code, retryAt! - at]),
      [
        ["model_unavailable", 1_010],
        ["model_unavailable", 2_010],
        ["model_unavailable", 4_010],
      ],
    );
    assert.deepEqual(failures[0]!.attempts, [{ model: "a/b", code: "model_unavailable", message: "no", ms: 1 }]);
    await holdfast.stop();
  });

  for (const [hours, status, afterMs] of [
    [5, "completed", 600_000],
    [73, "failed", 3_600_000],
  ] as const) {
    test(`an outage of the providers of ${hours} hours leaves the task ${status}`, async () => {
      const clock = createVirtualClock(Date.UTC(2026, 0, 1));
      const backAt = clock.now() + hours * 3_600_000;
      const script = () =>
        clock.now() < backAt ? { error: modelError("model_unavailable", { afterMs }) } : { text: "Back." };
      const options = { parts: { clock }, tuning: { leaseMs: 1e12, pollMs: afterMs / 3 } };
      const holdfast = await startHoldfast(atTimeOf(clock, database), { script, options });
      const task = await holdfast.submit({ prompt: "Hello" });
      const result = await passTime({ clock, database, stepMs: afterMs / 3 }, async () => {
        const now = await task.result({ waitMs: 0 });
        return now.status === status && now;
      });
      assert.equal(result.error, status === "failed" ? "model_unavailable" : null);
      assert.ok(holdfast.gateway.requests.length > 20);
      await holdfast.stop();
    });
  }

  test("a rate limit is waited for as long as the provider asks", async () => {
    const clock = createVirtualClock(Date.UTC(2026, 0, 1));
    const script = (_: unknown, turn: number) =>
      turn === 1 ? { error: modelError("model_rate_limited", { afterMs: 30_000 }) } : { text: "Now." };
    const holdfast = await startHoldfast(atTimeOf(clock, database), {
      script,
      options: { parts: { clock }, tuning: { leaseMs: 1e9, pollMs: 1_000 } },
    });
    const task = await holdfast.submit({ prompt: "Hello" });
    const startedAt = clock.now();
    await passTime(
      { clock, database, stepMs: 1_000 },
      async () => (await task.result({ waitMs: 0 })).status === "completed",
    );
    assert.ok(clock.now() - startedAt >= 30_000, `it waited ${clock.now() - startedAt} ms`);
    assert.equal(holdfast.gateway.requests.length, 2);
    await holdfast.stop();
  });

  test("retries come to an end: the task is a dead letter, and can be replayed from where it stopped", async () => {
    let broken = true;
    const script = (request: { messages: readonly unknown[] }) => {
      if (request.messages.length === 1) return { calls: [{ name: "find", input: {} }] };
      return broken ? { error: new Error("A bug.") } : { text: "Recovered." };
    };
    let found = 0;
    const tools = [toolOf("find", "read", () => ++found)];
    const options = { tuning: { retries: { attempts: 3, baseMs: 1, mostMs: 2, outageMs: 1 } } };
    await withHoldfast({ script, tools, options }, async (holdfast) => {
      const task = await holdfast.submit({ prompt: "Find" });
      const failed = await task.result();
      assert.deepEqual([failed.status, failed.error], ["failed", "internal_error"]);
      assert.deepEqual(await kindsOf(holdfast, task.id), ["model", "tool", "failure", "failure", "failure", "end"]);
      const address = { tenant, taskId: task.id };
      broken = false;
      await holdfast.engine.replay(address, { prompt: null, by: "ann" });
      const result = await task.result();
      assert.deepEqual([result.status, result.output, found], ["completed", "Recovered.", 1]);
      await assert.rejects(holdfast.engine.replay(address, { prompt: null, by: "ann" }), { code: "not_a_dead_letter" });
    });
  });

  test("an error that no repetition mends ends the task at once, with its own code", async () => {
    for (const code of ["model_auth", "model_bad_request", "model_content_policy", "model_context_too_long"] as const) {
      await withHoldfast({ script: () => ({ error: modelError(code, "never") }) }, async (holdfast) => {
        const task = await holdfast.submit({ prompt: "Hello" });
        const result = await task.result();
        assert.deepEqual([result.status, result.error], ["failed", code]);
        assert.equal(holdfast.gateway.requests.length, 1);
        const dead = await holdfast.engine.tasks({ tenant, agent: holdfast.agent, deadLetter: true, limit: 9 });
        assert.deepEqual(
          dead.map(({ id }) => id),
          [task.id],
        );
        await holdfast.engine.discard({ tenant, taskId: task.id });
        await assert.rejects(holdfast.engine.discard({ tenant, taskId: task.id }), { code: "not_a_dead_letter" });
      });
    }
  });

  test("a dead letter replayed with another prompt starts from the beginning", async () => {
    const script = (request: { messages: readonly { role: string; text?: string }[] }) =>
      request.messages.at(-1)?.text === "Good"
        ? { text: "Fine." }
        : { error: modelError("model_bad_request", "never") };
    await withHoldfast({ script }, async (holdfast) => {
      const task = await holdfast.submit({ prompt: "Bad" });
      await task.result();
      await holdfast.engine.replay({ tenant, taskId: task.id }, { prompt: "Good", by: "ann" });
      assert.deepEqual([(await task.result()).status, (await task.result()).output], ["completed", "Fine."]);
      assert.deepEqual(shownTo(holdfast, 2), ["user: Good"]);
      assert.deepEqual(await kindsOf(holdfast, task.id), ["failure", "end", "replay", "model", "end"]);
    });
  });

  test("a task past its deadline fails at the next step, also in the middle of a backoff", async () => {
    const clock = createVirtualClock(Date.UTC(2026, 0, 1));
    const script = () => ({ error: modelError("model_unavailable", { afterMs: 60_000 }) });
    const options = { parts: { clock }, tuning: { leaseMs: 1e9, pollMs: 1_000 } };
    const holdfast = await startHoldfast(atTimeOf(clock, database), { script, options });
    const task = await holdfast.submit({ prompt: "Hello", deadlineMs: 5_000 });
    const startedAt = clock.now();
    const result = await passTime({ clock, database, stepMs: 500 }, async () => {
      const now = await task.result({ waitMs: 0 });
      return now.status === "failed" && now;
    });
    assert.deepEqual([result.error, holdfast.gateway.requests.length], ["deadline_exceeded", 1]);
    assert.ok(clock.now() - startedAt < 10_000);
    await holdfast.stop();
  });

  test("a bug in a gateway is a failure of the task and not of the process", async () => {
    const script = () => {
      throw new TypeError("undefined is not a function");
    };
    const options = { tuning: { retries: { attempts: 2, baseMs: 1, mostMs: 1, outageMs: 1 } } };
    await withHoldfast({ script, options }, async (holdfast) => {
      const result = await (await holdfast.submit({ prompt: "Hello" })).result();
      assert.deepEqual([result.status, result.error], ["failed", "internal_error"]);
    });
  });
});
