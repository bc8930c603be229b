import assert from "node:assert/strict";
import { test } from "node:test";
import { createVirtualClock } from "../../testing/virtual-clock.ts";
import { Breaker, defaultBreaker, type BreakerSettings, type BreakerState, type CallOutcome } from "./breaker.ts";

const ok: CallOutcome = { type: "succeeded" };
const neither: CallOutcome = { type: "neither" };
const failed: CallOutcome = { type: "failed", why: { code: "model_unavailable", message: "HTTP 500" } };

function start(changed: Partial<BreakerSettings> = {}) {
  const clock = createVirtualClock(1_000_000);
  const states: BreakerState[] = [];
  const settings = { ...defaultBreaker, consecutiveFailures: 3, openMs: 10_000, longestOpenMs: 25_000, ...changed };
  const breaker = new Breaker({ clock, settings, onChange: (state) => states.push(state) });
  const call = (outcome: CallOutcome): void => {
    const tell = breaker.admit();
    assert.ok(tell !== null, "the call is let through");
    tell(outcome);
  };
  const calls = (count: number, outcome: CallOutcome): void => {
    for (let made = 0; made < count; made++) call(outcome);
  };
  return { clock, breaker, states, call, calls };
}

test("so many failures in a row open it, and while it is open nothing is let through", async () => {
  const { breaker, clock, calls, states } = start();
  calls(2, failed);
  assert.equal(breaker.admits, true);
  calls(1, failed);
  assert.deepEqual([breaker.admits, breaker.admit(), breaker.openForMs], [false, null, 10_000]);
  await clock.advance(9_999);
  assert.deepEqual([breaker.admits, breaker.openForMs], [false, 1]);
  assert.deepEqual(states, ["open"]);
});

test("a success between failures begins the count anew; what says nothing does not", () => {
  const { breaker, calls } = start();
  calls(2, failed);
  calls(1, ok);
  calls(2, failed);
  calls(5, neither);
  assert.equal(breaker.status().state, "closed");
  calls(1, failed);
  assert.equal(breaker.status().state, "open");
});

test("too large a share of the last minute's calls opens it, though none fail in a row", async () => {
  const { breaker, clock, calls, states } = start({ consecutiveFailures: 100, leastCalls: 8, failureRate: 0.5 });
  for (const outcome of [failed, ok, failed, ok, failed, ok]) calls(1, outcome);
  calls(1, failed);
  assert.equal(breaker.status().state, "closed", "four of seven, but seven are too few to tell");
  await clock.advance(61_000);
  calls(1, failed);
  assert.deepEqual([breaker.status().calls, breaker.status().failures], [1, 1], "what is older is forgotten");
  calls(4, ok);
  calls(2, failed);
  assert.equal(breaker.status().state, "closed");
  calls(1, failed);
  assert.deepEqual(states, ["open"], "four of eight");
});

test("when its time is over one call finds out: if it succeeds, the breaker closes", async () => {
  const { breaker, clock, calls, states } = start();
  calls(3, failed);
  await clock.advance(10_000);
  assert.equal(breaker.status().state, "half_open");
  const tell = breaker.admit();
  assert.deepEqual([breaker.admits, breaker.admit(), breaker.openForMs], [false, null, 0], "one at a time");
  tell?.(ok);
  assert.equal(breaker.admits, true);
  assert.deepEqual(states, ["open", "half_open", "closed"]);
  calls(2, failed);
  assert.equal(breaker.status().state, "closed", "what was before is forgotten");
});

test("if it fails the breaker stays open for twice as long each time, up to a bound", async () => {
  const { breaker, clock, calls } = start();
  calls(3, failed);
  const openFor: number[] = [];
  for (let probe = 0; probe < 3; probe++) {
    await clock.advance(breaker.openForMs);
    calls(1, failed);
    openFor.push(breaker.openForMs);
  }
  assert.deepEqual(openFor, [20_000, 25_000, 25_000]);
  await clock.advance(25_000);
  calls(1, ok);
  calls(3, failed);
  assert.equal(breaker.openForMs, 10_000, "after it has closed it begins anew");
});

test("a probe that says nothing leaves the place to the next", async () => {
  const { breaker, clock, calls } = start();
  calls(3, failed);
  await clock.advance(10_000);
  calls(1, neither);
  assert.deepEqual([breaker.status().state, breaker.admits], ["half_open", true]);
});

test("a call that was let through before it opened says nothing when it ends after", async () => {
  const { breaker, clock, calls } = start();
  const hanging = Array.from({ length: 5 }, () => breaker.admit());
  calls(3, failed);
  hanging[0]?.(ok);
  assert.equal(breaker.admits, false, "an old success does not close it");
  await clock.advance(10_000);
  hanging[1]?.(failed);
  calls(1, ok);
  for (const tell of hanging.slice(2)) tell?.(failed);
  assert.equal(breaker.status().state, "closed", "nor do old failures open it again");
});

test("it tells how it stands, in times that a reader knows", async () => {
  const { breaker, clock, calls } = start();
  calls(1, ok);
  calls(3, failed);
  await clock.advance(4_000);
  assert.deepEqual(breaker.status(), {
    state: "open",
    openUntil: 1_010_000,
    consecutiveFailures: 3,
    calls: 4,
    failures: 3,
    lastFailure: { at: 1_000_000, code: "model_unavailable", message: "HTTP 500" },
  });
});
