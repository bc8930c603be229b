import assert from "node:assert/strict";
import { test } from "node:test";
import type { LanguageModelV4StreamPart } from "@ai-sdk/provider";
import { foldTurn, type Turn } from "./turn.ts";

type Reason = Extract<LanguageModelV4StreamPart, { type: "finish" }>["finishReason"]["unified"];

const usage = {
  inputTokens: { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: 1, text: 1, reasoning: 0 },
};
const finish = (unified: Reason): LanguageModelV4StreamPart => ({
  type: "finish",
  usage,
  finishReason: { unified, raw: undefined },
});
const call = (id: string, input: string): LanguageModelV4StreamPart => ({
  type: "tool-call",
  toolCallId: id,
  toolName: "find_order",
  input,
});
const text = (id: string, ...deltas: string[]): LanguageModelV4StreamPart[] => [
  { type: "text-start", id },
  ...deltas.map((delta) => ({ type: "text-delta" as const, id, delta })),
  { type: "text-end", id },
];

function fold(...parts: LanguageModelV4StreamPart[]): Turn {
  const turn = foldTurn();
  for (const part of parts) turn.add(part);
  return turn.end();
}

test("blocks keep the order in which they began, even when they interleave", () => {
  const turn = fold(
    { type: "reasoning-start", id: "0" },
    { type: "text-start", id: "0" },
    { type: "text-delta", id: "0", delta: "An" },
    { type: "reasoning-delta", id: "0", delta: "Hm" },
    { type: "text-delta", id: "0", delta: "swer" },
    finish("stop"),
  );
  assert.deepEqual(turn.parts, [
    { type: "reasoning", text: "Hm" },
    { type: "text", text: "Answer" },
  ]);
  assert.equal(turn.finish, "stop");
});

test("a block that begins anew under a used id is another block", () => {
  assert.deepEqual(
    fold(...text("0", "a"), call("1", "{}"), ...text("0", "b"), finish("tool-calls")).parts.map((p) => p.type),
    ["text", "call", "text"],
  );
});

test("metadata that comes in pieces is put together, and keeps a part alive that has no text", () => {
  const turn = fold(
    { type: "reasoning-start", id: "r", providerMetadata: { openai: { itemId: "rs_1", encrypted: "half" } } },
    { type: "reasoning-end", id: "r", providerMetadata: { openai: { encrypted: "whole" } } },
    ...text("empty"),
    finish("stop"),
  );
  assert.deepEqual(turn.parts, [
    { type: "reasoning", text: "", provider: { openai: { itemId: "rs_1", encrypted: "whole" } } },
  ]);
});

test("only deltas that hold something are shown", () => {
  const turn = foldTurn();
  assert.equal(turn.add({ type: "text-delta", id: "0", delta: "" }), null);
  assert.deepEqual(turn.add({ type: "text-delta", id: "0", delta: "Hi" }), { type: "text", text: "Hi" });
  assert.deepEqual(turn.add({ type: "reasoning-delta", id: "0", delta: "Hm" }), { type: "reasoning", text: "Hm" });
  assert.equal(turn.add(call("1", "{}")), null);
});

test("arguments nested beyond all sense stay the text they are, so that nothing overflows on them", () => {
  const nested = (depth: number): string => `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`;
  const turn = fold(call("fair", nested(100)), call("absurd", nested(50_000)), finish("tool-calls"));
  const inputs = turn.parts.map((part) => (part.type === "call" ? typeof part.input : ""));
  assert.deepEqual(inputs, ["object", "string"]);
});

test("arguments are parsed; none are an empty object; what is not JSON stays the text it is", () => {
  const turn = fold(call("1", '{"a":[1,null]}'), call("2", ""), call("3", '{"a":'), finish("tool-calls"));
  assert.deepEqual(
    turn.parts.map((part) => part.type === "call" && part.input),
    [{ a: [1, null] }, {}, '{"a":'],
  );
});

test("calls of one turn have ids of their own, whatever the model gave", () => {
  const turn = fold(
    call("a", "{}"),
    call("a", "{}"),
    call("", "{}"),
    call("a", "{}"),
    call("", "{}"),
    finish("tool-calls"),
  );
  assert.deepEqual(
    turn.parts.map((part) => part.type === "call" && part.id),
    ["a", "a_2", "call", "a_3", "call_2"],
  );
});

test("what the provider ran itself is not a call of ours", () => {
  const turn = fold(
    { ...call("1", "{}"), providerExecuted: true } as LanguageModelV4StreamPart,
    ...text("0", "Done."),
    finish("stop"),
  );
  assert.deepEqual(turn.parts, [{ type: "text", text: "Done." }]);
});

test("a turn with calls finishes with calls, whatever the provider says", () => {
  assert.equal(fold(call("1", "{}"), finish("stop")).finish, "calls");
  assert.equal(fold(call("1", "{}"), finish("length")).finish, "calls");
});

const reasons: [Reason, string][] = [
  ["stop", "stop"],
  ["other", "stop"],
  ["length", "length"],
  ["content-filter", "content_filter"],
];
for (const [unified, expected] of reasons) {
  test(`text that ends with "${unified}" finishes with "${expected}"`, () =>
    assert.equal(fold(...text("0", "x"), finish(unified)).finish, expected));
}

const broken: [string, LanguageModelV4StreamPart[]][] = [
  ["has no finish", [call("1", '{"a":1}')]],
  ["is interrupted", [call("1", '{"a":1}'), finish("interrupted")]],
  ["finishes with an error", [...text("0", "x"), finish("error")]],
  ["holds nothing and does not say why", [finish("other")]],
];
for (const [name, parts] of broken) {
  test(`a stream that ${name} is broken, to be tried again`, () =>
    assert.throws(() => fold(...parts), { code: "model_stream_broken", retry: "now" }));
}

test("an error part ends the turn with what it carries", () => {
  const error = new Error("overloaded");
  assert.throws(() => fold(...text("0", "x"), { type: "error", error }, finish("stop")), error);
});

test("a model may have nothing to say", () => assert.deepEqual(fold(finish("stop")).parts, []));
