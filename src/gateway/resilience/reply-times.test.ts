import assert from "node:assert/strict";
import { test } from "node:test";
import { ReplyTimes } from "./reply-times.ts";

const timeouts = { connectMs: 60_000, firstTokenMs: 120_000, totalMs: 600_000 };

function after(...times: readonly number[]): ReplyTimes {
  const replies = new ReplyTimes();
  for (const ms of times) replies.took(ms);
  return replies;
}

const quick = Array.from({ length: 100 }, () => 15_000);

test("replies are quick when a hundred of them took a quarter of the tightest limit at most", () => {
  assert.ok(!after(...quick.slice(1)).areQuick(timeouts));
  assert.ok(after(...quick).areQuick(timeouts));
  assert.ok(!after(...quick).areQuick({ ...timeouts, connectMs: 59_999 }));
  assert.ok(!after(...quick).areQuick({ ...timeouts, totalMs: 20_000 }));
});

test("one that is slow counts at once, and until a hundred later ones were quick", () => {
  const replies = after(...quick, 15_001);
  assert.ok(!replies.areQuick(timeouts));
  for (const ms of quick.slice(1)) replies.took(ms);
  assert.ok(!replies.areQuick(timeouts));
  for (const ms of quick) replies.took(ms);
  assert.ok(replies.areQuick(timeouts));
});
