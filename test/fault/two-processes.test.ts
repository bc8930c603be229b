/** Two processes on one server share the work; one of them goes, with a warning or without. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { migrate } from "../../src/store/migrate.ts";
import { openPostgres } from "../../src/store/postgres.ts";
import { startChild, type Child } from "../support/child.ts";
import { checkInvariants } from "../support/crash-invariants.ts";
import { answerQuestions, openLog, startScenario, workThrough } from "../support/crash-scenario.ts";
import { createServerDatabase } from "../support/databases.ts";
import { borrowed, until } from "../support/running-holdfast.ts";
import { heldBy, sql } from "../support/stored-tasks.ts";

const leaseMs = 2_000;
const sessions = 15;
const server = await createServerDatabase();
await server?.drop();

describe("Of two processes on one server", { skip: server === undefined && "there is no server" }, () => {
  let directory: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "holdfast-pair-"));
  });
  after(() => rm(directory, { recursive: true }));

  interface Pair {
    readonly one: Child;
    /** The number of tasks that a process holds. */
    readonly countHeld: (pid: string) => Promise<number>;
    readonly pids: readonly string[];
  }

  /** Submits tasks to two processes, lets one go while both work, and waits until all tasks have ended. */
  async function play(name: string, letGo: (pair: Pair) => Promise<void>): Promise<{ uncertain: number }> {
    const { url, drop } = (await createServerDatabase())!;
    const path = join(directory, name);
    const log = openLog(path);
    const database = await openPostgres({ url });
    await migrate(database);
    const children = [1, 2].map(() => startChild("work", url, path, String(leaseMs)));
    const pids = await Promise.all(children.map((child) => child.line()));
    const api = await startScenario({ database: borrowed(database), log, reach: () => {}, leaseMs, roles: ["api"] });
    const ended = new AbortController();
    const human = answerQuestions(api, log, ended.signal);
    const working = Promise.all(Array.from({ length: sessions }, (_, n) => workThrough(api, `session ${n}`, log)));
    // If the test fails before it comes to them, that is the failure to be told.
    for (const promise of [human, working]) promise.catch(() => undefined);
    try {
      const countHeld = async (pid: string): Promise<number> => (await heldBy(database, pid)).length;
      await until(async () => (await countHeld(pids[0]!)) > 1 && (await countHeld(pids[1]!)) > 0);
      await letGo({ one: children[0]!, countHeld, pids });
      await working;
      ended.abort();
      await human;
      children[1]!.signal("SIGTERM");
      await children[1]!.done();
      await checkInvariants(database, log.read(), sessions);
      const left = await database.query(sql("select id from worker where info->>'pid' = $1", pids[1]));
      assert.deepEqual(left, [], "who leaves in good order takes its name off the registry");
      return { uncertain: (await database.query(sql("select id from approval where kind = 'uncertain'"))).length };
    } finally {
      ended.abort();
      await Promise.all(children.map((child) => child.kill()));
      await api.stop();
      await database.close();
      await drop();
    }
  }

  test("one is killed: the other finishes its tasks, in order, and nothing happens twice", async () => {
    await play("killed", async ({ one, countHeld, pids }) => {
      // Frozen first, so that it surely dies at work.
      for (one.signal("SIGSTOP"); (await countHeld(pids[0]!)) < 2; one.signal("SIGSTOP")) {
        one.signal("SIGCONT");
        await new Promise(setImmediate);
      }
      await one.kill();
    });
  });

  test("one is told to stop: it hands over what it has, nothing is lost and nobody is asked what happened", async () => {
    const { uncertain } = await play("stopped", async ({ one }) => {
      one.signal("SIGTERM");
      await one.done();
    });
    assert.equal(uncertain, 0);
  });
});
