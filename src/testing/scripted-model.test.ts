import assert from "node:assert/strict";
import { test } from "node:test";
import type { Delta } from "../agent/conversation.ts";
import { plainRoute } from "../agent/route.ts";
import type { ModelRequest } from "../gateway/model-gateway.ts";
import { someCaller } from "../../test/support/model-caller.ts";
import { neverAborts } from "../platform/abort.ts";
import { type GatewayScript, scriptedGateway } from "./scripted-model.ts";

function requestOf(deltas: Delta[] = [], signal = neverAborts()): ModelRequest {
  const messages = [{ role: "user" as const, text: "Hi" }];
  const onDelta = (delta: Delta): void => void deltas.push(delta);
  const caller = someCaller;
  const route = plainRoute(["test/model"]);
  return { route, system: "", messages, tools: [], maxOutputTokens: 10, caller, signal, onDelta };
}

test("turns are played in order, with their deltas, and requests are kept", async () => {
  const gateway = scriptedGateway([
    { reasoning: "Hm", calls: [{ name: "find_order", input: { id: 1 } }] },
    { text: "Found.", usage: { input: 99 } },
  ]);
  const deltas: Delta[] = [];
  const first = await gateway.call(requestOf(deltas));
  assert.deepEqual(first.parts, [
    { type: "reasoning", text: "Hm" },
    { type: "call", id: "call_1_1", tool: "find_order", input: { id: 1 } },
  ]);
  assert.equal(first.finish, "calls");
  const second = await gateway.call(requestOf(deltas));
  assert.deepEqual([second.finish, second.usage.input, second.model], ["stop", 99, "test/model"]);
  assert.deepEqual(deltas, [
    { type: "reasoning", text: "Hm" },
    { type: "text", text: "Found." },
  ]);
  assert.equal(gateway.requests.length, 2);
  await assert.rejects(gateway.call(requestOf()), /holds 2 turns/);
});

test("a function sees the request and the number of the turn", async () => {
  const gateway = scriptedGateway((request, turn) => ({ text: `${turn}: ${request.messages.length}` }));
  assert.deepEqual((await gateway.call(requestOf())).parts, [{ type: "text", text: "1: 1" }]);
});

test("an error is thrown as it is, after what was said before it", async () => {
  const error = new Error("down");
  const deltas: Delta[] = [];
  await assert.rejects(scriptedGateway([{ text: "Half", error }]).call(requestOf(deltas)), error);
  assert.deepEqual(deltas, [{ type: "text", text: "Half" }]);
});

test("a gate holds a turn until it opens, or until the call is aborted", async () => {
  const gate = Promise.withResolvers<void>();
  const script: GatewayScript = () => ({ text: "Hi", gate: gate.promise });
  const stop = new AbortController();
  const aborted = scriptedGateway(script).call(requestOf([], stop.signal));
  const held = scriptedGateway(script).call(requestOf());
  stop.abort("enough");
  await assert.rejects(aborted, (reason) => reason === "enough");
  gate.resolve();
  assert.equal((await held).finish, "stop");
});

test("an interruption ends a turn that waits with what it had said by then", async () => {
  const gateway = scriptedGateway(() => ({ first: "Work", text: "ing", gate: new Promise(() => {}) }));
  const interrupt = new AbortController();
  const deltas: Delta[] = [];
  const reply = gateway.call({ ...requestOf(deltas), interruption: interrupt.signal });
  interrupt.abort();
  const { parts, finish } = await reply;
  assert.deepEqual([parts, finish], [[{ type: "text", text: "Work" }], "interrupted"]);
  assert.deepEqual(deltas, [{ type: "text", text: "Work" }]);
});

test("a script that fails when its call has been aborted is not left alone", async () => {
  const stop = new AbortController();
  const gateway = scriptedGateway(() => {
    stop.abort("enough");
    return Promise.reject(new Error("too late"));
  });
  await assert.rejects(gateway.call(requestOf([], stop.signal)), (reason) => reason === "enough");
});
