import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { seededRandom } from "../../../test/support/seeded-random.ts";
import {
  codes,
  fails,
  openGateway,
  says,
  verdict,
  type Behaviour,
  type GatewayRun,
} from "../../../test/support/model-behaviours.ts";
import { InvalidInputError } from "../../platform/errors.ts";
import { createVirtualClock, type VirtualClock } from "../../testing/virtual-clock.ts";
import { parseFaults, type FaultOptions } from "./fault-rules.ts";
import { fitsPattern } from "../model-pattern.ts";
import { Faults } from "./faults.ts";

interface GameDay {
  readonly clock: VirtualClock;
  readonly injected: string[];
  readonly call: () => GatewayRun;
}

/** A gateway whose attempts are struck by these faults, and its own clock. */
function gameDay(
  faults: readonly FaultOptions[],
  behaviours: Record<string, Behaviour[]> = { "a/one": [says("Hel", "lo", ".")], "b/two": [says("Well.")] },
  random = (): number => 0,
): GameDay {
  const clock = createVirtualClock();
  const injected: string[] = [];
  const own = new Faults({ clock, random, onInjected: ({ model, kind }) => injected.push(`${model} ${kind}`) });
  own.set(
    "request",
    parseFaults(faults, "").map((fault) => ({ ...fault, until: clock.now() + fault.forMs })),
  );
  const opened = openGateway(behaviours, { clock, random, faults: own, attempts: 1 });
  return { clock, injected, call: () => opened.call() };
}

describe("A fault", () => {
  test("of latency makes the answer late, and the answer says that it was on purpose", async () => {
    const { clock, call, injected } = gameDay([{ model: "a/*", kind: "latency", ms: 800 }]);
    const { reply } = call();
    await clock.advance(800);
    const { injected: mark, ttftMs, model, attempts } = await reply;
    assert.deepEqual([mark, ttftMs, model, attempts], ["latency of 800 ms", 800, "a/one", []]);
    assert.deepEqual(injected, ["a/one latency"]);
  });

  const errors: [error: NonNullable<FaultOptions["error"]>, falls: boolean][] = [
    ["model_unavailable", true],
    ["model_rate_limited", true],
    ["model_auth", true],
    ["model_context_too_long", true],
    ["model_content_policy", false],
    ["model_bad_request", false],
  ];
  for (const [error, falls] of errors) {
    test(`of an error is classified as the real one: ${error}`, async () => {
      const { call } = gameDay([{ model: "a/one", kind: "error", error, retryAfterMs: 60_000 }]);
      const run = call();
      const thrown = await run.error;
      const attempts = falls ? (await run.reply).attempts : (thrown?.attempts ?? []);
      assert.deepEqual(codes({ attempts }), [`a/one ${error}`]);
      assert.equal(attempts[0]?.injected, "error");
      assert.match(attempts[0].message, /^Injected error: \d{3}/);
      assert.equal(attempts[0].usage, undefined, "nobody was asked, so nothing is paid");
      if (!falls) assert.equal(thrown?.code, error);
    });
  }

  test("of a rate limit says when to come again", async () => {
    const { call } = gameDay([{ model: "*", kind: "error", error: "model_rate_limited", retryAfterMs: 45_000 }]);
    assert.deepEqual(verdict(await call().error), {
      code: "model_rate_limited",
      retry: { afterMs: 45_000 },
      attempts: 2,
    });
  });

  test("of a cut breaks the reply off; the client is told to discard it, and what was said is paid for", async () => {
    const { call } = gameDay([{ model: "a/one", kind: "cut", after: 2 }]);
    const run = call();
    const { attempts, model } = await run.reply;
    assert.equal(model, "b/two");
    assert.deepEqual(
      run.deltas.map((delta) => (delta.type === "text" ? delta.text : delta.type)),
      ["Hel", "lo", "restart", "Well."],
    );
    assert.deepEqual([attempts[0]?.code, attempts[0]?.injected], ["model_unavailable", "cut"]);
    assert.match(attempts[0]?.message ?? "", /^Injected cut: .*: 2\./);
    assert.ok((attempts[0]?.usage?.output ?? 0) > 0);
  });

  test("of a cut strikes short replies, too: they never come to their end", async () => {
    const { call } = gameDay([{ model: "b/two", kind: "cut", after: 50 }], { "b/two": [says("Well.")] });
    assert.match((await call().error)?.message ?? "", /Injected cut: .*: 1\./);
  });

  test("of a hang gives nothing until the time is over, and the message says why", async () => {
    const { clock, call } = gameDay([{ model: "a/one", kind: "hang" }]);
    const { reply } = call();
    await clock.advance(600_000);
    const { attempts, model } = await reply;
    assert.equal(model, "b/two");
    assert.deepEqual([attempts[0]?.code, attempts[0]?.injected], ["model_timeout", "hang"]);
    assert.match(attempts[0]?.message ?? "", /^Injected hang: The model/);
  });

  test("of a hang in the middle falls silent after so many pieces, and an abort ends it", async () => {
    const { clock, call } = gameDay([{ model: "a/one", kind: "hang", after: 1 }]);
    const run = call();
    await clock.advance(1_000);
    assert.equal(run.deltas.length, 1);
    run.stop.abort(new Error("enough"));
    await assert.rejects(run.reply, /enough/);
    assert.equal(clock.pending, 0);
  });

  test("beside a real failure is marked, too", async () => {
    const { clock, call } = gameDay([{ model: "a/one", kind: "latency", ms: 5 }], { "a/one": [fails(503)] });
    const { error } = call();
    await clock.advance(5);
    assert.deepEqual(
      (await error)?.attempts.map(({ message, injected }) => [message, injected]),
      [["HTTP 503", "latency of 5 ms"]],
    );
  });

  test("ends by itself", async () => {
    const { clock, call, injected } = gameDay([{ model: "a/one", kind: "error", forMs: 60_000 }]);
    assert.equal((await call().reply).model, "b/two");
    await clock.advance(60_000);
    assert.equal((await call().reply).model, "a/one");
    assert.deepEqual(injected, ["a/one error"]);
  });

  test("strikes a share of the attempts, and the same ones for the same randomness", async () => {
    const strike = async (seed: number): Promise<string> => {
      const { call } = gameDay(
        [{ model: "a/one", kind: "error", error: "model_context_too_long", share: 0.3 }],
        { "a/one": [says("1")], "b/two": [says("2")] },
        seededRandom(seed),
      );
      let models = "";
      for (let each = 0; each < 200; each++) {
        const { reply } = call();
        models += (await reply.then(({ model }) => model)) === "a/one" ? "." : "x";
      }
      return models;
    };
    const [one, again, other] = [await strike(7), await strike(7), await strike(8)];
    assert.equal(one, again);
    assert.notEqual(one, other);
    const struck = one.split("x").length - 1;
    assert.ok(struck > 40 && struck < 80, `${struck} of 200`);
  });
});

