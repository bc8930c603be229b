import assert from "node:assert/strict";
import { test } from "node:test";
import type { Entry } from "../agent/journal.ts";
import { Hub } from "../events/hub.ts";
import { NewsQueue } from "../events/news-queue.ts";
import type { Store } from "../store/store.ts";
import { createVirtualClock } from "../testing/virtual-clock.ts";
import { watchTask, type TaskEvent } from "./watch.ts";

const taskId = "a task";
const turn = { kind: "model", seq: 1, parts: [] } as unknown as Entry;

/** What a watcher is told of a running task, one event at a time. */
function watching(kept: string) {
  const hub = new Hub();
  const store = {
    task: async () => ({ id: taskId, status: "running" }),
    journal: async () => [],
    partial: async () => kept,
  } as unknown as Store;
  const signal = new AbortController().signal;
  const deps = { store, hub, clock: createVirtualClock(), runsHere: () => false, pollMs: 500 };
  const events = watchTask(deps, { tenant: "default", taskId, afterSeq: 0, signal });
  const next = async (): Promise<TaskEvent> => (await events.next()).value as TaskEvent;
  return { hub, next };
}

test("text of a turn that was cut off elsewhere is taken back before the turn begins again here", async () => {
  const { hub, next } = watching("It was ship");
  assert.deepEqual(await next(), { type: "partial", text: "It was ship" });
  const told = next();
  hub.delta(taskId, { type: "text", text: "It was" });
  assert.deepEqual(await told, { type: "delta", delta: { type: "restart" } });
  assert.deepEqual(await next(), { type: "delta", delta: { type: "text", text: "It was" } });
});

test("text of a turn that is in flight here goes on where the reader comes in", async () => {
  const { hub, next } = watching("It");
  hub.delta(taskId, { type: "text", text: "It was" });
  assert.deepEqual(await next(), { type: "partial", text: "It was" });
  const told = next();
  hub.delta(taskId, { type: "text", text: " shipped" });
  assert.deepEqual(await told, { type: "delta", delta: { type: "text", text: " shipped" } });
});

test("a text of which the reader has nothing yet is not taken back", async () => {
  const { hub, next } = watching("");
  const told = next();
  await new Promise(setImmediate);
  hub.delta(taskId, { type: "text", text: "It" });
  assert.deepEqual(await told, { type: "delta", delta: { type: "text", text: "It" } });
});

test("the deltas of a turn that began after the end of another are not forgotten with it", async () => {
  const hub = new Hub();
  const queue = new NewsQueue({ hub, clock: createVirtualClock(), taskId });
  hub.delta(taskId, { type: "text", text: "of the first" });
  hub.entries(taskId, [turn]);
  hub.delta(taskId, { type: "text", text: "of the second" });
  assert.equal(queue.dropDeltas(), false);
  const signal = new AbortController().signal;
  assert.deepEqual(await queue.take(0, signal), { type: "entries", entries: [turn] });
  assert.deepEqual(await queue.take(0, signal), { type: "delta", delta: { type: "text", text: "of the second" } });
});
