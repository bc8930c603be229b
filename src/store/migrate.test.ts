import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { startChild } from "../../test/support/child.ts";
import { createServerDatabase, testDatabases, waitingForLocks } from "../../test/support/databases.ts";
import type { Database } from "./database.ts";
import { migrate, packagedMigrations } from "./migrate.ts";
import { openPostgres } from "./postgres.ts";

const scratch = mkdtempSync(join(tmpdir(), "holdfast-migrate-"));
after(() => rmSync(scratch, { recursive: true }));

function migrations(files: Record<string, string>): string {
  const directory = mkdtempSync(join(scratch, "sql-"));
  for (const [name, sql] of Object.entries(files)) writeFileSync(join(directory, name), sql);
  return directory;
}

const one = { "0001_one.sql": "create table one (a int);\ninsert into one values (1);\n" };
const two = { ...one, "0002_two.sql": "alter table one add b int; -- the last line is a comment" };

for (const { name, open } of await testDatabases()) {
  describe(`migrate on ${name}`, () => {
    let database: Database;

    before(async () => {
      database = await open();
    });
    beforeEach(() => database.script("drop schema public cascade; create schema public"));
    after(() => database.close());

    const rows = (text: string) => database.query<Record<string, unknown>>({ text, values: [] });

    test("applies each migration once, in order, and records it", async () => {
      assert.deepEqual(await migrate(database, { directory: migrations(one) }), ["0001_one.sql"]);
      assert.deepEqual(await migrate(database, { directory: migrations(two) }), ["0002_two.sql"]);
      assert.deepEqual(await migrate(database, { directory: migrations(two) }), []);
      assert.deepEqual(await rows("select * from one"), [{ a: 1, b: null }]);
      const history = await rows("select version, name, length(hash) as hash, applied_at from holdfast_migration");
      assert.deepEqual(
        history.map(({ applied_at, ...row }) => ({ ...row, recent: typeof applied_at })),
        [
          { version: 1, name: "0001_one.sql", hash: 64, recent: "number" },
          { version: 2, name: "0002_two.sql", hash: 64, recent: "number" },
        ],
      );
    });

    test("applies the package's own migrations when no directory is named", async () => {
      assert.deepEqual((await migrate(database))[0], "0001_init.sql");
      assert.deepEqual(await rows("select to_regclass('task') is not null as made"), [{ made: true }]);
    });

    test("brings into the ledger what earlier releases journaled, and of a fork only what it paid for itself", async () => {
      const older = Object.fromEntries(
        readdirSync(packagedMigrations)
          .filter((file) => file < "0009")
          .map((file) => [file, readFileSync(join(packagedMigrations, file), "utf8")]),
      );
      await migrate(database, { directory: migrations(older) });
      const usage = { input: 10, cached: 4, output: 5, reasoning: 1, estimated: true };
      const body = JSON.stringify({ model: "openai/gpt-5", usage, costMicros: 7, parts: [], attempts: [] });
      const id = "01a1fbb3-de27-7106-8f49-7bd3d495f3f2";
      await database.script(`
        insert into task (id, tenant, session_id, position, is_head, agent, input, user_id)
        values ('${id}', 'acme', 's', 1, true, 'support', '{}', 'ann');
        insert into entry (task_id, seq, epoch, kind, at, body) values
          ('${id}', 1, 0, 'model', now(), '${body}'), ('${id}', 2, 1, 'model', to_timestamp(5), '${body}'),
          ('${id}', 3, 1, 'tool', now(), '{}');`);
      await migrate(database);
      const { estimated, ...tokens } = usage;
      const owner = { tenant: "acme", agent: "support", session: "s", user: "ann", model: "openai/gpt-5" };
      assert.deepEqual(
        await rows(`select seq, at, input, cached, output, reasoning, estimated, cost_micros as cost, code,
                      tenant, agent, session_id as session, user_id as user, model from usage`),
        [{ seq: 2, at: 5_000, ...tokens, estimated, cost: 7, code: null, ...owner }],
      );
    });

    test("applies a migration that comes after one with a higher number", async () => {
      const three = { ...one, "0003_three.sql": "create table three (a int)" };
      assert.deepEqual(await migrate(database, { directory: migrations(three) }), ["0001_one.sql", "0003_three.sql"]);
      assert.deepEqual(await migrate(database, { directory: migrations({ ...three, ...two }) }), ["0002_two.sql"]);
      assert.deepEqual(await migrate(database, { directory: migrations({ ...three, ...two }) }), []);
    });

    test("leaves nothing of a migration that fails, and tries it again the next time", async () => {
      const broken = migrations({ ...one, "0002_two.sql": "create table two (a int); select 1 / 0;" });
      await assert.rejects(migrate(database, { directory: broken }), { code: "store_failed", sqlState: "22012" });
      assert.deepEqual(
        await rows("select to_regclass('two') as two, (select max(version) from holdfast_migration) as version"),
        [{ two: null, version: 1 }],
      );
      assert.deepEqual(await migrate(database, { directory: migrations(two) }), ["0002_two.sql"]);
    });

    test("lets one of several calls at the same time apply each migration", async () => {
      const directory = migrations(two);
      const applied = await Promise.all(Array.from({ length: 4 }, () => migrate(database, { directory })));
      assert.deepEqual(applied.flat().sort(), ["0001_one.sql", "0002_two.sql"]);
    });

    test("refuses a migration that has changed since it was applied, but not for its line ends", async () => {
      await migrate(database, { directory: migrations(one) });
      const windows = { "0001_one.sql": one["0001_one.sql"].replaceAll("\n", "\r\n") };
      assert.deepEqual(await migrate(database, { directory: migrations(windows) }), []);
      const changed = migrations({ "0001_one.sql": "create table one (a bigint);" });
      await assert.rejects(migrate(database, { directory: changed }), {
        code: "migration_changed",
        message: /0001_one\.sql/,
      });
    });

    test("refuses a database that a newer version has migrated", async () => {
      await migrate(database, { directory: migrations(two) });
      await assert.rejects(migrate(database, { directory: migrations(one) }), {
        code: "database_too_new",
        message: /0002_two\.sql/,
      });
    });
  });
}

