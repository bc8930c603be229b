import assert from "node:assert/strict";
import { test } from "node:test";
import type { PartialText } from "../store/queries/journal.ts";
import { silentLogger } from "../telemetry/log.ts";
import { createVirtualClock } from "../testing/virtual-clock.ts";
import { Hub } from "./hub.ts";
import { savePartials } from "./partial-saver.ts";

const taskId = "a task";

/** A turn in flight, and a store that answers each statement when the test says so. */
function saving() {
  const [hub, clock] = [new Hub(), createVirtualClock()];
  const statements: (PromiseWithResolvers<never[]> & { readonly texts: string[] })[] = [];
  const store = {
    savePartials: (partials: readonly PartialText[]) => {
      const statement = { ...Promise.withResolvers<never[]>(), texts: partials.map(({ text }) => text) };
      statements.push(statement);
      return statement.promise;
    },
  };
  const stop = savePartials({ hub, store, clock, log: silentLogger });
  const say = hub.openTurn({ taskId, afterSeq: 0, epoch: 1 });
  return {
    clock,
    statements,
    stop,
    texts: () => statements.map(({ texts }) => texts),
    say: (text: string) => say({ type: "text", text }),
    endTurn: () => hub.changed(taskId),
  };
}

test("a text is saved when the one before it has arrived, and not again while nothing is added", async () => {
  const { clock, statements, stop, texts, say } = saving();
  say("It");
  await clock.advance(300);
  say(" was");
  await clock.advance(3_000);
  assert.deepEqual(texts(), [["It"]], "two on their way could arrive in the wrong order");
  statements[0]!.resolve([]);
  await clock.advance(300);
  assert.deepEqual(texts(), [["It"], ["It was"]]);
  statements[1]!.resolve([]);
  await clock.advance(3_000);
  assert.equal(statements.length, 2);
  await stop();
});

test("a text that could not be removed is removed later, and looked after no more", async () => {
  const { clock, statements, stop, texts, say, endTurn } = saving();
  say("It");
  await clock.advance(300);
  statements[0]!.resolve([]);
  endTurn();
  await clock.advance(300);
  statements[1]!.reject(new Error("The connection was lost."));
  await clock.advance(300);
  assert.deepEqual(texts(), [["It"], [""], [""]]);
  statements[2]!.resolve([]);
  await clock.advance(0);
  assert.equal(clock.pending, 0);
  await stop();
});
