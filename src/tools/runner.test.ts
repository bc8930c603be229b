import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { z } from "zod";
import type { AssistantPart, ToolOutcome } from "../agent/conversation.ts";
import type { Effect, PlannedCall } from "../agent/journal.ts";
import type { Json } from "../agent/json.ts";
import { neverAborts } from "../platform/abort.ts";
import type { Clock } from "../platform/clock.ts";
import { createToolCatalogue } from "./catalogue.ts";
import { defineTool, type Tool, type ToolContext, type ToolOptions, UncertainOutcomeError } from "./define-tool.ts";
import { createToolRunner } from "./runner.ts";
import type { CallContext, ToolRunner } from "./tool-runner.ts";

/** A clock whose timers ring only when `ring` is called. */
function manualClock(): Clock & { ring: () => void; pending: () => number } {
  const timers = new Map<() => void, number>();
  return {
    now: () => 0,
    monotonic: () => 0,
    sleep: () => Promise.resolve(),
    timer: (ms, run) => {
      timers.set(run, ms);
      return () => void timers.delete(run);
    },
    ring: () => [...timers.keys()].forEach((run) => run()),
    pending: () => timers.size,
  };
}

const inputSchema = z.object({ orderId: z.string(), amountUsd: z.number().positive().default(5) });
type Options = ToolOptions<typeof inputSchema>;

function refund(options: Partial<Options> = {}): Tool {
  return defineTool({
    name: "refund",
    version: "1.2.0",
    description: "Refund an order.",
    effect: "once",
    input: inputSchema,
    run: () => null,
    ...options,
  });
}

function runnerOf(...tools: Tool[]): ToolRunner & { clock: ReturnType<typeof manualClock> } {
  const clock = manualClock();
  const keepLarge = async (): Promise<string> => "hash";
  return { ...createToolRunner({ catalogue: createToolCatalogue(tools), clock, keepLarge }), clock };
}

function callPart(input: Json, tool = "refund"): AssistantPart {
  return { type: "call", id: "c1", tool, input };
}

function planned(effect: Effect = "once", input: Json = { orderId: "A1" }): PlannedCall {
  return { id: "c1", tool: "refund", input, version: "1.2.0", effect, needsApproval: false };
}

function contextOf(signal: AbortSignal = neverAborts()): CallContext {
  return {
    idempotencyKey: "t1:3:c1",
    taskId: "t1",
    sessionId: "s1",
    tenant: "acme",
    agent: "support",
    userId: null,
    signal,
  };
}

/** What came of one run of a tool with this code. */
function outcomeOfRun(run: Options["run"], effect: Effect = "read"): Promise<ToolOutcome | null> {
  return runnerOf(refund({ run, effect })).run(planned(effect), contextOf());
}

test("specs are what a model sees, in the order of the references, each tool once", () => {
  const runner = runnerOf(refund(), refund({ name: "find_order" }), refund({ version: "2.0.0" }));
  const specs = runner.specs(["refund@^1", "find_order", "refund@1.2.0"]);
  assert.deepEqual(
    specs.map(({ name, description }) => [name, description]),
    [
      ["refund", "Refund an order."],
      ["find_order", "Refund an order."],
    ],
  );
  assert.deepEqual(specs[0]?.inputSchema["required"], ["orderId"]);
});

test("specs refuse an unknown reference and two versions of one tool", () => {
  const runner = runnerOf(refund(), refund({ version: "2.0.0" }));
  assert.throws(() => runner.specs(["refund", "nothing"]), { code: "unknown_tool" });
  assert.throws(() => runner.specs(["refund@1", "refund@2"]), { code: "ambiguous_tool" });
});

test("a valid call is planned with version, effect and approval, its input as the model gave it", () => {
  const runner = runnerOf(refund({ approval: ({ amountUsd }) => amountUsd > 4 }));
  assert.deepEqual(runner.plan(["refund"], [{ type: "text", text: "Now." }, callPart({ orderId: "A1" })]), [
    { id: "c1", tool: "refund", input: { orderId: "A1" }, version: "1.2.0", effect: "once", needsApproval: true },
  ]);
  assert.equal(runner.plan(["refund"], [callPart({ orderId: "A1", amountUsd: 1 })])[0]?.needsApproval, false);
});

test("a human is asked when the approval function throws", () => {
  const approval = (): boolean => {
    throw new Error("no price list");
  };
  assert.equal(runnerOf(refund({ approval })).plan(["refund"], [callPart({ orderId: "A1" })])[0]?.needsApproval, true);
});

