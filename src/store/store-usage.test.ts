import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import type { Entry, FailedAttempt } from "../agent/journal.ts";
import { testDatabases } from "../../test/support/databases.ts";
import { failingDatabase } from "../../test/support/failing-database.ts";
import { turn } from "../../test/support/journal-builders.ts";
import { until } from "../../test/support/running-holdfast.ts";
import { noProgress, openDesk, sql, type Held, type TaskDesk } from "../../test/support/stored-tasks.ts";
import { systemId } from "../platform/ids.ts";
import type { Database } from "./database.ts";
import type { UsageReport } from "./queries/usage-report.ts";
import { createStore, type Store } from "./store.ts";

const usage = { input: 100, cached: 40, output: 20, reasoning: 5, estimated: false };
const hedged: FailedAttempt = {
  model: "openai/slow",
  code: "model_hedged",
  message: "Another answer came first.",
  ms: 5,
  at: 900,
  usage: { ...usage, output: 3, estimated: true },
  costMicros: null,
};
const refused: FailedAttempt = { model: "openai/away", code: "model_unavailable", message: "", ms: 1 };

function turnOf(seq: number, attempts: readonly FailedAttempt[] = []): Entry {
  return { ...turn({ text: "Hi." }), usage, costMicros: 7, model: "openai/gpt-5", attempts, seq, at: 1_000 } as Entry;
}

function failureOf(seq: number, attempts: readonly FailedAttempt[]): Entry {
  return { kind: "failure", code: "model_unavailable", message: "", attempts, retryAt: 1, seq, at: 1_000 };
}

interface LedgerRow {
  readonly seq: number;
  readonly code: string | null;
  readonly model: string;
  readonly tokens: number[];
  readonly costMicros: number | null;
}

