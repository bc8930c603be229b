import assert from "node:assert/strict";
import { test } from "node:test";
import { createServerDatabase } from "../../test/support/databases.ts";
import type { Charge } from "../agent/charges.ts";
import { systemClock as clock } from "../platform/clock.ts";
import { readSettings, type Environment } from "../platform/settings.ts";
import { createLedger } from "../store/ledger.ts";
import { migrate } from "../store/migrate.ts";
import { openPostgres } from "../store/postgres.ts";
import { linesOf, noteBill, writeBill } from "./evaluation-bill.ts";
import { plain, type Terminal } from "./terminal.ts";

const usage = { input: 100, cached: 0, output: 20, reasoning: 0, estimated: false };
const charge = (costMicros: number | null): Charge => ({ model: "a/one", code: null, at: 0, usage, costMicros });

async function bill(environment: Environment, charges: readonly Charge[]): Promise<string[]> {
  const noted: string[] = [];
  const terminal = { note: (line = "") => noted.push(line), paintNote: plain } as Partial<Terminal> as Terminal;
  const lines = linesOf(charges, "support");
  const written = await writeBill({ terminal, clock }, readSettings(environment), lines);
  noteBill({ terminal }, lines, written);
  return noted;
}

test("an evaluation that called no model opens no database and says nothing", async () => {
  assert.deepEqual(await bill({ DATABASE_URL: "postgres://127.0.0.1:1/nowhere" }, []), []);
});

test("a ledger in memory has nothing; a price that is unknown is no part of the sum, which says so", async () => {
  const memory = { HOLDFAST_DATA: "memory" };
  const why = "this is not in the ledger: the database is in memory";
  const said = async (...costs: (number | null)[]): Promise<string[]> => bill(memory, costs.map(charge));
  assert.deepEqual(await said(1_500_000), [`warning: The evaluation cost $1.50 in 1 model call; ${why}`]);
  assert.deepEqual(await said(1_500_000, null), [`warning: The evaluation cost $1.50 + in 2 model calls; ${why}`]);
  assert.deepEqual(await said(null), [`warning: The evaluation cost an unknown amount in 1 model call; ${why}`]);
});

test("a server is written to as it is: it gets all lines, and no migration", async (t) => {
  const server = await createServerDatabase();
  if (server === undefined) return t.skip("there is no PostgreSQL");
  const database = await openPostgres({ url: server.url });
  t.after(async () => {
    await database.close();
    await server.drop();
  });
  const environment = { DATABASE_URL: server.url };
  const charges = Array.from({ length: 1_001 }, () => charge(1_000));
  assert.match(String(await bill(environment, charges)), /cost \$1\.00 .*; this is not in the ledger: .*usage/);
  assert.notDeepEqual(await migrate(database), [], "nobody has migrated it");
  assert.match(String(await bill(environment, charges)), /in 1,001 model calls; the ledger has it\.$/);
  const [sum] = await createLedger(database).usage({ tenant: "default", by: ["purpose"], limit: 2 });
  assert.deepEqual([sum?.purpose, sum?.calls, sum?.costMicros], ["evaluation", 1_001, 1_001_000]);
});
