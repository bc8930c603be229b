/** BullMQ and its Redis under fault: nothing is lost, nothing is doubled, and a process neither falls nor hangs with them. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Queue, Worker } from "bullmq";
import { Redis } from "ioredis";
import { readSettings } from "../../src/platform/settings.ts";
import type { Database } from "../../src/store/database.ts";
import { migrate } from "../../src/store/migrate.ts";
import { openPostgres } from "../../src/store/postgres.ts";
import { silentLogger, type Logger } from "../../src/telemetry/log.ts";
import { startChild } from "../support/child.ts";
import { createServerDatabase, testDatabases } from "../support/databases.ts";
import { createRedisServer, noRedis, noRedisServer, testRedis, type RedisServer } from "../support/redis.ts";
import { startHoldfast, until, type Running } from "../support/running-holdfast.ts";
import { sql } from "../support/stored-tasks.ts";

const done = () => ({ text: "Done." });

const away = "Redis is away; work goes on without it";

function recordingLog(): { log: Logger; warnings: string[] } {
  const warnings: string[] = [];
  const warn = (fields: { error?: string }, message: string): void =>
    void warnings.push(message === away ? away : `${message}: ${fields.error}`);
  return { log: { ...silentLogger, warn, error: warn } as unknown as Logger, warnings };
}

describe("While tasks come in", { skip: noRedisServer() }, () => {
  let server: RedisServer;
  let database: Database;
  before(async () => {
    server = await createRedisServer();
    await server.start();
    database = await (await testDatabases()).at(-1)!.open();
  });
  after(async () => {
    await server.remove();
    await database.close();
  });

  const count = 120;

  /** Sends tasks to two processes while Redis fails; answers when each has its result. */
  async function play(fail: (sent: (share: number) => Promise<true>) => Promise<void>): Promise<string[]> {
    const { log, warnings } = recordingLog();
    const settings = readSettings({ REDIS_URL: server.url });
    await using open = new AsyncDisposableStack();
    const start = async (agent?: { name: string }): Promise<Running> => {
      const started = { script: done, ...(agent && { agent }), options: { settings, parts: { log } } };
      return open.adopt(await startHoldfast(database, started), (holdfast) => holdfast.stop());
    };
    const one = await start();
    const two = await start({ name: one.agent });
    const options = { connection: { url: server.url, maxRetriesPerRequest: null } };
    const tasks = open.adopt(new Queue(`agent.tasks.${one.agent}`, options), (queue) => queue.close());
    const published: string[] = [];
    const locks = { lockDuration: 2_000, stalledInterval: 1_000 };
    const consumer = open.adopt(
      new Worker("agent.results", async ({ data }) => published.push(data.task_id), { ...options, ...locks }),
      (worker) => worker.close(),
    );
    tasks.on("error", () => {});
    consumer.on("error", () => {});
    let sent = 0;
    const send = async (): Promise<void> => {
      for (; sent < count; sent++) await tasks.add("task", { prompt: `Task ${sent}` }, { jobId: `task-${sent}` });
    };
    await Promise.all([send(), fail((share) => until(() => sent >= count * share))]);
    const ended = sql("select id from task where agent = $1 and status = 'completed'", one.agent);
    await until(async () => (await database.query(ended)).length === count);
    await until(() => new Set(published).size === count);
    const all = await database.query<{ id: string }>(sql("select id from task where agent = $1", one.agent));
    assert.deepEqual([...new Set(published)].sort(), all.map(({ id }) => id).sort());
    assert.equal(one.gateway.requests.length + two.gateway.requests.length, count, "each ran once");
    return warnings;
  }

  test("Redis is killed and started again, twice: each task runs once and has its result", async () => {
    const warnings = await play(async (sent) => {
      for (const share of [0.3, 0.6]) {
        await sent(share);
        await server.kill();
        await server.start();
      }
    });
    assert.deepEqual(new Set(warnings), new Set([away]));
    assert.ok(warnings.length <= 4, `one warning of each outage and process: ${warnings.length}`);
  });

  test("Redis stands still for longer than a lock lasts: the same", async () => {
    await play(async (sent) => {
      await sent(0.5);
      server.pause();
      // Longer than the lock of a job (5 s), which the process cannot renew meanwhile.
      await new Promise((resolve) => setTimeout(resolve, 6_000));
      server.resume();
    });
  });

  test("a Redis that does not know the password is one that is away: it is said once, and work goes on", async () => {
    const administrator = new Redis(server.url);
    await administrator.config("SET", "requirepass", "secret");
    const { log, warnings } = recordingLog();
    const options = { settings: readSettings({ REDIS_URL: server.url }), parts: { log } };
    const holdfast = await startHoldfast(database, { script: done, options });
    try {
      const { status } = await (await holdfast.submit({ prompt: "Hello" })).result();
      assert.equal(status, "completed");
      await until(() => warnings.length > 0);
    } finally {
      await holdfast.stop();
      await administrator.config("SET", "requirepass", "");
      administrator.disconnect();
    }
    assert.deepEqual(warnings, [away]);
  });

  for (const [how, fail] of [
    ["is gone", () => server.kill()],
    ["stands still", () => server.pause()],
  ] as const) {
    test(`a process stops in good time although Redis ${how}`, async (t) => {
      t.after(async () => {
        await server.kill();
        await server.start();
      });
      const settings = readSettings({ REDIS_URL: server.url });
      const holdfast = await startHoldfast(database, { script: done, options: { settings } });
      const task = await holdfast.submit({ prompt: "Hello" });
      await task.result();
      await fail();
      const begun = performance.now();
      await holdfast.stop();
      assert.ok(performance.now() - begun < 12_000);
    });
  }
});

