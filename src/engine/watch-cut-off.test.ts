import assert from "node:assert/strict";
import { test } from "node:test";
import type { Entry } from "../agent/journal.ts";
import { Feeds } from "../events/feeds.ts";
import { Hub } from "../events/hub.ts";
import type { Turn } from "../events/live-text.ts";
import { neverAborts } from "../platform/abort.ts";
import type { Store } from "../store/store.ts";
import { createVirtualClock } from "../testing/virtual-clock.ts";
import { watchTask, type TaskEvent } from "./watch.ts";

const taskId = "a task";
const first: Turn = { afterSeq: 0, epoch: 1, attempt: 1 };
const modelEntry = (seq: number, text: string): Entry =>
  ({ kind: "model", seq, parts: [{ type: "text", text }] }) as unknown as Entry;

interface Kept {
  readonly text: string;
  readonly turn: Turn;
}

/** What a watcher is told of a task that was running elsewhere when it came, one event at a time. */
function watching(kept?: Kept, entries: readonly Entry[] = []) {
  const hub = new Hub();
  const feeds = new Feeds(hub);
  const store = {
    task: async () => ({ id: taskId, status: "running" }),
    taskNews: async () => ({ entries, lastSeq: entries.length, partial: kept }),
  } as unknown as Store;
  const signal = neverAborts();
  const deps = { store, feeds, clock: createVirtualClock(), runsHere: () => false };
  const events = watchTask(deps, { tenant: "default", taskId, afterSeq: 0, signal });
  const next = async (): Promise<TaskEvent> => (await events.next()).value as TaskEvent;
  const here = (afterSeq: number, epoch = 2) => hub.openTurn({ taskId, afterSeq, epoch });
  const elsewhere = (turn: Turn, at: number, text: string): void =>
    feeds.get(taskId)?.addPiece({ turn, type: "text", at, text });
  return { hub, feeds, next, here, elsewhere };
}

const delta = (text: string): TaskEvent => ({ type: "delta", delta: { type: "text", text } });
const partial = (text: string): TaskEvent => ({ type: "partial", text });
const restart: TaskEvent = { type: "delta", delta: { type: "restart" } };

test("text of a turn that was cut off elsewhere is taken back before the turn begins again here", async () => {
  const { here, next } = watching({ text: "It was ship", turn: first });
  assert.deepEqual(await next(), partial("It was ship"));
  const told = next();
  here(0)({ type: "text", text: "It was" });
  assert.deepEqual(await told, restart);
  assert.deepEqual(await next(), delta("It was"));
});

test("text of a turn that is in flight here goes on where the reader comes in", async () => {
  const { here, next } = watching({ text: "It", turn: first });
  const say = here(0);
  say({ type: "text", text: "It was" });
  assert.deepEqual(await next(), partial("It was"));
  const told = next();
  say({ type: "text", text: " shipped" });
  assert.deepEqual(await told, delta(" shipped"));
});

test("the first text of a connection is all of it, for the reader may have some from another one", async () => {
  const { here, next } = watching();
  const told = next();
  await new Promise(setImmediate);
  const say = here(0);
  say({ type: "text", text: "It" });
  assert.deepEqual(await told, partial("It"));
  const more = next();
  say({ type: "text", text: " was" });
  assert.deepEqual(await more, delta(" was"));
});

test("text of a turn that is over, kept a little too long, is not shown", async () => {
  const { next, elsewhere } = watching({ text: "Old", turn: first }, [modelEntry(1, "Old news")]);
  assert.equal((await next()).type, "entry");
  const told = next();
  await new Promise(setImmediate);
  elsewhere(first, 3, " news");
  elsewhere({ afterSeq: 1, epoch: 1, attempt: 2 }, 0, "New");
  assert.deepEqual(await told, delta("New"));
});

test("pieces that come doubled, late or from a worker that lost the task are told once, or not at all", async () => {
  const { next, elsewhere } = watching({ text: "One ", turn: { ...first, epoch: 2 } });
  assert.deepEqual(await next(), partial("One "));
  const turn = { ...first, epoch: 2 };
  const told = next();
  elsewhere(first, 0, "A zombie's");
  elsewhere(turn, 0, "One two");
  assert.deepEqual(await told, delta("two"));
  elsewhere(turn, 4, "two");
  elsewhere(turn, 4, "two three");
  assert.deepEqual(await next(), delta(" three"));
});

test("text with a hole in it is held back until the store has filled it", async () => {
  const { next, elsewhere, feeds } = watching({ text: "One ", turn: first });
  let asked = 0;
  feeds.listen({ lacksText: () => void asked++ });
  assert.deepEqual(await next(), partial("One "));
  const told = next();
  await new Promise(setImmediate);
  elsewhere(first, 8, "three ");
  await new Promise(setImmediate);
  assert.equal(asked, 1);
  elsewhere(first, 0, "One two three");
  assert.deepEqual(await told, delta("two three "));
});

test("what a reader was told of a turn adds up to all of it when its entry comes", async () => {
  const { hub, here, next } = watching();
  const told = next();
  await new Promise(setImmediate);
  here(0)({ type: "text", text: "It was" });
  assert.deepEqual(await told, partial("It was"));
  const rest = next();
  hub.entries(taskId, [modelEntry(1, "It was shipped")]);
  assert.deepEqual(await rest, delta(" shipped"));
  assert.deepEqual(await next(), { type: "entry", entry: modelEntry(1, "It was shipped") });
});

test("text that is ahead of the entries before it waits for them", async () => {
  const { hub, next, elsewhere } = watching();
  const told = next();
  await new Promise(setImmediate);
  elsewhere({ afterSeq: 1, epoch: 1, attempt: 2 }, 0, "Second");
  await new Promise(setImmediate);
  hub.entries(taskId, [modelEntry(1, "First")]);
  assert.equal((await told).type, "entry");
  assert.deepEqual(await next(), delta("Second"));
});
