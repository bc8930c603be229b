import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { startChild } from "../../test/support/child.ts";
import { createServerDatabase, testDatabases } from "../../test/support/databases.ts";
import type { Database } from "./database.ts";
import { migrate } from "./migrate.ts";
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

test("four processes that start at once apply each migration once", { skip: server === undefined }, async () => {
  const { url, drop } = server!;
  const slow = "create table one (a int); select pg_sleep(0.2);";
  const directory = migrations({
    "0001_one.sql": slow,
    "0002_two.sql": "alter table one add b int; select pg_sleep(0.2)",
  });
  const children = Array.from({ length: 4 }, () => startChild("migrate", url, directory));
  const applied = await Promise.all(children.map(async (child) => JSON.parse(await child.line()) as string[]));
  await Promise.all(children.map((child) => child.done()));
  assert.deepEqual(applied.flat().sort(), ["0001_one.sql", "0002_two.sql"]);
  const database = await openPostgres({ url });
  assert.deepEqual(await database.query({ text: "select version from holdfast_migration order by 1", values: [] }), [
    { version: 1 },
    { version: 2 },
  ]);
  await database.close();
  await drop();
});
