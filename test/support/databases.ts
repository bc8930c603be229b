/**
 * Databases for tests: contract suites run once on each.
 *
 * PostgreSQL is looked for at HOLDFAST_TEST_DATABASE_URL, or else where a Debian package puts it: on 127.0.0.1:5432 as
 * `postgres`, then on the unix socket as `postgres` and as the user who runs the tests. On a fresh Debian install none of
 * these is let in until one is allowed: `su postgres -c "createuser --superuser $USER"` opens the socket for that user.
 * Where no server is found its tests are left out, which is said; with CI set that is an error.
 */
import { createHash, randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { PGlite } from "@electric-sql/pglite";
import type { Database, Statement } from "../../src/store/database.ts";
import { migrate, packagedMigrations } from "../../src/store/migrate.ts";
import { openPglite } from "../../src/store/pglite.ts";
import { openPostgres } from "../../src/store/postgres.ts";

export interface TestDatabase {
  readonly name: "PGlite" | "PostgreSQL";
  /** A fresh, migrated, empty database, which is gone when it is closed. */
  readonly open: () => Promise<Database>;
}

export async function testDatabases(): Promise<TestDatabase[]> {
  const embedded: TestDatabase = {
    name: "PGlite",
    open: async () => openPglite({ dataDir: "memory", snapshot: await migratedSnapshot() }),
  };
  const server = await findServer();
  return server === undefined ? [embedded] : [embedded, { name: "PostgreSQL", open: () => openOnServer(server) }];
}

/** An empty database on the test server, for tests of several processes; undefined where there is no server. */
export async function createServerDatabase(): Promise<{ url: string; drop: () => Promise<void> } | undefined> {
  const server = await findServer();
  if (server === undefined) return undefined;
  const name = `holdfast_test_${randomBytes(6).toString("hex")}`;
  await administrate(server, `create database ${name}`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  return { url: url.href, drop: () => administrate(server, `drop database if exists ${name} with (force)`) };
}

/** A row for each session that waits for an advisory lock, in this database only. */
export const waitingForLocks: Statement = {
  text: `select pid from pg_locks where locktype = 'advisory' and not granted
           and database = (select oid from pg_database where datname = current_database())`,
  values: [],
};

/** A data directory of PGlite, migrated and empty, to begin with instead of seconds of initdb. */
export function migratedSnapshot(): Promise<Blob> {
  snapshot ??= loadSnapshot();
  return snapshot;
}

let snapshot: Promise<Blob> | undefined;
let serverUrl: Promise<string | undefined> | undefined;

async function openOnServer(server: string): Promise<Database> {
  const { url, drop } = (await createServerDatabase()) ?? { url: server, drop: async () => {} };
  const database = await openPostgres({ url });
  await migrate(database);
  const close = async (): Promise<void> => {
    await database.close();
    await drop();
  };
  return { ...database, close };
}

async function administrate(server: string, sql: string): Promise<void> {
  const database = await openPostgres({ url: server, poolSize: 1 });
  try {
    await database.query({ text: sql, values: [] });
  } finally {
    await database.close();
  }
}

function findServer(): Promise<string | undefined> {
  serverUrl ??= searchServer();
  return serverUrl;
}

async function searchServer(): Promise<string | undefined> {
  const given = process.env["HOLDFAST_TEST_DATABASE_URL"];
  const socket = "%2Fvar%2Frun%2Fpostgresql";
  const usual = [
    "postgres://postgres@127.0.0.1:5432/postgres",
    `postgres://postgres@${socket}/postgres`,
    `postgres://${userInfo().username}@${socket}/postgres`,
  ];
  for (const url of given === undefined ? usual : [given]) {
    try {
      await (await openPostgres({ url, poolSize: 1 })).close();
      return url;
    } catch (error) {
      if (given !== undefined) throw error;
    }
  }
  if (process.env["CI"]) throw new Error("PostgreSQL is not reachable, and in CI its tests must run.");
  console.log("PostgreSQL not reachable: its tests are left out");
  return undefined;
}

async function loadSnapshot(): Promise<Blob> {
  const cache = fileURLToPath(new URL("../../node_modules/.cache/holdfast/", import.meta.url));
  const path = join(cache, `pglite-${await snapshotKey()}.tar`);
  try {
    return new Blob([await readFile(path)]);
  } catch {
    const tar = await makeSnapshot();
    await mkdir(cache, { recursive: true });
    // Renamed when it is whole: other test processes may be doing the same.
    const unfinished = `${path}.${process.pid}`;
    await writeFile(unfinished, tar);
    await rename(unfinished, path);
    return new Blob([tar]);
  }
}

async function snapshotKey(): Promise<string> {
  const hash = createHash("sha256");
  const packagePath = join(createRequire(import.meta.url).resolve("@electric-sql/pglite"), "../../package.json");
  hash.update(JSON.parse(await readFile(packagePath, "utf8")).version);
  for (const file of (await readdir(packagedMigrations)).sort()) {
    hash.update(file).update(await readFile(join(packagedMigrations, file)));
  }
  return hash.digest("hex").slice(0, 16);
}

// Not compressed: 40 MB instead of 5, and twice as fast to load.
async function makeSnapshot(): Promise<Uint8Array<ArrayBuffer>> {
  const directory = await mkdtemp(join(tmpdir(), "holdfast-snapshot-"));
  try {
    const database = await openPglite({ dataDir: directory });
    await migrate(database);
    await database.close();
    const pglite = await PGlite.create(join(directory, "postgres"));
    const tar = await pglite.dumpDataDir("none");
    await pglite.close();
    return new Uint8Array(await tar.arrayBuffer());
  } finally {
    await rm(directory, { recursive: true });
  }
}