test("a call of a tool the agent does not have becomes a problem that lists those it has", () => {
  const runner = runnerOf(refund(), refund({ name: "secret" }));
  assert.deepEqual(runner.plan(["refund", "gone@^1"], [callPart({}, "secret")]), [
    {
      id: "c1",
      tool: "secret",
      input: {},
      needsApproval: false,
      problem: { code: "unknown_tool", message: 'There is no tool "secret". The tools are: refund.' },
    },
  ]);
});

test("invalid arguments become a problem that quotes what is wrong", () => {
  const problemOf = (input: Json): PlannedCall["problem"] =>
    runnerOf(refund({ approval: true })).plan(["refund"], [callPart(input)])[0]?.problem;
  assert.deepEqual(problemOf({ amountUsd: "5" }), {
    code: "invalid_arguments",
    message:
      "The arguments of refund are not valid:\n" +
      "/orderId: Invalid input: expected string, received undefined\n" +
      "/amountUsd: Invalid input: expected number, received string",
  });
  assert.match(problemOf('{"orderId": "A1')?.message ?? "", /are not JSON \(Unterminated string/);
  assert.match(problemOf('{"orderId": "A1"}')?.message ?? "", /expected object, received string/);
  assert.match(problemOf(null)?.message ?? "", /expected object, received null/);
});

test("a schema that throws or is asynchronous makes a problem, not a failure of the plan", async () => {
  const throwing = inputSchema.refine(() => {
    throw new Error("broken check");
  });
  const late = inputSchema.refine(async () => true);
  for (const input of [throwing, late]) {
    const runner = runnerOf(refund({ input }));
    const [call] = runner.plan(["refund"], [callPart({ orderId: "A1" })]);
    assert.equal(call?.problem?.code, "invalid_arguments");
    assert.match(call?.problem?.message ?? "", /a check in it is asynchronous, or throws/);
    const outcome = await runner.run(planned(), contextOf());
    assert.equal(outcome?.ok === false && outcome.code, "invalid_arguments");
  }
});

test("an edited input is checked against the version of its call", () => {
  const runner = runnerOf(refund());
  const call = { tool: "refund", version: "1.2.0" };
  assert.deepEqual(runner.check(call, { orderId: "B2" }), { ok: true, input: { orderId: "B2" } });
  assert.match(JSON.stringify(runner.check(call, { orderId: 2 })), /"ok":false.*\/orderId: Invalid input/);
  assert.match(JSON.stringify(runner.check({ tool: "refund", version: "3.0.0" }, {})), /no longer here/);
});

test("a tool gets the parsed input and the call's context, and its answer is the outcome", async () => {
  let seen: [unknown, ToolContext] | undefined;
  const outcome = await outcomeOfRun((input, context) => {
    seen = [input, context];
    return { refundId: "r1" };
  });
  assert.deepEqual(outcome, { ok: true, output: { refundId: "r1" } });
  assert.ok(seen);
  assert.deepEqual(seen[0], { orderId: "A1", amountUsd: 5 });
  const { signal, ...rest } = seen[1];
  assert.equal(signal.aborted, false);
  const { signal: _, ...expected } = contextOf();
  assert.deepEqual(rest, expected);
});

test("a planned call with a problem is not run; the problem is its outcome", async () => {
  const problem = { code: "invalid_arguments", message: "no" };
  const outcome = await runnerOf(refund()).run({ ...planned(), problem }, contextOf());
  assert.deepEqual(outcome, { ok: false, ...problem });
});

test("a call whose version is gone runs on a compatible one, unless the effect class has changed", async () => {
  const newer = refund({ version: "1.3.0", effect: "read", run: () => "newer" });
  assert.deepEqual(await runnerOf(newer).run(planned("read"), contextOf()), { ok: true, output: "newer" });
  for (const [tool, effect] of [
    [newer, "once"],
    [refund({ version: "2.0.0", effect: "read" }), "read"],
  ] as const) {
    const outcome = await runnerOf(tool).run(planned(effect), contextOf());
    assert.equal(outcome?.ok === false && outcome.code, "unknown_tool");
  }
});

test("whatever a tool throws is an outcome with a message", async () => {
  const thrown: [unknown, string][] = [
    [new Error("no such order"), "no such order"],
    [new TypeError("fetch failed", { cause: new Error("ECONNREFUSED") }), "fetch failed: ECONNREFUSED"],
    ["a text", "a text"],
    [{ status: 503 }, '{"status":503}'],
    [Symbol("odd"), "Symbol(odd)"],
    [undefined, "undefined"],
    [Object.create(null, { toJSON: { value: () => undefined } }), "refund failed without a message."],
    [new Error(""), "refund failed without a message."],
    [new UncertainOutcomeError("who knows"), "who knows"],
  ];
  for (const [value, message] of thrown) {
    const expected = { ok: false, code: "tool_failed", message };
    const synchronous = outcomeOfRun(() => {
      throw value;
    });
    assert.deepEqual(await synchronous, expected);
    assert.deepEqual(await outcomeOfRun(() => Promise.reject(value)), expected);
  }
  const long = await outcomeOfRun(() => Promise.reject(new Error("é".repeat(1_000_000))), "once");
  assert.equal(long?.ok === false && long.message.length, 2_048);
});

test("a once tool that throws did not happen; one that does not know says so and a human is asked", async () => {
  const failed = await outcomeOfRun(() => Promise.reject(new Error("card declined")), "once");
  assert.deepEqual(failed, { ok: false, code: "tool_failed", message: "card declined" });
  assert.equal(await outcomeOfRun(() => Promise.reject(new UncertainOutcomeError("socket hang up")), "once"), null);
});

test("any thenable is awaited", async () => {
  // oxlint-disable-next-line unicorn/no-thenable -- what is tested
  const thenable = { then: (resolve: (value: string) => void) => resolve("done") } as unknown as Promise<string>;
  assert.deepEqual(await outcomeOfRun(() => thenable), { ok: true, output: "done" });
});

/** Answers whenever told to, whatever its signal says. */
function stubbornTool(effect: Effect): { tool: Tool; signals: AbortSignal[]; settle: PromiseWithResolvers<string> } {
  const settle = Promise.withResolvers<string>();
  const signals: AbortSignal[] = [];
  const tool = refund({
    effect,
    timeoutMs: 700,
    run: (_, { signal }) => {
      signals.push(signal);
      return settle.promise;
    },
  });
  return { tool, signals, settle };
}

for (const [effect, expected] of [
  ["read", { ok: false, code: "tool_timeout", message: "refund did not answer within 700 ms." }],
  ["idempotent", { ok: false, code: "tool_timeout", message: "refund did not answer within 700 ms." }],
  ["once", null],
] as const) {
  test(`a hanging ${effect} tool is abandoned at its timeout, and its late rejection is dropped`, async () => {
    const { tool, signals, settle } = stubbornTool(effect);
    const runner = runnerOf(tool);
    const running = runner.run(planned(effect), contextOf());
    runner.clock.ring();
    assert.deepEqual(await running, expected);
    assert.match(String(signals[0]?.reason), /refund did not answer within 700 ms/);
    settle.reject(new Error("late")); // an unhandled rejection would fail this test
    await new Promise(setImmediate);
  });

  test(`a ${effect} tool cut off by the caller gets the signal's reason`, async () => {
    const { tool, signals, settle } = stubbornTool(effect);
    const runner = runnerOf(tool);
    const controller = new AbortController();
    const running = runner.run(planned(effect), contextOf(controller.signal));
    const reason = new Error("shutting down");
    controller.abort(reason);
    if (effect === "once") assert.equal(await running, null);
    else await assert.rejects(running, reason);
    assert.equal(signals[0]?.reason, reason);
    assert.equal(runner.clock.pending(), 0);
    settle.resolve("late");
    await new Promise(setImmediate);
  });

  test(`a ${effect} tool is not started when the signal has aborted already`, async () => {
    const { tool, signals, settle } = stubbornTool(effect);
    settle.resolve("ran");
    const running = runnerOf(tool).run(planned(effect), contextOf(AbortSignal.abort(new Error("stopped"))));
    await assert.rejects(running, /stopped/);
    assert.equal(signals.length, 0);
  });
}

test("a tool that rejects because its signal aborted is a timeout, not a failure", async () => {
  const runner = runnerOf(
    refund({
      effect: "read",
      run: (_, { signal }) =>
        new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
    }),
  );
  const running = runner.run(planned("read"), contextOf());
  runner.clock.ring();
  const outcome = await running;
  assert.equal(outcome?.ok === false && outcome.code, "tool_timeout");
});

test("a tool that has answered leaves no timer and no listener behind", async () => {
  const runner = runnerOf(refund({ effect: "read", run: () => "done" }));
  const controller = new AbortController();
  await runner.run(planned("read"), contextOf(controller.signal));
  assert.equal(runner.clock.pending(), 0);
  assert.equal(getEventListeners(controller.signal, "abort").length, 0);
});
