import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { someCaller } from "../../../test/support/model-caller.ts";
import { until } from "../../../test/support/running-holdfast.ts";
import type { AssistantPart, Delta } from "../../agent/conversation.ts";
import { plainRoute } from "../../agent/route.ts";
import { neverAborts } from "../../platform/abort.ts";
import { scriptedGateway, type GatewayScript, type ScriptedTurn } from "../../testing/scripted-model.ts";
import { ModelCallError, type ModelRequest } from "../model-gateway.ts";
import { cacheAnswers, type AnswerStore } from "./answer-cache.ts";
import { answerKey } from "./answer-key.ts";

const usage = { input: 10, cached: 0, output: 5, reasoning: 0, estimated: false };
const nothing = { input: 0, cached: 0, output: 0, reasoning: 0, estimated: false };
const rule = { ttlMs: 1_000, staleMs: 0, mayRepeat: (parts: readonly AssistantPart[]) => parts.every(isHarmless) };

function isHarmless(part: AssistantPart): boolean {
  return part.type !== "call" || part.tool === "find";
}

function requestOf(more: Partial<ModelRequest> = {}): ModelRequest {
  return {
    route: plainRoute(["openai/gpt-5", "anthropic/claude"]),
    system: "Be of use.",
    messages: [{ role: "user", text: "Hi" }],
    tools: [],
    maxOutputTokens: 500,
    cache: rule,
    caller: someCaller,
    signal: neverAborts(),
    onDelta: () => {},
    ...more,
  };
}

/** A store in memory; its answers are as old as `ageMs` says. */
function shelf(): AnswerStore & { ageMs: number; kept: Map<string, object>; keptMs: number[] } {
  const kept = new Map<string, object>();
  const made = {
    ageMs: 0,
    kept,
    keptMs: [] as number[],
    findAnswer: ({ tenant, key }: { tenant: string; key: string }) => {
      const answer = kept.get(`${tenant} ${key}`);
      return Promise.resolve(answer && { answer: JSON.parse(JSON.stringify(answer)) as object, ageMs: made.ageMs });
    },
    keepAnswer: ({ tenant, key, answer, keepMs }: Parameters<AnswerStore["keepAnswer"]>[0]) => {
      kept.set(`${tenant} ${key}`, answer);
      made.keptMs.push(keepMs);
      return Promise.resolve();
    },
  };
  return made;
}

function openCache(script: GatewayScript, store: AnswerStore = shelf()) {
  const model = scriptedGateway(script);
  const told: string[] = [];
  const troubles: string[] = [];
  const gateway = cacheAnswers(model, {
    store,
    onLookup: ({ outcome, saved }) => told.push(saved === null ? outcome : `${outcome} ${saved.costMicros}`),
    onTrouble: (message) => troubles.push(message),
  });
  return { gateway, model, told, troubles };
}

const outage = (code: "model_unavailable" | "model_content_policy") =>
  new ModelCallError(code, "no answer", {
    retry: "now",
    attempts: [{ model: "openai/gpt-5", code, message: "no", ms: 1 }],
  });

