import assert from "node:assert/strict";
import { after, test } from "node:test";
import { migratedSnapshot } from "../../test/support/databases.ts";
import { turnsOfTheLoop } from "../../test/support/event-loop.ts";
import { borrowed, kindsOf, startHoldfast, toolOf, until } from "../../test/support/running-holdfast.ts";
import { sql } from "../../test/support/stored-tasks.ts";
import { neverAborts } from "../platform/abort.ts";
import type { Database } from "../store/database.ts";
import { runTask, TaskCancelled, type TaskRunDeps } from "./task-run.ts";
import { LeaseLostError } from "./task-journal.ts";
import { Inbox } from "./inbox.ts";
import { openPglite } from "../store/pglite.ts";

const embedded = await openPglite({ dataDir: "memory", snapshot: await migratedSnapshot() });
after(() => embedded.close());

const script = [{ calls: [{ name: "act", input: {} }] }, { text: "Done." }];

/** Counts the appends; each waits for `before`. */
function watched(before: () => Promise<void>) {
  let appends = 0;
  const query: Database["query"] = async (statement) => {
    if (statement.name === "append") {
      appends += 1;
      await before();
    }
    return embedded.query(statement);
  };
  return { database: { ...borrowed(embedded), query }, appends: () => appends };
}

for (const effect of ["read", "idempotent", "once"] as const) {
  const waits = effect !== "read";
  test(`a tool of effect ${effect} ${waits ? "waits" : "does not wait"} until the turn that asked for it is durable`, async () => {
    const gate = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const { database } = watched(() => {
      begun.resolve();
      return gate.promise;
    });
    let ran = false;
    const tool = toolOf("act", effect, () => (ran = true));
    const holdfast = await startHoldfast(database, { script, tools: [tool] });
    const task = await holdfast.submit({ prompt: "Work" });
    await begun.promise;
    // Whatever would run before the append is answered has run by now.
    await turnsOfTheLoop(5);
    assert.equal(ran, !waits);
    assert.equal(holdfast.gateway.requests.length, 1, "the next model turn waits in any case");
    gate.resolve();
    assert.equal((await task.result()).status, "completed");
    const intent = effect === "once" ? ["intent"] : [];
    assert.deepEqual(await kindsOf(holdfast, task.id), ["model", ...intent, "tool", "model", "end"]);
    await holdfast.stop();
  });
}

test("a turn and what it read at once travel in one append", async () => {
  const { database, appends } = watched(() => Promise.resolve());
  const holdfast = await startHoldfast(database, { script, tools: [toolOf("act", "read", () => "seen")] });
  const task = await holdfast.submit({ prompt: "Work" });
  assert.equal((await task.result()).status, "completed");
  assert.equal(appends(), 1);
  assert.deepEqual(await kindsOf(holdfast, task.id), ["model", "tool", "model", "end"]);
  await holdfast.stop();
});

test("a tool that reads while its turn proves to be another worker's is told to leave", async () => {
  const reading = Promise.withResolvers<void>();
  const { database } = watched(async () => {
    await reading.promise;
    await embedded.query(sql("update task set epoch = epoch + 1 where status = 'running'"));
  });
  let left = false;
  const tool = toolOf("act", "read", (_input, { signal }) => {
    signal.addEventListener("abort", () => (left = true));
    reading.resolve();
    return new Promise<never>(() => {});
  });
  const holdfast = await startHoldfast(database, { script, tools: [tool] });
  await holdfast.submit({ prompt: "Work" });
  await until(() => left);
  await holdfast.stop();
});

test("a run that is abandoned leaves a task that somebody wants cancelled to whoever ends it", async () => {
  const cancelled = new AbortController();
  const abandoned = new AbortController();
  let parks = 0;
  const run = {
    taskId: "task",
    clock: { now: () => 0 },
    program: { next: () => ({ type: "park", entries: [], until: null }) },
    inbox: { hasNews: false },
    journal: {
      park: () => {
        assert.ok(++parks <= 1, "it asks again and again");
        cancelled.abort(new TaskCancelled("ann"));
        return Promise.resolve(false);
      },
    },
    stopping: abandoned.signal,
    abandoned: abandoned.signal,
    cancelled: cancelled.signal,
  };
  abandoned.abort(new Error("The time to stop is over."));
  await assert.rejects(runTask(run as unknown as TaskRunDeps), LeaseLostError);
});

test("a message of which word comes while others are read is heard before the next model turn", async () => {
  const never = neverAborts();
  const inbox = new Inbox({ hasNews: true });
  const heard: string[] = [];
  const reads = [["first"], ["second"]];
  const run = {
    clock: { now: () => 0 },
    program: {
      next: () => ({ type: "effect", onlyReads: false, run: () => Promise.reject(new LeaseLostError("task")) }),
      listens: () => true,
      hears: () => true,
    },
    inbox,
    journal: {
      flush: () => Promise.resolve(),
      unheard: () => {
        const unread = reads.shift() ?? [];
        if (unread.includes("first")) inbox.interrupt("second");
        return Promise.resolve(unread.map((messageId) => ({ messageId })));
      },
      hear: (messages: { messageId: string }[]) => {
        heard.push(...messages.map(({ messageId }) => messageId));
        inbox.hear(heard);
        return Promise.resolve();
      },
    },
    stopping: never,
    abandoned: never,
    cancelled: never,
  };
  await assert.rejects(runTask(run as unknown as TaskRunDeps), LeaseLostError);
  assert.deepEqual(heard, ["first", "second"]);
});
