import assert from "node:assert/strict";
import { test } from "node:test";
import { createVirtualClock } from "../testing/virtual-clock.ts";
import type { Logger } from "../telemetry/log.ts";
import { createMetrics } from "../telemetry/metrics.ts";
import { accepting, nextShedding, overloadLimits, watchOverload } from "./overload.ts";

const limits = { shedAboveMs: 500, acceptBelowMs: 250 };

function statesOf(lags: readonly number[]): string {
  let state = accepting;
  return lags.map((lagMs) => ((state = nextShedding(state, lagMs, limits)).isShedding ? "S" : "a")).join("");
}

test("it sheds after two late looks in a row and accepts after three in time; between the bounds nothing changes", () => {
  assert.equal(statesOf([600, 100, 600, 600, 400, 400]), "aaaSSS");
  assert.equal(statesOf([600, 600, 100, 100, 300, 100, 100, 100]), "aSSSSSSa");
  assert.equal(statesOf([500, 500, 500]), "aaa", "the bound itself is in time");
});

test("limits that contradict one another are refused", () => {
  assert.deepEqual(overloadLimits({}), { shedAboveMs: 500, acceptBelowMs: 250 });
  assert.deepEqual(overloadLimits({ shedAboveMs: 80 }), { shedAboveMs: 80, acceptBelowMs: 40 });
  for (const wrong of [{ acceptBelowMs: 501 }, { shedAboveMs: 0 }, { shedAboveMs: Number.NaN }])
    assert.throws(() => overloadLimits(wrong), { code: "invalid_config", path: "/overload" });
});

test("it looks once a second, says so once when it begins and once when it ends, and stops looking when it is stopped", async () => {
  const clock = createVirtualClock();
  const lines: string[] = [];
  const note = (_: unknown, message: string): void => void lines.push(message.split(":")[1]!.trim());
  const log = { debug: note, info: note, warn: note, error: note } as unknown as Logger;
  let lag = 900;
  let looks = 0;
  const eventLoop = { look: () => ((looks += 1), lag), stop: () => void (looks = -1) };
  const metrics = createMetrics();
  const overload = watchOverload({ eventLoop, clock, random: () => 0.5, log, metrics, limits });
  overload.admit();
  await clock.advance(1_000);
  overload.admit();
  await clock.advance(3_000);
  assert.throws(() => overload.admit(), { code: "overloaded", retry: { afterMs: 3_000 } });
  lag = 10;
  await clock.advance(3_000);
  overload.admit();
  assert.deepEqual(lines, ["new tasks are refused until it can", "new tasks are accepted"]);
  assert.equal(looks, 7);
  overload.stop();
  await clock.advance(5_000);
  assert.equal(looks, -1);
  await metrics.close();
});

test("without limits nothing is refused", () => {
  const clock = createVirtualClock();
  const log = {} as Logger;
  const eventLoop = { look: () => 1e6, stop: () => {} };
  const metrics = createMetrics();
  const overload = watchOverload({ eventLoop, clock, random: () => 0, log, metrics, limits: undefined });
  for (let look = 0; look < 5; look++) overload.look();
  overload.admit();
  assert.equal(overload.isShedding, false);
});