describe("The cache of answers", () => {
  test("gives the answer to an equal call again, for nothing, and says what that saved", async () => {
    const { gateway, model, told } = openCache([{ reasoning: "Hm.", text: "Hello.", costMicros: 7 }]);
    const first = await gateway.call(requestOf());
    const deltas: Delta[] = [];
    const second = await gateway.call(requestOf({ onDelta: (delta) => deltas.push(delta) }));
    assert.equal(model.requests.length, 1);
    assert.equal(first.hit, undefined);
    assert.deepEqual(second, {
      ...first,
      usage: nothing,
      costMicros: 0,
      choice: { strategy: "cache", reason: "an equal call was answered 0 s ago" },
      hit: "cache",
      saved: { usage, costMicros: 7 },
    });
    assert.deepEqual(deltas, [
      { type: "reasoning", text: "Hm." },
      { type: "text", text: "Hello." },
    ]);
    assert.deepEqual(told, ["miss", "hit 7"]);
  });

  test("asks again for whoever does not allow it, and keeps nothing of theirs", async () => {
    const store = shelf();
    const { gateway, model } = openCache(() => ({ text: "Hello." }), store);
    for (let call = 0; call < 2; call++) await gateway.call(requestOf({ cache: undefined }));
    assert.deepEqual([model.requests.length, store.kept.size], [2, 0]);
  });

  test("asks again when the answer is older than the caller takes", async () => {
    const store = shelf();
    const { gateway, model } = openCache(() => ({ text: "Hello." }), store);
    await gateway.call(requestOf());
    store.ageMs = 1_001;
    assert.equal((await gateway.call(requestOf())).hit, undefined);
    assert.equal((await gateway.call(requestOf({ cache: { ...rule, ttlMs: 2_000 } }))).hit, "cache");
    assert.equal(model.requests.length, 2);
    assert.deepEqual(store.keptMs, [1_000, 1_000]);
  });

  test("an answer that is longer than the limit of the call is not given", async () => {
    const { gateway } = openCache(() => ({ text: "Hello." }));
    await gateway.call(requestOf({ maxOutputTokens: 500 }));
    assert.equal((await gateway.call(requestOf({ maxOutputTokens: 4 }))).hit, undefined);
    assert.equal((await gateway.call(requestOf({ maxOutputTokens: 5 }))).hit, "cache");
  });

  test("where the call has no bound of its own, a long answer is given, too", async () => {
    const { gateway } = openCache(() => ({ text: "Hello." }));
    const openEnded = { settings: { openEnded: true }, maxOutputTokens: 4 };
    await gateway.call(requestOf(openEnded));
    assert.equal((await gateway.call(requestOf(openEnded))).hit, "cache");
  });

  test("tells what becomes of a call before anything is said", async () => {
    const { gateway } = openCache((_request, turn) =>
      turn === 1 ? { text: "Hello." } : { error: outage("model_unavailable") },
    );
    const told: string[] = [];
    const cache = { ...rule, onOutcome: (outcome: string) => void told.push(outcome) };
    const onDelta = (delta: Delta): void => void told.push(delta.type);
    await gateway.call(requestOf({ cache, onDelta }));
    await gateway.call(requestOf({ cache, onDelta }));
    assert.deepEqual(told, ["miss", "text", "hit", "text"]);
  });

  const notKept: Record<string, ScriptedTurn> = {
    "cut short": { text: "Hel", finish: "length" },
    withheld: { text: "Hel", finish: "content_filter" },
    empty: {},
    "a call with an effect": { calls: [{ name: "refund", input: {} }] },
    "a call with an effect beside one without": {
      calls: [
        { name: "find", input: {} },
        { name: "refund", input: {} },
      ],
    },
  };
  for (const [what, turn] of Object.entries(notKept)) {
    test(`does not keep an answer that is ${what}`, async () => {
      const store = shelf();
      const { gateway, model } = openCache(() => turn, store);
      await Promise.all([1, 2, 3].map(() => gateway.call(requestOf())));
      assert.deepEqual([model.requests.length, store.kept.size], [3, 0]);
    });
  }

  test("keeps calls that only read; what they find is asked for anew", async () => {
    const { gateway, model } = openCache([{ calls: [{ name: "find", input: { id: 1 } }] }]);
    await gateway.call(requestOf());
    const again = await gateway.call(requestOf());
    assert.deepEqual([again.hit, again.finish, model.requests.length], ["cache", "calls", 1]);
  });

  test("does not give an answer that has become harmful since", async () => {
    const { gateway } = openCache(() => ({ calls: [{ name: "find", input: {} }] }));
    await gateway.call(requestOf());
    const cache = { ...rule, mayRepeat: () => false };
    assert.equal((await gateway.call(requestOf({ cache }))).hit, undefined);
  });

  test("does not keep what the rules in this process made up", async () => {
    const store = shelf();
    const { gateway } = openCache(() => ({ text: "By rule." }), store);
    await gateway.call(requestOf({ route: plainRoute(["rules/default"]) }));
    assert.equal(store.kept.size, 0);
  });

  test("costs a model call when the store does not answer, and says so", async () => {
    const broken: AnswerStore = {
      findAnswer: () => Promise.reject(new Error("away")),
      keepAnswer: () => Promise.reject(new Error("away")),
    };
    const { gateway, troubles } = openCache(() => ({ text: "Hello." }), broken);
    assert.equal((await gateway.call(requestOf())).finish, "stop");
    assert.deepEqual(troubles, ["answers are not looked up: away", "an answer is not kept: away"]);
  });
});

