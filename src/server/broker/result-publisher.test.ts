import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { testDatabases } from "../../../test/support/databases.ts";
import { failingDatabase } from "../../../test/support/failing-database.ts";
import { until } from "../../../test/support/running-holdfast.ts";
import { newTask, noProgress, sql } from "../../../test/support/stored-tasks.ts";
import type { Broker, ResultMessage } from "../../events/broker.ts";
import { Hub } from "../../events/hub.ts";
import { systemClock } from "../../platform/clock.ts";
import { systemId } from "../../platform/ids.ts";
import { createStore, type Store } from "../../store/store.ts";
import { silentLogger, type Logger } from "../../telemetry/log.ts";
import { createMetrics } from "../../telemetry/metrics.ts";
import { publishResults } from "./result-publisher.ts";

function recordingLog(): { log: Logger; warnings: (string | undefined)[] } {
  const warnings: (string | undefined)[] = [];
  const warn = ({ error }: { error?: string }): void => void warnings.push(error);
  return { log: { ...silentLogger, warn } as Logger, warnings };
}

for (const { name, open } of await testDatabases()) {
  describe(`Results on ${name}`, async () => {
    const database = await open();
    const store = createStore(database);
    const metrics = createMetrics();
    after(async () => {
      await metrics.close();
      await database.close();
    });

    /** Tasks that have ended, whose results a carrier of this name is to bring. */
    async function endTasks(count: number, resultTo: string): Promise<string[]> {
      const worker = systemId();
      await store.registerWorker({ id: worker, leaseMs: 60_000, info: {} });
      const tasks = Array.from({ length: count }, () => newTask({ resultTo }));
      await Promise.all(tasks.map((task) => store.submit({ task, worker })));
      const result = { ...noProgress, output: "Done.", status: "completed", error: null, errorMessage: "" } as const;
      await Promise.all(
        tasks.map(({ id: taskId, tenant, sessionId }) =>
          store.finish({ taskId, tenant, sessionId, epoch: 1, entries: [], result }),
        ),
      );
      return tasks.map(({ id }) => id).sort();
    }

    const waiting = async (carrier: string): Promise<number> =>
      (await database.query(sql("select from outgoing_result where carrier = $1", carrier))).length;

    function start(carrier: string, publish: Broker["publish"], parts: { log?: Logger; store?: Store } = {}) {
      const broker: Broker = {
        name: carrier,
        isReachable: true,
        publish,
        consume: () => ({ stop: () => Promise.resolve() }),
        close: () => Promise.resolve(),
      };
      return publishResults({
        store,
        broker,
        hub: new Hub(),
        clock: systemClock,
        log: silentLogger,
        metrics,
        pollMs: 10,
        ...parts,
      });
    }

    test("are published by several processes, each by one of them", async () => {
      const published: ResultMessage[] = [];
      const publish: Broker["publish"] = async (results) => void published.push(...results);
      const ids = await endTasks(350, "shared");
      const publishers = [start("shared", publish), start("shared", publish), start("shared", publish)];
      await until(async () => (await waiting("shared")) === 0);
      await Promise.all(publishers.map((publisher) => publisher.stop()));
      assert.deepEqual(published.map(({ id }) => id).sort(), ids);
    });

    test("that could not be published stay, are left alone for a while, and are published under the same ids", async () => {
      const [id] = await endTasks(1, "failing");
      const attempts: (string | undefined)[] = [];
      const { log, warnings } = recordingLog();
      const publisher = start(
        "failing",
        async ([result]) => {
          attempts.push(result?.id);
          if (attempts.length < 3) throw new Error("Not now.");
        },
        { log },
      );
      for (const attempt of [1, 2]) {
        await until(() => attempts.length === attempt);
        assert.equal(await waiting("failing"), 1);
        await database.query(sql("update outgoing_result set taken_until = holdfast_now() where carrier = 'failing'"));
      }
      await until(async () => (await waiting("failing")) === 0);
      await publisher.stop();
      assert.deepEqual(attempts, [id, id, id]);
      assert.deepEqual(warnings, ["Not now."], "one warning for a row of failures");
    });

    test("that could not be published are warned of, also after an outage of the database", async () => {
      await endTasks(1, "failing-later");
      const { log, warnings } = recordingLog();
      const away = failingDatabase(database, (call) => (call === 1 ? "before" : null));
      const publish = (): Promise<never> => Promise.reject(new Error("Not now."));
      const publisher = start("failing-later", publish, { log, store: createStore(away) });
      await until(() => warnings.length > 0);
      await publisher.stop();
      assert.deepEqual(warnings, ["Not now."]);
    });

    test("of tasks that nobody wants to hear of through a carrier are not kept", async () => {
      const before = await database.query(sql("select from outgoing_result"));
      const worker = systemId();
      await store.registerWorker({ id: worker, leaseMs: 60_000, info: {} });
      const task = newTask();
      await store.submit({ task, worker });
      const result = { ...noProgress, status: "failed", error: "model_auth", errorMessage: "No." } as const;
      const { tenant, sessionId } = task;
      await store.finish({ taskId: task.id, tenant, sessionId, epoch: 1, entries: [], result });
      assert.equal((await database.query(sql("select from outgoing_result"))).length, before.length);
      // Somebody asks afterwards, twice: there is one.
      await store.wantResult({ tenant, id: task.id, carrier: "late" });
      await store.wantResult({ tenant, id: task.id, carrier: "late" });
      assert.equal(await waiting("late"), 1);
    });
  });
}
