import assert from "node:assert/strict";
import { test } from "node:test";
import { packTold, packWatches, unpackTold, unpackWatches, type Told } from "./watch-messages.ts";

const turn = { afterSeq: 3, epoch: 2, attempt: 9 };
const mostBytes = 7_999;

function textOf(told: readonly Told[]): string {
  let text = "";
  for (const each of told) {
    if (each.type !== "piece") continue;
    assert.equal(each.piece.at, text.length, "a piece stands where the one before it ended");
    assert.deepEqual(each.piece.turn, turn);
    text += each.piece.text;
  }
  return text;
}

for (const [what, sign] of [
  ["plain signs", "x"],
  ["signs that JSON escapes with six", "\u0000"],
  ["signs of four bytes", "😀"],
  ["halves of signs", "\ud83d"],
] as const) {
  test(`a long text of ${what} travels in payloads that fit, and arrives whole`, () => {
    const text = sign.repeat(20_001);
    const payloads = packTold([{ type: "piece", taskId: "a task", piece: { turn, type: "text", at: 0, text } }]);
    for (const payload of payloads) assert.ok(Buffer.byteLength(payload) <= mostBytes);
    assert.equal(textOf(payloads.flatMap(unpackTold)), text);
  });
}

test("what is told of many tasks shares payloads, and keeps its order", () => {
  const told = Array.from({ length: 1_000 }, (_, index): Told[] => [
    { type: "piece", taskId: `task-${index}`, piece: { turn, type: "reasoning", at: 0, text: "Hm." } },
    { type: "entries", taskId: `task-${index}`, seq: index },
    { type: "changed", taskId: `task-${index}` },
  ]).flat();
  const payloads = packTold(told);
  assert.ok(payloads.length < 30, `${payloads.length} payloads`);
  assert.deepEqual(payloads.flatMap(unpackTold), told);
});

test("who watches what arrives at the others, and not at oneself", () => {
  const id = "0190f6a0-0000-7000-8000-00000000000";
  const watch = new Map(Array.from({ length: 300 }, (_, n) => [`${id}${n}`, n % 2 === 0 ? "events" : "end"] as const));
  const payloads = packWatches("0a", { watch, leave: [id] });
  for (const payload of payloads) assert.ok(Buffer.byteLength(payload) <= mostBytes);
  const heard = payloads.map((payload) => unpackWatches(payload, "0b"));
  assert.deepEqual(Object.assign({}, ...heard.map((each) => each?.watch)), Object.fromEntries(watch));
  assert.deepEqual(
    heard.flatMap((each) => each?.leave ?? []),
    [id],
  );
  assert.deepEqual(
    payloads.map((payload) => unpackWatches(payload, "0a")),
    payloads.map(() => undefined),
  );
});

test("what makes no sense is passed over", () => {
  for (const payload of ["", "null", "{}", "[1]", '[["e","a"]]', '[["text","a",1,1,1,-1,"x"]]', '[["z","a",1]]']) {
    assert.deepEqual(unpackTold(payload), [], payload);
  }
  for (const payload of ["", "[]", '{"process":1}', '{"process":"holdfast; drop"}']) {
    assert.equal(unpackWatches(payload, "0b"), undefined, payload);
  }
});
