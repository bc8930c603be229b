/** Tasks that come in over BullMQ and results that go out, on a real Redis. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { after, before, describe, test } from "node:test";
import { Queue, QueueEvents } from "bullmq";
import { readSettings } from "../../src/platform/settings.ts";
import type { Database } from "../../src/store/database.ts";
import type { ScriptedTurn } from "../../src/testing/scripted-model.ts";
import { cleanEnvironment, linkPackages } from "../support/command.ts";
import { testDatabases } from "../support/databases.ts";
import { pageAt } from "../support/documentation.ts";
import { failingDatabase, type Outage } from "../support/failing-database.ts";
import { noRedis, testRedis } from "../support/redis.ts";
import { startHoldfast, tenant, until, type Running, type Start } from "../support/running-holdfast.ts";
import { sql } from "../support/stored-tasks.ts";

const done = (): ScriptedTurn => ({ text: "Done." });

describe("Tasks over BullMQ", { skip: await noRedis() }, async () => {
  const redis = testRedis();
  const settings = readSettings({ REDIS_URL: redis.url, REDIS_PREFIX: redis.prefix });
  const connection = { url: redis.url, maxRetriesPerRequest: null };
  const queue = (name: string): Queue => new Queue(name, { connection, prefix: redis.prefix });
  const results = queue("agent.results");
  let database: Database;

  before(async () => {
    database = await (await testDatabases())[0]!.open();
  });
  after(async () => {
    await results.close();
    await database.close();
    await redis.clear();
  });

  const start = ({ options, ...rest }: Partial<Start> = {}): Promise<Running> =>
    startHoldfast(database, { script: done, ...rest, options: { settings, ...options } });

  const countTasks = async (agent: string): Promise<number> =>
    (await database.query(sql("select from task where agent = $1", agent))).length;
  const resultOf = (id: string) => until(async () => (await results.getJob(id)) ?? false);

  interface Desk {
    readonly holdfast: Running;
    readonly tasks: Queue;
    readonly dead: Queue;
    /** Sends a task and waits for what BullMQ says of it. */
    readonly send: (body: unknown, jobId?: string) => Promise<{ id: string; receipt: Record<string, string> }>;
  }

  /** With the queues of an agent, until the test is over. */
  async function withDesk(options: Partial<Start>, use: (desk: Desk) => Promise<void>): Promise<void> {
    const holdfast = await start(options);
    const tasks = queue(`agent.tasks.${holdfast.agent}`);
    const dead = queue(`${tasks.name}.dlq`);
    const events = new QueueEvents(tasks.name, { connection, prefix: redis.prefix });
    const send: Desk["send"] = async (body, jobId) => {
      const job = await tasks.add("task", body, jobId === undefined ? {} : { jobId });
      return { id: job.id!, receipt: (await job.waitUntilFinished(events)) as Record<string, string> };
    };
    try {
      await events.waitUntilReady();
      await use({ holdfast, tasks, dead, send });
    } finally {
      await holdfast.stop();
      await Promise.all([events.close(), tasks.close(), dead.close()]);
    }
  }

  test("run like those of the HTTP API, and their results are published under their ids", async () => {
    await withDesk({}, async ({ holdfast, send }) => {
      const { receipt } = await send({ prompt: "Hello", session_id: "over-bullmq", metadata: { order: 7 } });
      const { task_id: taskId = "" } = receipt;
      assert.deepEqual(receipt, { task_id: taskId, session_id: "over-bullmq" });
      const published = await resultOf(taskId);
      assert.equal(published.name, "over-bullmq");
      const { duration_ms: durationMs, ...rest } = published.data as Record<string, unknown>;
      assert.ok(Number(durationMs) >= 0);
      assert.deepEqual(rest, {
        task_id: taskId,
        session_id: "over-bullmq",
        agent: holdfast.agent,
        status: "completed",
        output: "Done.",
        steps_used: 1,
        tokens_used: 15,
        tool_calls: 0,
        cost_usd: 0,
        error: null,
        replays: 0,
      });
      const { metadata } = await holdfast.engine.task({ tenant, taskId });
      assert.deepEqual(metadata, { order: 7 });
      await until(async () => (await database.query(sql("select from outgoing_result"))).length === 0);
    });
  });

  test("that are wrong go to the queue of dead messages, with the place and the reason", async () => {
    const wrong: [body: unknown, code: string, path: string, status?: number][] = [
      ["Hello", "invalid_request", ""],
      [null, "invalid_request", ""],
      [{}, "invalid_request", "/prompt"],
      [{ prompt: "Hello", max_steps: 99 }, "invalid_request", "/max_steps"],
      [{ prompt: "Hello", promt: "" }, "invalid_request", "/promt"],
      [{ prompt: "Hello", agent: "somebody-else" }, "invalid_request", "/agent"],
      [{ prompt: "Hel\0lo" }, "invalid_request", "/prompt"],
      [{ prompt: "Hello", context: "x".repeat(1_100_000) }, "body_too_large", "", 413],
    ];
    await withDesk({}, async ({ holdfast, dead, send, tasks }) => {
      for (const [body, code, path, status = 400] of wrong) {
        const job = await tasks.add("task", body);
        const message = await until(async () => (await dead.getJob(`${job.id}-${job.timestamp}`)) ?? false);
        assert.deepEqual(
          [message.name, message.data.problem.code, message.data.problem.path, message.data.problem.status],
          [code, code, path, status],
        );
        assert.deepEqual(message.data.message, body);
        await until(() => job.isFailed());
      }
      await assert.rejects(send({}), /invalid_request: \/prompt is required/);
      assert.equal(await countTasks(holdfast.agent), 0);
    });
  });

  test("are the same task under the same key, by whichever door they come", async () => {
    await withDesk({}, async ({ holdfast, dead, send }) => {
      const body = { prompt: "Hello", idempotency_key: "order-7" };
      const first = await send(body);
      const second = await send(body);
      assert.notEqual(first.id, second.id);
      assert.deepEqual(second.receipt, first.receipt);
      await assert.rejects(send({ ...body, prompt: "Something else" }), /idempotency_key_reused/);
      assert.equal((await dead.getJobs(["waiting"])).length, 1);

      const byHttp = await holdfast.engine.submit(tenant, {
        agent: holdfast.agent,
        prompt: "By HTTP",
        idempotencyKey: "order-8",
      });
      const { taskId } = byHttp.task;
      await holdfast.task(taskId).result();
      assert.deepEqual(await database.query(sql("select from outgoing_result where task_id = $1", taskId)), []);
      const repeated = await send({ prompt: "By HTTP", agent: holdfast.agent, idempotency_key: "order-8" });
      assert.equal(repeated.receipt["task_id"], taskId);
      assert.equal((await resultOf(taskId)).data.output, "Done.");
      assert.equal(await countTasks(holdfast.agent), 2);
    });
  });

  test("of a sender who names the job are that task as long as the name is known", async () => {
    await withDesk({}, async ({ holdfast, send, tasks }) => {
      const first = await send({ prompt: "Hello" }, "order-9");
      await until(() => tasks.remove("order-9"));
      const again = await send({ prompt: "Hello" }, "order-9");
      assert.deepEqual(again.receipt, first.receipt);
      assert.equal(await countTasks(holdfast.agent), 1);
    });
  });

  test("wait in Redis while the queue here is full, and none is lost", async () => {
    const gate = Promise.withResolvers<void>();
    const script = (): ScriptedTurn => ({ ...done(), gate: gate.promise });
    await withDesk({ script, config: { slots: 1, maxWaiting: 2 } }, async ({ holdfast, tasks }) => {
      const jobs = await tasks.addBulk(
        Array.from({ length: 6 }, (_, n) => ({ name: "task", data: { prompt: `Task ${n}` } })),
      );
      await until(async () => (await tasks.getDelayedCount()) > 0);
      assert.ok((await countTasks(holdfast.agent)) < jobs.length);
      gate.resolve();
      await until(async () => (await tasks.getCompletedCount()) === jobs.length);
      const receipts = await Promise.all(jobs.map(async ({ id }) => (await tasks.getJob(id!))!.returnvalue));
      await Promise.all(receipts.map(({ task_id: id }) => resultOf(id)));
      assert.equal(await countTasks(holdfast.agent), jobs.length);
    });
  });

  test("wait in Redis while the database is away", async () => {
    let outage: Outage = null;
    const failing = failingDatabase(database, () => outage);
    const holdfast = await startHoldfast(failing, { script: done, options: { settings } });
    const tasks = queue(`agent.tasks.${holdfast.agent}`);
    try {
      outage = "before";
      const job = await tasks.add("task", { prompt: "Hello" });
      await until(() => job.isDelayed());
      outage = null;
      await until(() => job.isCompleted());
      assert.equal(await countTasks(holdfast.agent), 1);
    } finally {
      await holdfast.stop();
      await tasks.close();
    }
  });

  test("are taken by those who run their agent, and by no others", async () => {
    const name = "hosted-elsewhere";
    let submits = 0;
    const counted: Database = {
      ...database,
      query: (statement) => {
        if (statement.name === "submit") submits++;
        return database.query(statement);
      },
    };
    await using idle = new AsyncDisposableStack();
    for (const each of [{ roles: ["api"] } as const, { hostedAgents: [] }]) {
      const started = { script: done, agent: { name }, options: { settings, ...each } };
      idle.adopt(await startHoldfast(counted, started), (holdfast) => holdfast.stop());
    }
    await withDesk({ agent: { name } }, async ({ send }) => {
      await Promise.all(Array.from({ length: 8 }, () => send({ prompt: "Hello" })));
      assert.equal(await countTasks(name), 8);
      assert.equal(submits, 0);
    });
  });

  test("that fail, are replayed and end again have a result of each time", async () => {
    let turns = 0;
    const script = (): ScriptedTurn => (turns++ === 0 ? { error: new Error("No.") } : done());
    const retries = { attempts: 1, baseMs: 1, mostMs: 1, outageMs: 0 };
    await withDesk({ script, options: { settings, tuning: { retries } } }, async ({ holdfast, send }) => {
      const { task_id: id = "" } = (await send({ prompt: "Hello" })).receipt;
      assert.equal((await resultOf(id)).data.status, "failed");
      await holdfast.engine.replay({ tenant, taskId: id }, { prompt: null, by: "ana" });
      const { data } = await resultOf(`${id}.1`);
      assert.deepEqual([data.status, data.output, data.replays], ["completed", "Done.", 1]);
    });
  });

  test("that are cancelled before they run have a result, too", async () => {
    const gate = Promise.withResolvers<void>();
    const script = (): ScriptedTurn => ({ ...done(), gate: gate.promise });
    await withDesk({ script, config: { slots: 1 } }, async ({ holdfast, send }) => {
      await send({ prompt: "Hello", session_id: "one" });
      const { task_id: id = "" } = (await send({ prompt: "Wait.", session_id: "one" })).receipt;
      await holdfast.task(id).cancel();
      assert.equal((await resultOf(id)).data.status, "cancelled");
      gate.resolve();
    });
  });

  test("are sent by the example of the guide, which prints the result", async () => {
    const example = pageAt("docs/guides/queue.md").blocks.find(({ note }) => note === "file=send.ts")!;
    const folder = await mkdtemp(join(tmpdir(), "holdfast-queue-"));
    const holdfast = await start({ agent: { name: "support" } });
    try {
      linkPackages(folder, "bullmq", "ioredis");
      await writeFile(join(folder, "package.json"), JSON.stringify({ type: "module" }));
      await writeFile(join(folder, "send.ts"), example.code);
      // What the tests before this one left there is not its result.
      await results.obliterate({ force: true });
      const env = { ...cleanEnvironment(), REDIS_URL: redis.url, REDIS_PREFIX: redis.prefix };
      const { stdout } = await promisify(execFile)(process.execPath, ["send.ts"], {
        cwd: folder,
        env,
        timeout: 20_000,
      });
      assert.equal(stdout, "customer-7 completed Done.\n");
    } finally {
      await holdfast.stop();
      await rm(folder, { recursive: true });
    }
  });
});