describe("Equal calls at the same time", () => {
  test("send one to the model, and share its answer", async () => {
    const { gateway, model, told } = openCache([{ text: "Hello.", costMicros: 7 }]);
    const replies = await Promise.all(Array.from({ length: 20 }, () => gateway.call(requestOf())));
    assert.equal(model.requests.length, 1);
    assert.equal(replies.filter(({ hit }) => hit === "cache").length, 19);
    assert.deepEqual([told.filter((each) => each === "shared 7").length, told.length], [19, 20]);
  });

  test("send the next one when the first is cancelled", async () => {
    const gate = Promise.withResolvers<void>();
    const { gateway, model } = openCache((_request, turn) =>
      turn === 1 ? { text: "Never.", gate: new Promise(() => {}) } : { text: "Hello.", gate: gate.promise },
    );
    const cancelled = new AbortController();
    const first = gateway.call(requestOf({ signal: cancelled.signal }));
    const others = [1, 2].map(() => gateway.call(requestOf()));
    await until(() => model.requests.length === 1);
    cancelled.abort(new Error("cancelled"));
    await assert.rejects(first, /cancelled/);
    gate.resolve();
    assert.deepEqual((await Promise.all(others)).map(({ hit }) => hit ?? "asked").sort(), ["asked", "cache"]);
    assert.equal(model.requests.length, 2);
  });

  test("fail together, and only the one that went has the attempts to pay for", async () => {
    const { gateway, model } = openCache(() => ({ error: outage("model_unavailable") }));
    const failures = await Promise.allSettled([gateway.call(requestOf()), gateway.call(requestOf())]);
    const attempts = failures.map(
      (each) => each.status === "rejected" && (each.reason as ModelCallError).attempts.length,
    );
    assert.deepEqual([model.requests.length, attempts], [1, [1, 0]]);
  });

  test("one that is cancelled or interrupted while it waits does not wait on", async () => {
    const gate = Promise.withResolvers<void>();
    const { gateway } = openCache(() => ({ text: "Hello.", gate: gate.promise }));
    const [cancelled, interrupted] = [new AbortController(), new AbortController()];
    const first = gateway.call(requestOf());
    const second = gateway.call(requestOf({ signal: cancelled.signal }));
    const third = gateway.call(requestOf({ interruption: interrupted.signal }));
    cancelled.abort(new Error("cancelled"));
    interrupted.abort();
    await assert.rejects(second, /cancelled/);
    assert.equal((await third).finish, "interrupted");
    gate.resolve();
    assert.equal((await first).finish, "stop");
  });
});

