import assert from "node:assert/strict";
import { test } from "node:test";
import { createVirtualClock } from "../testing/virtual-clock.ts";
import { inTwoStages } from "./signals.ts";

test("the first signal stops in order, a later one at once, and what npm sends behind the terminal is no second one", async () => {
  const clock = createVirtualClock();
  const seen: string[] = [];
  const onSignal = inTwoStages<[string]>(clock, {
    first: (name) => seen.push(`first ${name}`),
    again: (name) => seen.push(`again ${name}`),
  });
  onSignal("SIGINT");
  await clock.advance(20);
  onSignal("SIGINT");
  assert.deepEqual(seen, ["first SIGINT"]);
  await clock.advance(500);
  onSignal("SIGTERM");
  assert.deepEqual(seen, ["first SIGINT", "again SIGTERM"]);
});
