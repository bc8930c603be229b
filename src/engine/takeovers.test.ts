import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { testDatabases } from "../../test/support/databases.ts";
import { startHoldfast } from "../../test/support/running-holdfast.ts";
import { sql } from "../../test/support/stored-tasks.ts";
import type { Database } from "../store/database.ts";
import { createStore } from "../store/store.ts";

const [embedded] = await testDatabases();

describe("A task whose workers are lost again and again", () => {
  test("is given no other: it fails, says why, and goes on when it is replayed", async () => {
    const database = await embedded!.open();
    const agent = { name: "heavy" };
    const script = (): { text: string } => ({ text: "done" });
    const api = await startHoldfast(database, { script, agent, options: { roles: ["api"] } });
    const task = await api.submit({ prompt: "Eat all memory." });
    for (let crash = 0; crash < 25; crash++) await loseWorkerOf(database, task.id);

    const holdfast = await startHoldfast(database, { script, agent });
    const result = await holdfast.task(task.id).result();
    assert.deepEqual([result.status, result.error], ["failed", "worker_lost_repeatedly"]);
    assert.equal(holdfast.gateway.requests.length, 0);

    await holdfast.engine.replay({ tenant: "default", taskId: task.id }, { prompt: null, by: "a human" });
    assert.equal((await holdfast.task(task.id).result()).output, "done");
    await holdfast.stop();
    await api.stop();
    await database.close();
  });

  /** A worker takes the task, dies, and is found to be dead. */
  async function loseWorkerOf(database: Database, taskId: string): Promise<void> {
    const worker = crypto.randomUUID();
    await database.query(sql("insert into worker (id, info, expires_at) values ($1, '{}', '-infinity')", worker));
    const claim = "update task set status = 'running', lease_owner = $1, epoch = epoch + 1 where id = $2";
    await database.query(sql(claim, worker, taskId));
    await createStore(database).reap();
  }
});
