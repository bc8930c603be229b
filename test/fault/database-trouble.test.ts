/**
 * Two workers under load, and a database that is in trouble in one way after another. They must come back by themselves,
 * with every task, and say little; and none may be taken for dead on account of it.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Client } from "pg";
import { openCouriers, type Courier, type Couriers } from "../support/couriers.ts";
import { until } from "../support/running-holdfast.ts";
import { sql } from "../support/stored-tasks.ts";
import { startTcpProxy, type TcpProxy } from "../support/tcp-proxy.ts";
import { startThrowawayPostgres, type ThrowawayPostgres } from "../support/throwaway-postgres.ts";

const postgres = await startThrowawayPostgres({ max_connections: "60" });
/** Longer than any trouble here, so that whatever is taken over was taken in error. */
const tuning = { leaseMs: 60_000 };
/** For each worker: it begins, it is over, and perhaps once more. */
const mostLines = 6;

describe("Workers beside a database", { skip: postgres === undefined && "there are no binaries" }, () => {
  const opened = new AsyncDisposableStack();
  let server: ThrowawayPostgres;
  let proxy: TcpProxy;
  let couriers: Couriers;
  let workers: Courier[];
  before(async () => {
    server = opened.use(postgres!);
    proxy = opened.use(await startTcpProxy(server.url));
    couriers = opened.use(await openCouriers(tuning, server));
    const orders = { databaseUrl: proxy.url };
    workers = await Promise.all([couriers.start(orders), couriers.start(orders)]);
    opened.use(couriers.load());
  });
  after(() => opened.disposeAsync());

  const completed = async (): Promise<number> => {
    const [row] = await couriers.database.query<{ n: number }>(
      sql("select count(*) as n from task where status = 'completed'"),
    );
    return row!.n;
  };

  /** Makes trouble for a while; then every worker must be at work again, and have said so in few words. */
  async function survive(trouble: () => Promise<void>): Promise<void> {
    await until(async () => (await completed()) > 0);
    const said = workers.map((worker) => worker.stderr().length);
    await trouble();
    const before = await until(() => completed().catch(() => undefined));
    await until(async () => (await completed()) > before + 50);
    for (const worker of workers) await until(async () => (await couriers.heldBy(worker)).length > 0);
    for (const [index, worker] of workers.entries()) {
      const lines = worker.stderr().slice(said[index]).split("\n").slice(0, -1);
      assert.ok(lines.length <= mostLines, lines.join("\n"));
    }
    const [row] = await couriers.database.query(
      sql(`select (select sum(takeovers)::int from task) as takeovers, (select count(*)::int from approval) as questions,
             (select count(*)::int from worker) as workers`),
    );
    assert.deepEqual(row, { takeovers: 0, questions: 0, workers: 2 });
  }

  const aWhile = (ms = 2_000): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
  const administrate = async (text: string): Promise<void> => {
    const admin = new Client({ connectionString: server.url });
    await admin.connect();
    await admin.query(text);
    await admin.end();
  };

  test("that restarts", () =>
    survive(async () => {
      await server.stop("fast");
      await aWhile();
      await server.start();
    }));

  test("that crashes and recovers", () =>
    survive(async () => {
      await server.stop("immediate");
      await server.start();
    }));

  test("that fails over, and can only be read for a while", () =>
    survive(async () => {
      await administrate("alter system set default_transaction_read_only = on");
      await administrate("select pg_reload_conf()");
      await aWhile();
      await administrate("alter system reset default_transaction_read_only");
      await administrate("select pg_reload_conf()");
    }));

  test("that has no connection to spare when they have lost theirs", () =>
    survive(async () => {
      const greedy: Client[] = [];
      const takeAll = async (): Promise<void> => {
        for (;;) {
          const client = new Client({ connectionString: server.url });
          client.on("error", () => {});
          try {
            await client.connect();
          } catch (error) {
            assert.equal((error as { code?: string }).code, "53300");
            return;
          }
          greedy.push(client);
        }
      };
      // Neither of them may be quicker than this: one that has a connection would rightly take the other for dead.
      proxy.hold();
      proxy.cut();
      await takeAll();
      proxy.pass();
      await aWhile();
      await Promise.all(greedy.map((client) => client.end()));
    }));

  test("whose connections break in the middle of statements, again and again", () =>
    survive(async () => {
      for (let time = 0; time < 5; time++) {
        proxy.cut();
        await aWhile(300);
      }
    }));

  test("that hangs", () =>
    survive(async () => {
      proxy.hold();
      await aWhile(4_000);
      proxy.pass();
    }));

  test("to which every connection is half-open: that is noticed in bounded time, and new ones are made", () =>
    survive(async () => {
      proxy.swallow();
      // What was sent into the void is given up after 12 s.
      await aWhile(14_000);
    }));
});
