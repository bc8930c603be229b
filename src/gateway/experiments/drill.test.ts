import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { seededRandom } from "../../../test/support/seeded-random.ts";
import { after, fails, openGateway, says, type Behaviour } from "../../../test/support/model-behaviours.ts";
import { someRequest } from "../../../test/support/model-caller.ts";
import { defineRoute, plainRoute, type ModelRoute } from "../../agent/route.ts";
import { InvalidInputError } from "../../platform/errors.ts";
import type { VirtualClock } from "../../testing/virtual-clock.ts";
import { Drill, type DrillDeps } from "./drill.ts";
import { isOpen, planDrill, type DrillOptions } from "./drill-plan.ts";
import { DrillTally, type DrillResult } from "./drill-tally.ts";
import { addTo, emptyHistogram, percentileOf, sumOf } from "./histogram.ts";
import type { ModelReply } from "../model-gateway.ts";

interface Drilled {
  readonly clock: VirtualClock;
  readonly drill: Drill;
  readonly tally: DrillTally;
  /** Of each call that counts: its path, and what came of it. */
  readonly told: string[];
  readonly call: (route?: ModelRoute) => Promise<ModelReply>;
}

const route = plainRoute(["a/one", "b/two"]);

function drilled(
  plan: DrillOptions | null,
  behaviours: Record<string, Behaviour[]> = { "a/one": [says("One.")], "b/two": [says("Two.")] },
  random = (): number => 0,
): Drilled {
  const { gateway, clock } = openGateway(behaviours, { random, attempts: 1 });
  const tally = new DrillTally();
  const told: string[] = [];
  const onCall: DrillDeps["onCall"] = ({ path, outcome }) => told.push(`${path} ${outcome}`);
  const drill = new Drill({ clock, random, tally, onCall, plan: plan && planDrill(plan) });
  const through = drill.around(gateway);
  assert.deepEqual(through.status?.(), [], "what the gateway can say it still says");
  const call = (own = route): Promise<ModelReply> => through.call(someRequest(own));
  return { clock, drill, tally, told, call };
}

const short = ({ path, calls, answered }: DrillResult): string => `${path} ${answered}/${calls}`;

describe("A drill", () => {
  test("sends a call to the fallback as if the primary had failed, and the journal says so", async () => {
    const { call, tally } = drilled({ share: 1 });
    const { model, choice, attempts } = await call();
    assert.deepEqual([model, attempts, choice?.strategy], ["b/two", [], "drill"]);
    assert.match(choice?.reason ?? "", /as if a\/one had failed/);
    assert.deepEqual(tally.take().map(short), ["fallback 1/1"]);
    assert.deepEqual(tally.take(), []);
  });

  test("has its own order, whatever the strategy of the route", async () => {
    for (const strategy of ["small_first", "complexity", "saturation"] as const) {
      const { call, tally } = drilled({ share: 1 });
      const { model } = await call(defineRoute({ strategy, candidates: ["a/one", "b/two"] }));
      assert.equal(model, "b/two", strategy);
      assert.deepEqual(tally.take().map(short), ["fallback 1/1"], strategy);
    }
  });

  test("costs nobody an answer: where the fallback fails, the primary answers, and the fallback has failed", async () => {
    const { call, tally } = drilled({ share: 1 }, { "a/one": [says("One.")], "b/two": [fails(401)] });
    const { model, choice } = await call();
    assert.equal(model, "a/one");
    assert.match(choice?.reason ?? "", /the fallback failed, so it answered after all/);
    assert.deepEqual(tally.take().map(short), ["fallback 0/1"]);
  });

  test("measures both paths at the same time: a share of the calls, success, latency and tokens", async () => {
    const behaviours = { "a/one": [after(100, says("One."))], "b/two": [after(300, says("Two."))] };
    const { call, tally, clock } = drilled({ share: 0.25 }, behaviours, seededRandom(3));
    const replies = Array.from({ length: 200 }, () => call());
    await clock.advance(300);
    await Promise.all(replies);
    const results = new Map(tally.take().map((result) => [result.path, result]));
    const [primary, fallback] = [results.get("primary"), results.get("fallback")];
    assert.ok(primary !== undefined && fallback !== undefined);
    assert.equal(primary.calls + fallback.calls, 200);
    assert.ok(fallback.calls > 30 && fallback.calls < 70, `${fallback.calls} of 200`);
    assert.deepEqual([primary.answered, fallback.answered], [primary.calls, fallback.calls]);
    assert.deepEqual([primary.tokens, fallback.tokens], [31 * primary.calls, 31 * fallback.calls]);
    const [fast, slow] = [percentileOf(primary.ms, 0.95) ?? 0, percentileOf(fallback.ttftMs, 0.5) ?? 0];
    assert.ok(fast >= 99 && fast <= 111 && slow >= 299 && slow <= 331, `${fast}, ${slow}`);
  });

  test("leaves routes without a fallback alone, and counts only while it lasts", async () => {
    const { call, tally, drill, clock } = drilled(null);
    assert.equal((await call()).model, "a/one");
    assert.deepEqual(tally.take(), [], "there is no drill");
    drill.order({ share: 1, until: clock.now() + 60_000 });
    assert.deepEqual(drill.state(), { share: 1, source: "request", until: 60_000 });
    assert.equal((await call(plainRoute(["a/one"]))).model, "a/one");
    const one = { model: "a/one", rank: 1 };
    const beside = defineRoute({ candidates: [one, { model: "b/two", rank: 1 }] });
    assert.equal((await call(beside)).choice?.strategy, "fixed");
    assert.deepEqual(tally.take(), [], "one rank has no fallback");
    assert.equal((await call()).model, "b/two");
    await clock.advance(60_000);
    assert.equal((await call()).model, "a/one");
    assert.deepEqual(tally.take().map(short), ["fallback 1/1"]);
    assert.deepEqual(drill.state(), { share: 0, source: null, until: null });
  });

  test("when all fail counts as a failure of its path, a refused request as nothing", async () => {
    const down = drilled({ share: 1 }, { "a/one": [fails(503)], "b/two": [fails(503)] });
    await assert.rejects(down.call(), { code: "model_unavailable" });
    assert.deepEqual(down.tally.take().map(short), ["fallback 0/1"]);
    const refused = drilled({ share: 1 }, { "a/one": [says("One.")], "b/two": [fails(400)] });
    await assert.rejects(refused.call(), { code: "model_bad_request" });
    assert.deepEqual(refused.tally.take(), []);
  });

  test("tells of each call what came of it: by which path, and whether it was rescued by the other", async () => {
    const fallback = drilled({ share: 1 }, { "a/one": [says("One.")], "b/two": [says("Two."), fails(503)] });
    await fallback.call();
    await fallback.call();
    assert.deepEqual(fallback.told, ["fallback answered", "fallback rescued"]);
    const primary = drilled({ share: 0.5 }, { "a/one": [fails(503)], "b/two": [says("Two.")] }, () => 0.9);
    await primary.call();
    assert.deepEqual(primary.told, ["primary rescued"]);
    const down = drilled({ share: 1 }, { "a/one": [fails(503)], "b/two": [fails(503)] });
    await assert.rejects(down.call(), { code: "model_unavailable" });
    assert.deepEqual(down.told, ["fallback failed"]);
    const refused = drilled({ share: 1 }, { "a/one": [says("One.")], "b/two": [fails(400)] });
    await assert.rejects(refused.call(), { code: "model_bad_request" });
    assert.deepEqual(refused.told, []);
  });

  test("adds up what it knows: a price that is unknown is marked", async () => {
    const { call, tally } = drilled({ share: 1 });
    await call();
    await call();
    const [result] = tally.take();
    assert.deepEqual([result?.calls, result?.tokens, result?.costMicros, result?.unpriced], [2, 62, 0, 2]);
    tally.giveBack([result!]);
    await call();
    assert.deepEqual(tally.take().map(short), ["fallback 3/3"]);
  });
});