test("a pattern names a model, or many", () => {
  const fits: [model: string, pattern: string, fits: boolean][] = [
    ["openai/gpt-5", "openai/gpt-5", true],
    ["openai/gpt-5-mini", "openai/gpt-5", false],
    ["openai/gpt-5", "*", true],
    ["openai/gpt-5", "openai/*", true],
    ["anthropic/claude", "openai/*", false],
    ["openai/gpt-5-mini", "*-mini", true],
    ["openai/gpt-5-mini", "openai/*-*ni", true],
    ["openai/gpt-5", "openai/*5*5", false],
    ["aa", "a*a*a", false],
    ["a.b", "a?b", false],
  ];
  for (const [model, pattern, expected] of fits)
    assert.equal(fitsPattern(model, pattern), expected, `${model} ${pattern}`);
});

const wrong: [what: string, fault: object, path: string][] = [
  ["of no kind", { model: "*", kind: "fire" }, "/f/0/kind"],
  ["with a field of another kind", { model: "*", kind: "cut", ms: 5 }, "/f/0/ms"],
  ["with a share above 1", { model: "*", kind: "hang", share: 10 }, "/f/0/share"],
  ["that lasts for ever", { model: "*", kind: "hang", forMs: Number.POSITIVE_INFINITY }, "/f/0/forMs"],
  ["of an unknown error", { model: "*", kind: "error", error: "boom" }, "/f/0/error"],
  ["of no model", { model: "", kind: "hang" }, "/f/0/model"],
];
for (const [what, fault, path] of wrong) {
  test(`a fault ${what} is refused`, () => {
    assert.throws(
      () => parseFaults([fault as FaultOptions], "/f"),
      (error) => error instanceof InvalidInputError && error.code === "invalid_fault" && error.path === path,
    );
  });
}
