import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { testDatabases } from "../../test/support/databases.ts";
import {
  atTimeOf,
  kindsOf,
  passTime,
  startHoldfast,
  toolOf,
  until,
  type Running,
  type Start,
} from "../../test/support/running-holdfast.ts";
import { neverAborts } from "../platform/abort.ts";
import type { Database } from "../store/database.ts";
import type { ScriptedTurn } from "../testing/scripted-model.ts";
import { createVirtualClock, type VirtualClock } from "../testing/virtual-clock.ts";
import { withinDeadline } from "./deadline.ts";
import type { EffectContext } from "./program.ts";

const deadlineMs = 5_000;
const never = new Promise<never>(() => {});
const useTool: ScriptedTurn = { calls: [{ name: "work", input: {} }] };

for (const { name, open } of await testDatabases()) {
  describe(`A deadline, on ${name},`, () => {
    let database: Database;
    before(async () => {
      database = await open();
    });
    after(() => database.close());

    interface Course {
      readonly holdfast: Running;
      readonly clock: VirtualClock;
      /** Lets time pass until the task has ended. */
      readonly end: (task: Awaited<ReturnType<Running["submit"]>>) => Promise<{ status: string; error: string | null }>;
    }

    const withHoldfast = async (start: Start, use: (course: Course) => Promise<void>): Promise<void> => {
      const clock = createVirtualClock(Date.UTC(2026, 0, 1));
      const options = { parts: { clock }, tuning: { leaseMs: 1e9, pollMs: 1_000 } };
      const holdfast = await startHoldfast(atTimeOf(clock, database), { ...start, options });
      const end: Course["end"] = (task) =>
        passTime({ clock, database, stepMs: 500 }, async () => {
          const { status, error } = await task.result({ waitMs: 0 });
          return status !== "running" && status !== "pending" && { status, error };
        });
      try {
        await use({ holdfast, clock, end });
      } finally {
        await holdfast.stop();
      }
    };
    const failed = { status: "failed", error: "deadline_exceeded" };

    test("cuts off a model turn, and what that had used by then is counted", async () => {
      await withHoldfast({ script: () => ({ first: "Let me", gate: never }) }, async ({ holdfast, clock, end }) => {
        const task = await holdfast.submit({ prompt: "Think", deadlineMs });
        const request = await until(() => holdfast.gateway.requests[0]);
        await clock.advance(deadlineMs - 1);
        assert.equal(request.interruption?.aborted, false);
        await clock.advance(1);
        assert.equal(request.interruption?.aborted, true);
        assert.deepEqual(await end(task), failed);
        const { output, tokensUsed } = await task.result();
        assert.deepEqual([output, tokensUsed, await kindsOf(holdfast, task.id)], ["Let me", 15, ["model", "end"]]);
      });
    });

    for (const effect of ["read", "idempotent"] as const) {
      test(`cuts off a tool of effect ${effect}`, async () => {
        const started = Promise.withResolvers<AbortSignal>();
        const tools = [toolOf("work", effect, (_, { signal }) => (started.resolve(signal), never))];
        await withHoldfast({ script: () => useTool, tools }, async ({ holdfast, end }) => {
          const task = await holdfast.submit({ prompt: "Look", deadlineMs });
          const signal = await started.promise;
          assert.deepEqual(await end(task), failed);
          assert.equal((signal.reason as { code?: string }).code, "deadline_exceeded");
          assert.deepEqual(await kindsOf(holdfast, task.id), ["model", "end"]);
        });
      });
    }

    test("lets a once tool finish: its outcome is in the journal, and nothing follows it", async () => {
      const started = Promise.withResolvers<AbortSignal>();
      const finish = Promise.withResolvers<string>();
      const tools = [toolOf("work", "once", (_, { signal }) => (started.resolve(signal), finish.promise))];
      await withHoldfast({ script: () => useTool, tools }, async ({ holdfast, clock, end }) => {
        const task = await holdfast.submit({ prompt: "Pay", deadlineMs });
        const signal = await started.promise;
        await clock.advance(deadlineMs + 1_000);
        assert.deepEqual([signal.aborted, (await task.result({ waitMs: 0 })).status], [false, "running"]);
        finish.resolve("paid");
        assert.deepEqual(await end(task), failed);
        assert.deepEqual(await kindsOf(holdfast, task.id), ["model", "intent", "tool", "end"]);
      });
    });
  });
}

test("A deadline that has not come leaves nothing behind, and hides no failure", async () => {
  const clock = createVirtualClock(1_000);
  const context = { cancelled: neverAborts() } as EffectContext;
  const within = (deadline: number, run: () => Promise<never[]>) => withinDeadline({ clock, deadline }, context, run);
  assert.deepEqual(await within(2_000, () => Promise.resolve([])), []);
  await assert.rejects(
    within(2_000, () => Promise.reject(new Error("No."))),
    /No\./,
  );
  await assert.rejects(
    within(500, () => Promise.reject(new Error("Late."))),
    /Late\./,
  );
  assert.equal(clock.pending, 0);
});
