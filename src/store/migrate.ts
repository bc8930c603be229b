/**
 * Brings the schema of a database up to date: files `NNNN_name.sql`, applied once each, in order, forward only.
 *
 * Numbers ascend, but may have gaps, and one that comes late is still applied: changes that were written side by side
 * take their numbers beforehand and arrive in any order.
 *
 * Any number of processes may start at once. Each migration is one script, which runs as one transaction: it takes an
 * advisory lock, checks under it that nobody was faster, does its work and records itself. A process that was too late
 * sees a known error, reads again and goes on with the next.
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { HoldfastError } from "../platform/errors.ts";
import type { Database } from "./database.ts";
import { StoreError } from "./store-error.ts";

export interface MigrateOptions {
  /** Where the migrations are; the package's own `sql/` unless said otherwise. */
  readonly directory?: string;
}

interface Migration {
  readonly version: number;
  readonly name: string;
  readonly hash: string;
  readonly sql: string;
}

/**
 * Answers the names of the migrations that this call applied.
 * @throws HoldfastError `migration_changed`, `database_too_new`, `migrations_unreadable`; StoreError if one fails
 */
export async function migrate(database: Database, options: MigrateOptions = {}): Promise<string[]> {
  const migrations = readMigrations(options.directory ?? packagedMigrations);
  await createHistory(database);
  const known = await appliedVersions(database, migrations);
  const applied: string[] = [];
  for (const migration of migrations) {
    if (!known.has(migration.version) && (await apply(database, migration))) applied.push(migration.name);
  }
  // What other processes applied meanwhile must be what this one knows, too.
  await appliedVersions(database, migrations);
  return applied;
}

// src/store and dist/store are equally deep, so this is right from the source as well as from the published package.
export const packagedMigrations: string = fileURLToPath(new URL("../../sql/", import.meta.url));

/** Reads the migrations of a directory, checked to begin with 1 and to have a number each. */
function readMigrations(directory: string): Migration[] {
  let last = 0;
  return listSqlFiles(directory).map((file) => {
    const version = Number(/^(\d{4})_[a-z0-9_]+\.sql$/.exec(file)?.[1]);
    const isNext = last === 0 ? version === 1 : version > last;
    if (!isNext) {
      const expected = String(last + 1).padStart(4, "0");
      throw new HoldfastError(
        "migrations_unreadable",
        `${join(directory, file)} is not the next migration: expected ${expected}_name.sql or higher, in lower case, ` +
          "each number once.",
      );
    }
    last = version;
    const sql = readFileSync(join(directory, file), "utf8").replaceAll("\r\n", "\n");
    return { version, name: file, hash: createHash("sha256").update(sql).digest("hex"), sql };
  });
}

function listSqlFiles(directory: string): string[] {
  try {
    return readdirSync(directory)
      .filter((file) => file.endsWith(".sql"))
      .sort();
  } catch (error) {
    throw new HoldfastError(
      "migrations_unreadable",
      `The migrations in ${directory} cannot be read. They are part of the package: install it again.`,
      { cause: error },
    );
  }
}

// Any number will do, as long as nothing else on the server takes the same: "hold" in ASCII.
const lockKey = 0x686f6c64;

async function createHistory(database: Database): Promise<void> {
  const [row] = await database.query<{ exists: boolean }>({
    text: "select to_regclass('holdfast_migration') is not null as exists",
    values: [],
  });
  if (row?.exists) return;
  await database.script(`
    select pg_advisory_xact_lock(${lockKey});
    create table if not exists holdfast_migration (
      version    integer primary key,
      name       text not null,
      hash       text not null,
      applied_at timestamptz not null default clock_timestamp()
    );`);
}

/** Checks that what was applied is what the code knows, and answers which those are. */
async function appliedVersions(database: Database, migrations: readonly Migration[]): Promise<Set<number>> {
  const byVersion = new Map(migrations.map((migration) => [migration.version, migration]));
  const rows = await database.query<{ version: number; name: string; hash: string }>({
    text: "select version, name, hash from holdfast_migration order by version",
    values: [],
  });
  for (const { version, name, hash } of rows) {
    const known = byVersion.get(version);
    if (known === undefined) {
      throw new HoldfastError(
        "database_too_new",
        `The database has migration ${name}, which this version of Holdfast does not know: a newer one has used it. ` +
          "Run that version or a newer one, or another database.",
      );
    }
    if (known.hash !== hash) {
      throw new HoldfastError(
        "migration_changed",
        `Migration ${name} has changed since it was applied to this database. Restore the file; a change to the ` +
          "schema is a new migration.",
      );
    }
  }
  return new Set(rows.map(({ version }) => version));
}

const alreadyApplied = "HF001";

/** False: another process applied it first. */
async function apply(database: Database, { version, name, hash, sql }: Migration): Promise<boolean> {
  // The name and the hash have been checked to need no quoting.
  const script = `
    select pg_advisory_xact_lock(${lockKey});
    do $guard$ begin
      if exists (select from holdfast_migration where version = ${version}) then
        raise exception 'already applied' using errcode = '${alreadyApplied}';
      end if;
    end $guard$;
    ${sql}
    ;insert into holdfast_migration (version, name, hash) values (${version}, '${name}', '${hash}');`;
  try {
    await database.script(script);
    return true;
  } catch (error) {
    if (error instanceof StoreError && error.sqlState === alreadyApplied) return false;
    throw error;
  }
}
