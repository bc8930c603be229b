import assert from "node:assert/strict";
import { test } from "node:test";
import { createVirtualClock } from "./virtual-clock.ts";

test("alarms ring in the order of their times, each at its own", async () => {
  const clock = createVirtualClock(1_000);
  const rung: string[] = [];
  clock.timer(30, () => rung.push(`c ${clock.now()}`));
  clock.timer(10, () => rung.push(`a ${clock.now()}`));
  clock.timer(10, () => rung.push(`b ${clock.monotonic()}`));
  await clock.advance(25);
  assert.deepEqual(rung, ["a 1010", "b 10"]);
  assert.deepEqual([clock.now(), clock.pending], [1_025, 1]);
});

test("a loop that sleeps goes round within one advance", async () => {
  const clock = createVirtualClock();
  let rounds = 0;
  const loop = (async () => {
    for (; rounds < 5; rounds++) await clock.sleep(100);
  })();
  await clock.advance(350);
  assert.equal(rounds, 3);
  await clock.advance(150);
  await loop;
});

test("a cancelled timer never rings; an aborted sleep rejects with the reason and is gone", async () => {
  const clock = createVirtualClock();
  const cancel = clock.timer(5, () => assert.fail("it rang"));
  cancel();
  const stop = new AbortController();
  const slept = clock.sleep(5, stop.signal);
  stop.abort("enough");
  await assert.rejects(slept, (reason) => reason === "enough");
  assert.equal(clock.pending, 0);
  await clock.advance(10);
  await assert.rejects(clock.sleep(1, stop.signal), (reason) => reason === "enough");
});