test("refuses migrations that do not begin with 1, share a number, or have names that are not plain", async () => {
  const unused = {} as Database;
  for (const file of ["0002_two.sql", "1_one.sql", "0001_One.sql", "0001_o'ne.sql"]) {
    const directory = migrations({ [file]: "select 1" });
    await assert.rejects(migrate(unused, { directory }), { code: "migrations_unreadable", message: /0001_name\.sql/ });
  }
  const twice = migrations({ "0001_one.sql": "select 1", "0001_other.sql": "select 1" });
  await assert.rejects(migrate(unused, { directory: twice }), { code: "migrations_unreadable", message: /0002_name/ });
  await assert.rejects(migrate(unused, { directory: join(scratch, "nowhere") }), { code: "migrations_unreadable" });
});

const server = await createServerDatabase();

test(
  "four processes that start at once apply each migration once",
  { skip: server === undefined },
  async ({ signal }) => {
    const { url, drop } = server!;
    const database = await openPostgres({ url, poolSize: 1 });
    const query = (text: string) => database.query({ text, values: [] });
    const directory = migrations({
      "0001_one.sql": "create table one (a int); select pg_advisory_xact_lock_shared(1);",
      "0002_two.sql": "alter table one add b int;",
    });
    // One of them is held up in the first migration, until the others want to apply it, too.
    await query("select pg_advisory_lock(1)");
    const children = Array.from({ length: 4 }, () => startChild("migrate", url, directory));
    const answers = Promise.all(children.map(async (child) => JSON.parse(await child.line()) as string[]));
    while ((await database.query(waitingForLocks)).length < children.length) signal.throwIfAborted();
    await query("select pg_advisory_unlock(1)");
    const applied = await answers;
    await Promise.all(children.map((child) => child.done()));
    assert.deepEqual(applied.flat().sort(), ["0001_one.sql", "0002_two.sql"]);
    assert.deepEqual(await query("select version from holdfast_migration order by 1"), [
      { version: 1 },
      { version: 2 },
    ]);
    await database.close();
    await drop();
  },
);
