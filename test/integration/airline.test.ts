/**
 * Real input: 100 recorded conversations of a real model run through a whole service, 16 at a time, a session for each and a
 * task for every message of a customer. See test/support/airline/recordings.ts for what is odd about them.
 *
 * The service is a process of its own, as the command would start it; the model is the provider package for compatible
 * servers, over HTTP, and the tools act on a world outside the service. The kills come at random, by a seed that is printed;
 * HOLDFAST_TEST_SEED sets it.
 */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { openPglite } from "../../src/store/pglite.ts";
import { openPostgres } from "../../src/store/postgres.ts";
import { absent } from "../support/airline/recordings.ts";
import { rehearse, type RehearsalOptions, type Report } from "../support/airline/rehearsal.ts";
import { createServerDatabase, migratedSnapshot } from "../support/databases.ts";

const seed = Number(process.env["HOLDFAST_TEST_SEED"] ?? Math.floor(Math.random() * 2 ** 32));
const options = { timeout: 240_000 };

describe("The recorded conversations of an airline", { skip: absent }, () => {
  test("come out as they were recorded", options, async (context) => {
    tell(context, await rehearseEmbedded({ disturbed: false }));
  });

  test("do so while the service is killed every few seconds", options, async (context) => {
    context.diagnostic(`HOLDFAST_TEST_SEED=${seed}`);
    tellOfKills(context, await rehearseEmbedded({ disturbed: true }));
  });

  test("do so on PostgreSQL while either of two processes is killed", options, async (context) => {
    const server = await createServerDatabase();
    if (server === undefined) return context.skip("there is no PostgreSQL here");
    context.diagnostic(`HOLDFAST_TEST_SEED=${seed}`);
    try {
      const report = await rehearse({
        service: { databaseUrl: server.url, dataDir: "", tuning: { leaseMs: 1_500, pollMs: 200 } },
        processes: 2,
        disturbed: true,
        seed,
        openDatabase: () => openPostgres({ url: server.url, poolSize: 1 }),
      });
      tellOfKills(context, report);
    } finally {
      await server.drop();
    }
  });
});

async function rehearseEmbedded({ disturbed }: Pick<RehearsalOptions, "disturbed">): Promise<Report> {
  const dataDir = await mkdtemp(join(tmpdir(), "holdfast-airline-"));
  try {
    // Begun already, as the seconds that a new cluster takes are no part of this.
    await (await openPglite({ dataDir, snapshot: await migratedSnapshot() })).close();
    return await rehearse({
      service: { databaseUrl: null, dataDir, tuning: {} },
      processes: 1,
      disturbed,
      seed,
      openDatabase: () => openPglite({ dataDir }),
    });
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
}

function tell(context: TestContext, { tasks, entries, seconds }: Report): void {
  context.diagnostic(`${tasks} tasks, ${entries} entries in ${seconds.toFixed(1)} s`);
}

function tellOfKills(context: TestContext, report: Report): void {
  const { kills, resumed, modelCalls, repeatedModelCalls, repeatedToolCalls, brokenRequests } = report;
  tell(context, report);
  const again = `made again: ${repeatedModelCalls} of ${modelCalls} model calls, ${repeatedToolCalls} tool calls`;
  context.diagnostic(`${kills} kills, ${resumed} tasks resumed; ${again}, ${brokenRequests} requests`);
  assert.ok(kills >= 3 && resumed > 0, `The kills hit nothing: ${JSON.stringify(report)}`);
}