const skip = (await noRedis()) || ((await postgresIsMissing()) && "there is no PostgreSQL server");

describe("A process that dies between a task's storage and its acknowledgement", { skip }, () => {
  test("leaves one task: who gets the job next knows it", async () => {
    const redis = testRedis();
    await using open = new AsyncDisposableStack();
    const { url } = open.adopt((await createServerDatabase())!, ({ drop }) => drop());
    const database = open.adopt(await openPostgres({ url }), (server) => server.close());
    await migrate(database);
    open.defer(redis.clear);
    const agent = "between";
    const connection = { url: redis.url, maxRetriesPerRequest: null };
    const queue = (name: string): Queue =>
      open.adopt(new Queue(name, { connection, prefix: redis.prefix }), (opened) => opened.close());
    const tasks = queue(`agent.tasks.${agent}`);
    const child = open.adopt(startChild("take-task", url, redis.url, redis.prefix, agent, "1000"), (it) => it.kill());
    const job = await tasks.add("task", { prompt: "Hello" });
    assert.equal(await child.line(), "stored");
    await child.kill();
    assert.equal((await database.query(sql("select from task"))).length, 1);
    assert.ok(await job.isActive(), "it was not acknowledged");
    const settings = readSettings({ REDIS_URL: redis.url, REDIS_PREFIX: redis.prefix });
    const options = { settings, tuning: { leaseMs: 1_000 } };
    const next = await startHoldfast(database, { script: done, agent: { name: agent }, options });
    open.defer(() => next.stop());
    await until(() => job.isCompleted());
    const stored = await until(async () => {
      const rows = await database.query<{ id: string; status: string }>(sql("select id, status from task"));
      return rows.every(({ status }) => status === "completed") && rows;
    });
    assert.equal(stored.length, 1);
    assert.equal((await tasks.getJob(job.id!))?.returnvalue.task_id, stored[0]!.id);
    const results = queue("agent.results");
    await until(async () => (await results.getWaitingCount()) === 1);
  });
});

async function postgresIsMissing(): Promise<boolean> {
  return !(await testDatabases()).some(({ name }) => name === "PostgreSQL");
}
