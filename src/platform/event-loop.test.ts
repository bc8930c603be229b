import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { watchEventLoop } from "./event-loop.ts";

test("a loop that is held up is late, and the next look begins anew", async () => {
  const eventLoop = watchEventLoop();
  try {
    const until = performance.now() + 1_000;
    while (performance.now() < until) {
      const busyUntil = performance.now() + 200;
      while (performance.now() < busyUntil);
      await sleep(1);
    }
    const late = eventLoop.look();
    assert.ok(late >= 50, `late by ${late} ms`);
    assert.equal(eventLoop.look(), 0);
  } finally {
    eventLoop.stop();
  }
});
