import assert from "node:assert/strict";
import { after, afterEach, beforeEach, describe, test } from "node:test";
import { createServerDatabase, waitingForLocks } from "../../test/support/databases.ts";
import { freePort } from "../../test/support/free-port.ts";
import { startTcpProxy } from "../../test/support/tcp-proxy.ts";
import { type Clock, systemClock } from "../platform/clock.ts";
import type { Database } from "./database.ts";
import { assertVersion, openPostgres } from "./postgres.ts";
import type { HoldfastError } from "../platform/errors.ts";
import type { StoreError } from "./store-error.ts";

const sql = (text: string, ...values: unknown[]) => ({ text, values });

const server = await createServerDatabase();
after(() => server?.drop());

/** Ends every connection to the database but the admin's own, and answers when they are gone. */
const endAll = sql(
  "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()",
);

/** A log whose lines a test can wait for. */
function createLog() {
  const lines: string[] = [];
  const waiting = new Set<() => void>();
  const log = (message: string): void => {
    lines.push(message);
    for (const wake of waiting) wake();
  };
  const said = (pattern: RegExp, times = 1): Promise<void> =>
    new Promise((resolve) => {
      const check = (): void => {
        if (lines.filter((line) => pattern.test(line)).length < times) return;
        waiting.delete(check);
        resolve();
      };
      waiting.add(check);
      check();
    });
  return { lines, log, said };
}

describe("a PostgreSQL server that cuts connections", { skip: server === undefined }, () => {
  let admin: Database;
  beforeEach(async () => {
    admin = await openPostgres({ url: server!.url, poolSize: 1 });
    await admin.script("drop table if exists item; create table item (n int)");
  });
  afterEach(() => admin.close());

  test("is used again after idle connections were cut, without anyone noticing but the log", async ({ signal }) => {
    const { lines, log, said } = createLog();
    const database = await openPostgres({ url: server!.url, log });
    await admin.query(sql("select pg_advisory_lock(1)"));
    const pass = { name: "pass", text: "select pg_advisory_xact_lock_shared(1)", values: [] };
    const passing = Promise.all(Array.from({ length: 5 }, () => database.query(pass)));
    while ((await admin.query(waitingForLocks)).length < 5) signal.throwIfAborted();
    await admin.query(sql("select pg_advisory_unlock(1)"));
    await passing;
    await admin.query(endAll);
    await said(/Trouble with PostgreSQL at .*terminating connection/);
    // The losses of the others may come to our ears a little later; only a new connection answers.
    while (!(await database.query(pass).catch(() => undefined)));
    await database.close();
    assert.equal(lines.length, 1, "five connections are one trouble");
  });

  test("fails what ran on them as unavailable, with nothing of a batch written, and serves the next query", async () => {
    const database = await openPostgres({ url: server!.url });
    const running = Promise.allSettled([
      database.batch([sql("insert into item values (1)"), sql("select pg_sleep(60)")]),
      database.script("insert into item values (2); select pg_sleep(60)"),
    ]);
    const asleep = sql(
      "select count(*) as n from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'",
    );
    while ((await admin.query<{ n: number }>(asleep))[0]!.n < 2);
    await admin.query(endAll);
    for (const result of await running) {
      assert.ok(result.status === "rejected");
      const { code, sqlState, retry } = result.reason as StoreError;
      assert.deepEqual([code, sqlState, retry], ["store_unavailable", "57P01", { afterMs: 500 }]);
    }
    assert.deepEqual(await database.query(sql("select n from item")), []);
    await database.close();
  });

  test("is listened to again by itself", async () => {
    const database = await openPostgres({ url: server!.url });
    const heard: string[] = [];
    const stop = await database.listen("news", (payload) => heard.push(payload));
    await database.listen("other", () => {});
    for (const round of ["once", "twice"]) {
      await admin.query(endAll);
      while (!heard.includes(round)) await admin.query(sql("select pg_notify('news', $1)", round));
    }
    await stop();
    await database.close();
  });
});

test(
  "a statement gets no answer: it fails in bounded time and the next one has a new connection",
  { skip: server === undefined },
  async () => {
    await using proxy = await startTcpProxy(server!.url);
    const timers: (() => void)[] = [];
    const clock: Clock = { ...systemClock, timer: (_ms, run) => (timers.push(run), () => {}) };
    const database = await openPostgres({ url: proxy.url, clock });
    await database.query(sql("select 1"));
    proxy.swallow();
    timers.length = 0;
    const lost = database.query(sql("select 2"));
    while (timers.length === 0) await new Promise((resolve) => setImmediate(resolve));
    timers[0]!();
    await assert.rejects(lost, { code: "store_unavailable", message: /no answer from PostgreSQL within 12000 ms/ });
    assert.deepEqual(await database.query(sql("select 3 as three")), [{ three: 3 }]);
    await database.close();
  },
);

test("closing gives back every connection, listening ones too", { skip: server === undefined }, async () => {
  await using proxy = await startTcpProxy(server!.url);
  const database = await openPostgres({ url: proxy.url });
  await database.listen("news", () => {});
  await Promise.all([database.query(sql("select 1")), database.query(sql("select 1"))]);
  await database.close();
  await proxy.allEnded();
});

test("a server that is not there is told by host, port and database, never by password", async () => {
  const port = await freePort();
  await assert.rejects(
    openPostgres({ url: `postgres://user:secret@127.0.0.1:${port}/agents` }),
    (error: Error & { code: string }) => {
      assert.equal(error.code, "database_unreachable");
      assert.deepEqual((error as HoldfastError).retry, { afterMs: 1_000 });
      assert.match(error.message, new RegExp(`127\\.0\\.0\\.1:${port}/agents.*ECONNREFUSED.*DATABASE_URL`));
      assert.doesNotMatch(error.message, /secret/);
      return true;
    },
  );
});

test("a database that does not exist is told in the server's words", { skip: server === undefined }, async () => {
  const url = new URL(server!.url);
  url.pathname = "/holdfast_absent";
  await assert.rejects(openPostgres({ url: url.href }), {
    code: "database_unreachable",
    retry: "never",
    message: /"holdfast_absent" does not exist/,
  });
});

test("a URL that is none is refused without being quoted", async () => {
  await assert.rejects(
    openPostgres({ url: "postgres://user:secret@host:port/agents" }),
    (error: Error & { code: string }) => {
      assert.equal(error.code, "database_url_invalid");
      assert.equal(error.cause, undefined);
      assert.doesNotMatch(error.message, /secret/);
      return true;
    },
  );
});

test("a server older than 15 is refused", () => {
  assert.throws(() => assertVersion(140_011, "db:5432/agents"), {
    code: "postgres_too_old",
    message: /db:5432\/agents is version 14; Holdfast needs 15/,
  });
  assertVersion(150_000, "db:5432/agents");
  assertVersion(180_006, "db:5432/agents");
});
