import assert from "node:assert/strict";
import { test } from "node:test";
import { createVirtualClock } from "../../testing/virtual-clock.ts";
import { gatewaySettings } from "../options.ts";
import { createModelRecords } from "./model-records.ts";

test("a model in use is remembered, however many names are called once", () => {
  const records = createModelRecords({ ...gatewaySettings(), clock: createVirtualClock(), onBreaker() {} });
  const used = records.of("openai/gpt-5");
  for (let index = 0; index < 2_000; index++) {
    records.of(`openai/made-up-${index}`);
    assert.equal(records.of("openai/gpt-5"), used);
  }
  assert.equal(records.status([]).length, 1_000);
});