for (const { name, open } of await testDatabases()) {
  describe(`the ledger on ${name}`, () => {
    let database: Database;
    let store: Store;
    let desk: TaskDesk;
    before(async () => {
      database = await open();
      store = createStore(database);
    });
    beforeEach(() => {
      desk = openDesk(store);
    });
    after(() => database.close());

    const ledgerOf = ({ id }: { id: string }): Promise<LedgerRow[]> =>
      database.query<LedgerRow>(
        sql(
          `select seq, code, model, array[input, cached, output, reasoning] as tokens, cost_micros as "costMicros"
           from usage where task_id = $1 order by seq, code nulls last`,
          id,
        ),
      );
    const append = (task: Held, entries: readonly Entry[]) =>
      store.append({ taskId: task.id, epoch: task.epoch, entries });

    test("has a row for every answer and for every attempt that used something, and whose it is", async () => {
      const task = await desk.held({ userId: "ann", sessionId: systemId() });
      await append(task, [turnOf(1, [refused, hedged]), failureOf(2, [refused]), failureOf(3, [hedged])]);
      const answered = { seq: 1, code: null, model: "openai/gpt-5", tokens: [100, 40, 20, 5], costMicros: 7 };
      const lost = { code: "model_hedged", model: "openai/slow", tokens: [100, 40, 3, 5], costMicros: null };
      assert.deepEqual(await ledgerOf(task), [{ seq: 1, ...lost }, answered, { seq: 3, ...lost }]);
      const [row] = await database.query(
        sql(
          `select tenant, agent, session_id as session, user_id as "user", key_id as key, estimated, at from usage
           where task_id = $1 and code is null`,
          task.id,
        ),
      );
      const owner = { tenant: "acme", agent: desk.agent, session: task.sessionId, user: "ann", key: null };
      assert.deepEqual(row, { ...owner, estimated: false, at: 1_000 });
    });

    test("a write that is repeated after a lost answer is charged once", async () => {
      const task = await desk.held();
      await append(task, [turnOf(1)]);
      await append(task, [turnOf(1), turnOf(2)]);
      assert.deepEqual(
        (await ledgerOf(task)).map(({ seq }) => seq),
        [1, 2],
      );
    });

    test("who has lost the lease charges nothing", async () => {
      const task = await desk.held();
      const stale = { ...task, epoch: task.epoch - 1 };
      assert.equal(await append(stale, [turnOf(1)]), undefined);
      assert.equal((await desk.finish(stale, "completed", [turnOf(1)])).held, false);
      assert.deepEqual(await ledgerOf(task), []);
    });

    test("every statement that journals charges: finish, park, hear and the end with unheard messages", async () => {
      const [ended, parked, hearing, forwarded] = [
        await desk.held(),
        await desk.held(),
        await desk.held(),
        await desk.held(),
      ];
      await desk.finish(ended, "completed", [turnOf(1)]);
      const { id: taskId, tenant, agent, epoch } = parked;
      await store.park({
        taskId,
        tenant,
        agent,
        epoch,
        entries: [turnOf(1)],
        wakeInMs: null,
        progress: noProgress,
      });
      await store.hear({ taskId: hearing.id, epoch: hearing.epoch, entries: [turnOf(1)], messageIds: [] });
      const result = { ...noProgress, status: "completed", error: null, errorMessage: "" } as const;
      await store.finishUnheard({ ...forwarded, taskId: forwarded.id, entries: [turnOf(1)], result });
      for (const task of [ended, parked, hearing, forwarded]) assert.equal((await ledgerOf(task)).length, 1);
    });

    test("many tasks' turns in one statement are each charged to their own task", async () => {
      const tasks = [];
      for (let n = 0; n < 60; n++) tasks.push(await desk.held());
      await Promise.all(tasks.map((task) => append(task, [turnOf(1), turnOf(2)])));
      const [row] = await database.query(
        sql(
          `select count(*)::int as rows, count(distinct task_id)::int as tasks, sum(input)::int as input
           from usage where agent = $1`,
          desk.agent,
        ),
      );
      assert.deepEqual(row, { rows: 120, tasks: 60, input: 12_000 });
    });

    test("a call that is no task's is charged to whoever made it", async () => {
      const keyId = systemId();
      const call = { model: "openai/gpt-5", code: null, at: 5_000, usage, costMicros: 9 };
      const owner = { tenant: "acme", agent: null, sessionId: null, userId: "ann", keyId };
      const rows = Array.from({ length: 5 }, () => ({ id: systemId(), ...call, ...owner }));
      await Promise.all([store.recordUsage(rows.slice(0, 2)), store.recordUsage(rows.slice(2)), store.recordUsage([])]);
      const found = await database.query(
        sql(`select task_id as task, user_id as "user", cost_micros as cost from usage where key_id = $1`, keyId),
      );
      assert.deepEqual(found, Array(5).fill({ task: null, user: "ann", cost: 9 }));
    });

    test("a call that is no task's is charged once, although nobody heard that it was", async () => {
      const keyId = systemId();
      const owner = { tenant: "acme", agent: null, sessionId: null, userId: null, keyId };
      const row = { ...owner, id: systemId(), model: "openai/gpt-5", code: null, at: 5_000, usage, costMicros: 9 };
      const failing = failingDatabase(database, (call) => (call === 1 ? "after" : null));
      const { recordUsage } = createStore(failing);
      await assert.rejects(recordUsage([row]), { code: "store_unavailable" });
      await recordUsage([row, { ...row, id: systemId() }]);
      const found = await database.query(sql("select id from usage where key_id = $1", keyId));
      assert.equal(found.length, 2);
    });

    test("a task whose worker was lost says so until somebody has written", async () => {
      // The embedded database's clock goes by milliseconds.
      const wake = () => until(async () => (await store.wakeDue()).woken > 0);
      const task = await desk.held();
      assert.equal(task.callMayBeLost, false, "nobody held it before");
      const claimAgain = async (): Promise<Held & { callMayBeLost: boolean }> => {
        const worker = await desk.worker();
        const [claimed] = await desk.claim(worker);
        assert.ok(claimed);
        return { ...claimed, worker } as Held & { callMayBeLost: boolean; worker: string };
      };
      const lose = async (held: object): Promise<void> => {
        await desk.expire((held as { worker: string }).worker);
        await store.reap();
      };
      await lose(task);
      const second = await claimAgain();
      assert.equal(second.callMayBeLost, true);
      // Given back in good order without having written anything: it is still not accounted for.
      await store.release({ taskId: task.id, epoch: second.epoch, pauseMs: 0 });
      const third = await claimAgain();
      assert.equal(third.callMayBeLost, true);
      await append(third, [failureOf(1, [])]);
      await store.release({ taskId: task.id, epoch: third.epoch, pauseMs: 0 });
      const fourth = await claimAgain();
      assert.equal(fourth.callMayBeLost, false);
      await lose(fourth);
      const fifth = await claimAgain();
      assert.equal(fifth.callMayBeLost, true, "another worker was lost");
      await append(fifth, [failureOf(2, [])]);
      await store.release({ taskId: task.id, epoch: fifth.epoch, pauseMs: 0.001 });
      await wake();
      const sixth = await claimAgain();
      assert.equal(sixth.callMayBeLost, false, "a run that broke before it began");
      await store.release({ taskId: task.id, epoch: sixth.epoch, pauseMs: 0.001, callMayBeLost: true });
      await wake();
      const seventh = await claimAgain();
      assert.equal(seventh.callMayBeLost, true, "a run that broke later");
      await desk.park(seventh, { wakeInMs: 0, fromSeq: 3 });
      await wake();
      assert.equal((await claimAgain()).callMayBeLost, false, "it came to rest");
    });

    test("a cancel leaves a task whose worker was lost to one that can tell what that cost, if there is any", async () => {
      const expired = await desk.held();
      const broken = await desk.held();
      await desk.expire(expired.worker);
      await store.reap();
      await store.release({ taskId: broken.id, epoch: broken.epoch, pauseMs: 60_000, callMayBeLost: true });
      const host = systemId();
      await store.registerWorker({ id: host, leaseMs: 60_000, info: { agents: [desk.agent] } });
      const cancel = ({ id, tenant }: Held) => store.cancel({ tenant, id, by: "bob" });
      assert.deepEqual([await cancel(expired), await cancel(broken)], ["pending", "waiting"]);
      const claimed = await desk.claim(host);
      assert.deepEqual(new Set(claimed.map(({ id }) => id)), new Set([expired.id, broken.id]));
      for (const { cancelRequestedBy, callMayBeLost } of claimed) {
        assert.deepEqual([cancelRequestedBy, callMayBeLost], ["bob", true]);
      }
      await desk.expire(host);
      await store.reap();
      assert.deepEqual([await cancel(expired), await cancel(broken)], ["pending", "pending"]);
      assert.deepEqual([(await desk.row(expired)).status, (await desk.row(broken)).status], ["cancelled", "cancelled"]);
    });

    describe("summed up", () => {
      const day = Date.UTC(2026, 10, 20);
      const owner = { agent: "clerk", sessionId: "s", userId: "ann", keyId: null };
      const call = { model: "openai/gpt-5", code: null, at: day, usage, costMicros: 10 };
      let tenant: string;
      beforeEach(async () => {
        tenant = systemId();
        await store.recordUsage([
          { id: systemId(), ...call, ...owner, tenant },
          { id: systemId(), ...call, ...owner, tenant, userId: "bob", costMicros: 100 },
          {
            id: systemId(),
            ...call,
            ...owner,
            tenant,
            userId: null,
            agent: null,
            keyId: "k",
            at: day + 86_399_999,
            costMicros: 30,
          },
          {
            id: systemId(),
            ...call,
            ...owner,
            tenant,
            at: day + 86_400_000,
            model: "compatible/own",
            costMicros: null,
          },
          {
            id: systemId(),
            ...call,
            ...owner,
            tenant,
            code: "model_hedged",
            usage: { ...usage, estimated: true },
            costMicros: 5,
          },
          { id: systemId(), ...call, ...owner, tenant: systemId(), costMicros: 1_000_000 },
        ]);
      });
      const sums = (report: Partial<UsageReport>) => store.usage({ tenant, by: [], limit: 10, ...report });

      test("there is one sum of all, of this tenant alone", async () => {
        const all = { calls: 5, failed: 1, estimated: 1, unpriced: 1 };
        const tokens = { input: 500, cached: 200, output: 100, reasoning: 25 };
        assert.deepEqual(await sums({}), [{ ...all, ...tokens, costMicros: 145 }]);
      });

      test("without any call everything is 0, and not unknown", async () => {
        const none = { calls: 0, failed: 0, estimated: 0, unpriced: 0 };
        const tokens = { input: 0, cached: 0, output: 0, reasoning: 0 };
        assert.deepEqual(await sums({ tenant: systemId() }), [{ ...none, ...tokens, costMicros: 0 }]);
        assert.deepEqual(await sums({ tenant: systemId(), by: ["agent"] }), []);
      });

      test("the dearest comes first, what is unknown last and null", async () => {
        assert.deepEqual(
          (await sums({ by: ["user"] })).map(({ user, costMicros, calls }) => [user, costMicros, calls]),
          [
            ["bob", 100, 1],
            [null, 30, 1],
            ["ann", 15, 3],
          ],
        );
        assert.deepEqual(
          (await sums({ by: ["model"] })).map(({ model, costMicros, unpriced }) => [model, costMicros, unpriced]),
          [
            ["openai/gpt-5", 145, 0],
            ["compatible/own", null, 1],
          ],
        );
      });

      test("by several things at once, day after day in UTC", async () => {
        assert.deepEqual(
          (await sums({ by: ["day", "key", "agent", "session"] })).map((sum) => [
            sum.day,
            sum.key,
            sum.agent,
            sum.session,
            sum.costMicros,
          ]),
          [
            ["2026-11-20", null, "clerk", "s", 115],
            ["2026-11-20", "k", null, "s", 30],
            ["2026-11-21", null, "clerk", "s", null],
          ],
        );
      });

      test("by purpose, and of one", async () => {
        await store.recordUsage([{ id: systemId(), ...call, ...owner, tenant, costMicros: 7, purpose: "evaluation" }]);
        assert.deepEqual(
          (await sums({ by: ["purpose"] })).map(({ purpose, calls, costMicros }) => [purpose, calls, costMicros]),
          [
            ["production", 5, 145],
            ["evaluation", 1, 7],
          ],
        );
        assert.deepEqual((await sums({ purpose: "evaluation" }))[0]?.costMicros, 7);
        assert.deepEqual((await sums({ purpose: "production" }))[0]?.costMicros, 145);
      });

      test("of a stretch of time, of one user, agent, session or model, and in pages", async () => {
        const calls = async (report: Partial<UsageReport>): Promise<number> => (await sums(report))[0]!.calls;
        assert.equal(await calls({ from: day + 1 }), 2);
        assert.equal(await calls({ from: day, to: day + 86_400_000 }), 4);
        assert.equal(await calls({ to: day }), 0);
        assert.equal(await calls({ userId: "bob" }), 1);
        assert.equal(await calls({ agent: "clerk", sessionId: "s", model: "openai/gpt-5" }), 3);
        assert.equal(await calls({ agent: "nobody" }), 0);
        const pages = [];
        for (const offset of [0, 1, 2, 3]) pages.push(...(await sums({ by: ["user"], limit: 1, offset })));
        assert.deepEqual(pages, await sums({ by: ["user"] }));
      });
    });
  });
}