describe("A stale answer", () => {
  const stale = { ...rule, staleMs: 5_000 };

  /** A cache with an answer of an age. */
  async function aged(ageMs: number, then: ScriptedTurn) {
    const store = shelf();
    const opened = openCache([{ text: "Old.", costMicros: 7 }, then], store);
    await opened.gateway.call(requestOf({ cache: stale }));
    store.ageMs = ageMs;
    return opened;
  }

  test("is given when no model could be reached, with the attempts, and takes back what was said", async () => {
    const { gateway, told, model } = await aged(3_000, { text: "Ne", error: outage("model_unavailable") });
    const deltas: Delta[] = [];
    const route = plainRoute(["openai/gpt-5", "anthropic/claude"]);
    const onDelta = (delta: Delta): void => void deltas.push(delta);
    const reply = await gateway.call(requestOf({ route, cache: stale, onDelta }));
    assert.deepEqual(deltas, [{ type: "text", text: "Ne" }, { type: "restart" }, { type: "text", text: "Old." }]);
    assert.deepEqual([reply.hit, reply.costMicros, reply.attempts.length], ["cache", 0, 1]);
    assert.match(reply.choice?.reason ?? "", /no model could be reached.*3 s ago/);
    assert.deepEqual([told, model.requests.length], [["miss", "stale 7"], 2]);
  });

  test("comes before the rules in this process: they are not asked", async () => {
    const store = shelf();
    const script: GatewayScript = (request, turn) => {
      if (turn === 1) return { text: "Old." };
      assert.deepEqual(
        request.route.candidates.map(({ model }) => model),
        ["openai/gpt-5"],
      );
      return { error: outage("model_unavailable") };
    };
    const { gateway } = openCache(script, store);
    const route = plainRoute(["openai/gpt-5", "rules/default"]);
    await gateway.call(requestOf({ route, cache: stale }));
    store.ageMs = 2_000;
    assert.equal((await gateway.call(requestOf({ route, cache: stale }))).hit, "cache");
  });

  test("is not given as long as a model answers, nor to a request that is refused, nor when it is too old", async () => {
    const fresh = await aged(3_000, { text: "New." });
    assert.equal((await fresh.gateway.call(requestOf({ cache: stale }))).hit, undefined);
    const refused = await aged(3_000, { error: outage("model_content_policy") });
    await assert.rejects(refused.gateway.call(requestOf({ cache: stale })), { code: "model_content_policy" });
    const old = await aged(6_001, { error: outage("model_unavailable") });
    await assert.rejects(old.gateway.call(requestOf({ cache: stale })), { code: "model_unavailable" });
  });
});

describe("Equal calls", () => {
  const base = requestOf();
  const others: Record<string, Partial<ModelRequest>> = {
    tenant: { caller: { ...someCaller, tenant: "other" } },
    "virtual key": { caller: { ...someCaller, keyId: "k" } },
    route: { route: plainRoute(["openai/gpt-5"]) },
    judge: { route: { ...base.route, judge: { model: "openai/gpt-5", criteria: ["It is short."], atLeast: 1 } } },
    "order of the route": { route: plainRoute(["anthropic/claude", "openai/gpt-5"]) },
    strategy: { route: { ...base.route, strategy: "small_first" } },
    instructions: { system: "Be of no use." },
    messages: { messages: [...base.messages, { role: "user", text: "Hi" }] },
    tools: { tools: [{ name: "find", description: "Finds.", inputSchema: { type: "object" } }] },
    settings: { settings: { temperature: 0 } },
  };
  for (const [what, other] of Object.entries(others)) {
    test(`have the same ${what}`, () => assert.notEqual(answerKey(requestOf(other)), answerKey(base)));
  }

  test("have tools with the same schemas", () => {
    const tools = (type: string) => [
      { name: "find", description: "Finds.", inputSchema: { properties: { id: { type } } } },
    ];
    assert.notEqual(answerKey(requestOf({ tools: tools("string") })), answerKey(requestOf({ tools: tools("number") })));
  });

  test("may be of other tasks, users and sessions, with other limits of time and length", () => {
    const route = {
      ...base.route,
      hedge: true,
      candidates: base.route.candidates.map((each) => ({ ...each, timeouts: { totalMs: 1 } })),
    };
    const caller = { ...someCaller, taskId: "t", sessionId: "s", userId: "u" };
    assert.equal(answerKey(requestOf({ route, caller, maxOutputTokens: 9 })), answerKey(base));
  });
});
