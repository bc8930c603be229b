import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, watch, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { type Child, startChild } from "../../test/support/child.ts";
import { migratedSnapshot } from "../../test/support/databases.ts";
import { openPglite } from "./pglite.ts";

const scratch = mkdtempSync(join(tmpdir(), "holdfast-pglite-"));
after(() => rmSync(scratch, { recursive: true }));

const newDirectory = (): string => mkdtempSync(join(scratch, "data-"));
const openNew = async (dataDir: string) => openPglite({ dataDir, snapshot: await migratedSnapshot() });
const sql = (text: string, ...values: unknown[]) => ({ text, values });

async function readUpTo(child: Child, wanted: number): Promise<void> {
  while (Number(await child.line()) < wanted);
}

test("a directory keeps its data over a clean close, and says once that it is being made", async () => {
  const dataDir = join(newDirectory(), "deep", "data");
  const progress: string[] = [];
  const open = async () =>
    openPglite({ dataDir, snapshot: await migratedSnapshot(), onProgress: (message) => progress.push(message) });
  const first = await open();
  await first.query(sql("insert into session (tenant, id) values ('acme', 's1')"));
  await first.close();
  const second = await open();
  assert.deepEqual(await second.query(sql("select tenant, id from session")), [{ tenant: "acme", id: "s1" }]);
  await second.close();
  assert.deepEqual(progress, [`Creating the database in ${dataDir} (once, a few seconds)`]);
});

test("what was acknowledged is there after kill -9, every time", async () => {
  const dataDir = newDirectory();
  await (await openNew(dataDir)).close();
  for (const wanted of [1, 200, 1000]) {
    const child = startChild("write-lines", dataDir);
    await readUpTo(child, wanted);
    await child.kill();
    const database = await openPglite({ dataDir });
    const rows = await database.query<{ n: number }>(sql("select n from line order by n"));
    assert.ok(rows.length >= wanted, `${rows.length} of at least ${wanted} rows`);
    assert.deepEqual(
      rows.map(({ n }) => n),
      rows.map((_, index) => index + 1),
    );
    await database.script("delete from line");
    await database.close();
  }
});

test("a directory in use is refused to another process, and untouched", async () => {
  const dataDir = newDirectory();
  const database = await openNew(dataDir);
  const child = startChild("write-lines", dataDir);
  await assert.rejects(child.done(), /data_directory_locked/);
  await assert.rejects(openPglite({ dataDir }), { code: "data_directory_locked" });
  assert.deepEqual(await database.query(sql("select to_regclass('line') as line")), [{ line: null }]);
  await database.close();
});

test("a process that is killed while it makes the database leaves nothing half-made", async () => {
  const dataDir = newDirectory();
  const unfinished = join(dataDir, "postgres.new");
  const begun = Promise.withResolvers<void>();
  const watcher = watch(dataDir, () => existsSync(unfinished) && begun.resolve());
  const child = startChild("open-pglite", dataDir);
  await begun.promise;
  watcher.close();
  await child.kill();
  assert.ok(existsSync(unfinished) && !existsSync(join(dataDir, "postgres")));
  const database = await openNew(dataDir);
  assert.deepEqual(await database.query(sql("select count(*) as n from task")), [{ n: 0 }]);
  assert.ok(!existsSync(unfinished), "what was half-made is gone");
  await database.close();
});

test("a directory that holds no database of this version is called unusable, left as it is, and not kept locked", async () => {
  const dataDir = newDirectory();
  mkdirSync(join(dataDir, "postgres"));
  writeFileSync(join(dataDir, "postgres", "PG_VERSION"), "13\n");
  for (let attempt = 0; attempt < 2; attempt++) {
    await assert.rejects(openPglite({ dataDir }), (error: Error & { code: string }) => {
      assert.equal(error.code, "data_directory_unusable");
      assert.ok(error.message.includes(dataDir));
      return true;
    });
  }
  assert.deepEqual(readdirSync(join(dataDir, "postgres")), ["PG_VERSION"]);
});

test("a path that is no directory is called unusable", async () => {
  const file = join(newDirectory(), "file");
  writeFileSync(file, "");
  await assert.rejects(openPglite({ dataDir: file }), { code: "data_directory_unusable" });
});

test("timers and sockets get their turn while there is always another query", async () => {
  const database = await openPglite({ dataDir: "memory", snapshot: await migratedSnapshot() });
  let turned = false;
  setImmediate(() => (turned = true));
  for (let query = 0; query < 3; query++) await database.query(sql("select 1"));
  assert.ok(turned);
  await database.close();
});
