import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { testDatabases } from "../../test/support/databases.ts";
import { turnsOfTheLoop } from "../../test/support/event-loop.ts";
import { failingDatabase, type Outage } from "../../test/support/failing-database.ts";
import {
  borrowed,
  journalOf,
  kindsOf,
  questionsOf,
  startHoldfast,
  tenant,
  toolOf,
  until,
  type Running,
  type Start,
} from "../../test/support/running-holdfast.ts";
import { sql } from "../../test/support/stored-tasks.ts";
import type { ModelGateway } from "../gateway/model-gateway.ts";
import type { Database } from "../store/database.ts";
import { scriptedGateway } from "../testing/scripted-model.ts";

const never = new Promise<never>(() => {});
const tools = [toolOf("look", "read", () => "seen"), toolOf("pay", "once", () => "paid")];

/** A task of three turns. */
const threeTurns: Start["script"] = ({ messages }) => {
  const turn = messages.filter(({ role }) => role === "assistant").length;
  if (turn === 2) return { text: "Done." };
  return { calls: [{ id: `call${turn}`, name: turn === 0 ? "look" : "pay", input: {} }] };
};
const threeTurnKinds = ["model", "tool", "model", "intent", "tool", "model", "end"];

for (const { name, open } of await testDatabases()) {
  describe(`A worker on ${name}`, () => {
    let database: Database;
    let shared: Database;
    before(async () => {
      database = await open();
      // Not alone: several of them share it.
      shared = { ...borrowed(database), kind: "server" };
    });
    after(() => database.close());

    const agent = (what: string) => ({ name: what });
    const epochs = async (taskId: string): Promise<number[]> =>
      (
        await database.query<{ epoch: number }>(sql("select epoch from entry where task_id = $1 order by seq", taskId))
      ).map(({ epoch }) => epoch);
    /** The lease of whoever runs the task runs out, and somebody notices. */
    const takeLeaseFrom = async (holdfast: Running, taskId: string): Promise<void> => {
      await database.query(
        sql(
          `update worker set expires_at = holdfast_now() - interval '1 ms'
           where id = (select lease_owner from task where id = $1)`,
          taskId,
        ),
      );
      await holdfast.store.reap();
    };

    test("a task that cannot be read whole does not stand in the way of those it is claimed with", async () => {
      const lost = "p".repeat(40_000);
      const script: Start["script"] = () => ({ text: "Done." });
      const named = agent("reader");
      const door = await startHoldfast(shared, { script, agent: named, options: { roles: ["api"] } });
      const [unreadable, whole] = await Promise.all([
        door.submit({ prompt: lost, tokenBudget: 30_000 }),
        door.submit({ prompt: "Hello" }),
      ]);
      await database.query(sql("delete from large_value where content like $1", `"${lost.slice(0, 100)}%`));
      const holdfast = await startHoldfast(shared, { script, agent: named });
      assert.equal((await whole.result()).status, "completed");
      const [row] = await database.query<{ status: string }>(
        sql("select status from task where id = $1", unreadable.id),
      );
      assert.notEqual(row?.status, "completed");
      await holdfast.stop();
      await door.stop();
    });

    test("that stops gives its task back at the next boundary, and another goes on from there", async () => {
      const gate = Promise.withResolvers<void>();
      const start: Start = { script: threeTurns, tools, agent: agent("stops") };
      const first = await startHoldfast(shared, {
        ...start,
        script: async (request, turn) => ({ ...(await callScript(threeTurns, request, turn)), gate: gate.promise }),
      });
      const task = await first.submit({ prompt: "Work" });
      await until(() => first.gateway.requests.length === 1);
      const stopped = first.stop();
      gate.resolve();
      await stopped;
      const row = await first.store.task({ tenant, id: task.id });
      assert.equal(row?.status, "pending");
      assert.deepEqual(
        [first.gateway.requests.length, await epochs(task.id)],
        [1, [1]],
        "the turn it paid for is kept",
      );
      const second = await startHoldfast(shared, start);
      assert.equal((await second.task(task.id).result()).output, "Done.");
      assert.deepEqual([await kindsOf(second, task.id), second.gateway.requests.length], [threeTurnKinds, 2]);
      await second.stop();
    });

    test("that is claiming when it stops has given back what it got when it has stopped", async () => {
      const gate = Promise.withResolvers<void>();
      const claiming = Promise.withResolvers<void>();
      let isLate = false;
      const late: Database = {
        ...shared,
        query: async <Row>(statement: Parameters<Database["query"]>[0]): Promise<Row[]> => {
          // To give a task back takes longer than to take leave.
          if (statement.text.startsWith("update task")) await turnsOfTheLoop(100);
          return database.query<Row>(statement);
        },
        batch: async (statements) => {
          const results = await database.batch(statements);
          if (isLate && statements.at(-1)?.name === "claim" && results.at(-1)?.length !== 0) {
            claiming.resolve();
            await gate.promise;
          }
          return results;
        },
      };
      const start: Start = { script: threeTurns, tools, agent: agent("claims") };
      const worker = await startHoldfast(late, { ...start, options: { roles: ["worker"] } });
      isLate = true;
      const api = await startHoldfast(shared, { ...start, options: { roles: ["api"] } });
      const task = await api.submit({ prompt: "Work" });
      await claiming.promise;
      const stopped = worker.stop();
      gate.resolve();
      await stopped;
      assert.deepEqual([worker.worker?.running, (await task.result({ waitMs: 0 })).status], [0, "pending"]);
      assert.equal(worker.gateway.requests.length, 0);
      await task.cancel();
      await api.stop();
    });

    test("that cannot reach a boundary in time abandons its tasks, and nothing of theirs is lost", async () => {
      const start: Start = { script: threeTurns, tools, agent: agent("drains") };
      const tuning = { drainMs: 20 };
      const first = await startHoldfast(shared, { ...start, script: () => ({ gate: never }), options: { tuning } });
      const task = await first.submit({ prompt: "Work" });
      await until(() => first.gateway.requests.length === 1);
      await first.stop();
      assert.equal(first.gateway.requests[0]?.signal.aborted, true);
      const second = await startHoldfast(shared, start);
      assert.equal((await second.task(task.id).result()).output, "Done.");
      await second.stop();
    });

    test("that abandons a once tool leaves the question whether it happened", async () => {
      const started = Promise.withResolvers<void>();
      const hangs = [tools[0]!, toolOf("pay", "once", () => (started.resolve(), never))];
      const start: Start = { script: threeTurns, agent: agent("abandons") };
      const first = await startHoldfast(shared, { ...start, tools: hangs, options: { tuning: { drainMs: 20 } } });
      const task = await first.submit({ prompt: "Work" });
      await started.promise;
      await first.stop();
      const second = await startHoldfast(shared, { ...start, tools });
      const [question] = await questionsOf(second, task.id);
      assert.equal(question?.kind, "uncertain");
      const answer = { decision: "succeeded" as const, output: "paid" };
      await second.engine.approvals.answer(tenant, question!.id, { answer, by: "ann" });
      assert.equal((await second.task(task.id).result()).output, "Done.");
      await second.stop();
    });

    test("that loses its lease leaves its tasks, takes a new lease and resumes them under the next epoch", async () => {
      const script: Start["script"] = (request, turn) =>
        turn === 2 ? { gate: never } : callScript(threeTurns, request, turn);
      const options = { tuning: { leaseMs: 1_000 } };
      const holdfast = await startHoldfast(shared, { script, tools, agent: agent("loses"), options });
      const task = await holdfast.submit({ prompt: "Work" });
      await until(() => holdfast.gateway.requests.length === 2);
      await takeLeaseFrom(holdfast, task.id);
      assert.equal((await task.result()).output, "Done.");
      assert.equal(holdfast.gateway.requests[1]?.signal.aborted, true);
      assert.deepEqual(await kindsOf(holdfast, task.id), threeTurnKinds.toSpliced(2, 0, "failure"));
      assert.deepEqual(await epochs(task.id), [1, 1, 2, 2, 2, 2, 2, 2]);
      assert.equal(holdfast.worker?.leased, true);
      await holdfast.stop();
    });

    test("whose old run ends late still knows the new run of the same task", async () => {
      const late = Promise.withResolvers<void>();
      const model = scriptedGateway(() => ({ gate: never }));
      let calls = 0;
      // The first call does not hear that it is abandoned.
      const gateway: ModelGateway = {
        call: async (request) => {
          if (++calls > 1) return model.call(request);
          await late.promise;
          throw new Error("too late");
        },
      };
      const options = { parts: { gateway }, tuning: { leaseMs: 1_000 } };
      const holdfast = await startHoldfast(shared, { script: [], agent: agent("late"), options });
      const task = await holdfast.submit({ prompt: "Work" });
      await until(() => calls === 1);
      await takeLeaseFrom(holdfast, task.id);
      await until(() => calls === 2);
      late.resolve();
      await new Promise(setImmediate);
      assert.equal(holdfast.worker?.running, 1);
      await task.cancel();
      assert.equal((await task.result()).status, "cancelled");
      await holdfast.stop();
    });

    test("goes on after any single call to the store fails, before or after it took effect", async () => {
      const start = async (own: Database, key: string) => {
        // Long enough for a second try, or an intent whose acknowledgement was lost becomes a question to a human.
        const options = { tuning: { leaseMs: 2_000 } };
        return startHoldfast(own, { script: threeTurns, tools, agent: agent(`${key}-${name.toLowerCase()}`), options });
      };
      const work = async (holdfast: Running) => {
        const request = { prompt: "Work", idempotencyKey: holdfast.agent };
        const task = await until(() => holdfast.submit(request).catch(() => undefined));
        return { task, result: await until(() => task.result({ waitMs: 20_000 }).catch(() => undefined)) };
      };
      const probe = failingDatabase(database, () => null);
      const healthy = await start(probe, "healthy");
      const callsToStart = probe.calls();
      await work(healthy);
      const calls = probe.calls() - callsToStart;
      await healthy.stop();
      assert.ok(calls >= 6, `${calls} calls`);
      const play = async (failing: number, outage: Outage): Promise<void> => {
        let failingCall = Number.POSITIVE_INFINITY;
        const own = failingDatabase(database, (call) => (call === failingCall ? outage : null));
        const holdfast = await start(own, `fails-${failing}-${outage}`);
        failingCall = own.calls() + failing;
        const { task, result } = await work(holdfast);
        const what = `call ${failing} failed ${outage} it took effect`;
        assert.deepEqual([result.status, result.output], ["completed", "Done."], what);
        const journal = await until(() => journalOf(holdfast, task.id).catch(() => undefined));
        assert.deepEqual(
          journal.map(({ seq, kind }) => `${seq} ${kind}`),
          threeTurnKinds.map((kind, n) => `${n + 1} ${kind}`),
          what,
        );
        await holdfast.stop();
      };
      const all = Array.from({ length: calls + 6 }, (_, n) => n + 1);
      await Promise.all(all.flatMap((call) => [play(call, "before"), play(call, "after")]));
    });

    test("goes on after the store was away for longer than its lease", async () => {
      let away = false;
      const own = failingDatabase(database, () => (away ? "before" : null));
      const gate = Promise.withResolvers<void>();
      const script: Start["script"] = async (request, turn) => {
        if (turn === 2) await gate.promise;
        return callScript(threeTurns, request, turn);
      };
      const options = { tuning: { leaseMs: 1_000 } };
      const holdfast = await startHoldfast(own, { script, tools, agent: agent("away"), options });
      const task = await holdfast.submit({ prompt: "Work" });
      await until(() => holdfast.gateway.requests.length === 2);
      away = true;
      await until(() => holdfast.worker?.leased === false);
      gate.resolve();
      away = false;
      assert.equal((await task.result()).output, "Done.");
      assert.deepEqual(await kindsOf(holdfast, task.id), threeTurnKinds.toSpliced(2, 0, "failure"));
      await holdfast.stop();
    });

    test("finds its work without any hint", async () => {
      const deaf: Database = { ...shared, listen: () => Promise.resolve(() => Promise.resolve()) };
      const start: Start = { script: threeTurns, tools, agent: agent("deaf") };
      const api = await startHoldfast(deaf, { ...start, options: { roles: ["api"] } });
      const worker = await startHoldfast(deaf, { ...start, options: { roles: ["worker"] } });
      const task = await api.submit({ prompt: "Work" });
      assert.equal((await task.result()).output, "Done.");
      assert.equal(api.gateway.requests.length, 0);
      await Promise.all([api.stop(), worker.stop()]);
    });

    test("is not disturbed by hints that come twice, of nothing, or as nonsense", async () => {
      const start: Start = { script: threeTurns, tools, agent: agent("hinted") };
      const holdfast = await startHoldfast(shared, start);
      const shout = async (payload: string) => database.query(sql("select pg_notify('holdfast', $1)", payload));
      const hints = [
        { type: "work" },
        { type: "work" },
        { type: "cancel", taskId: "no such", by: "x" },
        { type: "new" },
        7,
        null,
      ];
      const shouts = [
        JSON.stringify({ process: "other", hints }),
        "nonsense",
        "7",
        "null",
        JSON.stringify({ hints: 3 }),
      ];
      await Promise.all(shouts.map(shout));
      const task = await holdfast.submit({ prompt: "Work" });
      await Promise.all(shouts.map(shout));
      assert.equal((await task.result()).output, "Done.");
      assert.equal(holdfast.gateway.requests.length, 3);
      await holdfast.stop();
    });

    test("runs as many tasks at a time as it has slots, and only of the agents it hosts", async () => {
      const gates: (() => void)[] = [];
      const script: Start["script"] = () => ({
        text: "Hi.",
        gate: new Promise<void>((resolve) => gates.push(resolve)),
      });
      const holdfast = await startHoldfast(shared, { script, agent: agent("slots"), config: { slots: 2 } });
      const guest = await startHoldfast(shared, {
        script: [],
        agent: agent("slots"),
        options: { hostedAgents: ["other"] },
      });
      const tasks = await Promise.all([1, 2, 3, 4, 5].map(() => holdfast.submit({ prompt: "Work" })));
      for (let running = 0; running < tasks.length; running++) {
        await until(() => gates.length > running);
        assert.ok(holdfast.worker!.running <= 2);
        gates[running]!();
      }
      for (const task of tasks) assert.equal((await task.result()).status, "completed");
      assert.equal(guest.gateway.requests.length, 0);
      await Promise.all([holdfast.stop(), guest.stop()]);
    });
  });
}

function callScript(
  script: Start["script"],
  ...call: Parameters<Extract<Start["script"], (...args: never[]) => unknown>>
) {
  assert.ok(typeof script === "function");
  return script(...call);
}