describe("The plan of a drill", () => {
  // 2026-11-24 is a Tuesday.
  const at = (day: number, time: string): number => Date.parse(`2026-11-${day}T${time}:00Z`);

  test("has windows that come back every week", () => {
    const plan = planDrill({ share: 0.1, windows: [{ day: "tue", from: "10:00", to: "11:00" }] });
    const open = [at(24, "09:59"), at(24, "10:00"), at(24, "10:59"), at(24, "11:00"), at(25, "10:30"), at(17, "10:30")];
    assert.deepEqual(
      open.map((now) => isOpen(plan, now)),
      [false, true, true, false, false, true],
    );
    const edges = planDrill({
      windows: [
        { day: "sun", from: "23:00", to: "24:00" },
        { day: "mon", from: "00:00", to: "01:00" },
      ],
    });
    assert.equal(edges.share, 0.1);
    assert.deepEqual(
      [at(22, "23:59"), at(23, "00:59"), at(23, "01:00")].map((now) => isOpen(edges, now)),
      [true, true, false],
    );
    assert.ok(isOpen(planDrill({ share: 1 }), 0));
  });

  const wrong: [options: object, path: string][] = [
    [{ share: 0 }, "/gateway/drill/share"],
    [{ share: 10 }, "/gateway/drill/share"],
    [{ windows: [{ day: "today", from: "10:00", to: "11:00" }] }, "/gateway/drill/windows/0/day"],
    [{ windows: [{ day: "mon", from: "10", to: "11:00" }] }, "/gateway/drill/windows/0/from"],
    [{ windows: [{ day: "mon", from: "23:00", to: "01:00" }] }, "/gateway/drill/windows/0/to"],
    [{ windows: [{ day: "mon", from: "23:00", to: "24:01" }] }, "/gateway/drill/windows/0/to"],
  ];
  for (const [options, path] of wrong) {
    test(`is refused with what is wrong: ${JSON.stringify(options)}`, () => {
      assert.throws(
        () => planDrill(options as DrillOptions),
        (error) => error instanceof InvalidInputError && error.code === "invalid_config" && error.path === path,
      );
    });
  }
});

test("a histogram knows percentiles to a tenth, also of a sum", () => {
  const one = emptyHistogram();
  const other = emptyHistogram();
  for (let ms = 1; ms <= 1_000; ms++) addTo(ms % 2 === 0 ? one : other, ms);
  const both = sumOf(one, other);
  for (const [share, exact] of [
    [0.5, 500],
    [0.95, 950],
    [1, 1_000],
  ] as const) {
    const found = percentileOf(both, share) ?? 0;
    assert.ok(found >= exact * 0.99 && found <= exact * 1.11, `${share}: ${found}`);
  }
  assert.equal(percentileOf(emptyHistogram(), 0.5), null);
  addTo(one, Number.MAX_SAFE_INTEGER);
  assert.ok((percentileOf(one, 1) ?? 0) > 600_000);
});
