import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { watchEventLoop } from "./event-loop.ts";

test("a loop that is held up is late, and the next look begins anew", async () => {
  const eventLoop = watchEventLoop();
  try {
    for (let turn = 0; turn < 5; turn++) {
      const busyUntil = performance.now() + 200;
      while (performance.now() < busyUntil);
      await nextTurn();
    }
    const late = eventLoop.look();
    assert.ok(late >= 50, `late by ${late} ms`);
    assert.equal(eventLoop.look(), 0);
  } finally {
    eventLoop.stop();
  }
});
