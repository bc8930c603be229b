/**
 * Keeps a second process out of a data directory: PGlite itself would let it in and corrupt the data.
 *
 * The lock is SQLite's exclusive lock on `<directory>/lock.db`, the only lock of the operating system that Node ships. The
 * kernel lets go of it however the process dies. A file with a process id would not do: in containers every process is 1,
 * and a killed one leaves its file behind. The id is written beside it all the same, only to be shown.
 *
 * Nothing else in this process may open and close `lock.db`: POSIX drops a process's locks on a file with any descriptor.
 */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type * as Sqlite from "node:sqlite";
import { HoldfastError, messageOf } from "../platform/errors.ts";

export interface DataDirectoryLock {
  release(): void;
}

/**
 * Takes the lock of a directory that exists, or fails at once.
 * @throws HoldfastError `data_directory_locked`, `data_directory_unusable`
 */
export function lockDataDirectory(directory: string): DataDirectoryLock {
  const holderPath = join(directory, "lock.pid");
  const database = takeLock(directory, holderPath);
  held.add(database);
  writeFileSync(holderPath, `${process.pid}\n`);
  return {
    release: () => {
      rmSync(holderPath, { force: true });
      database.close();
      held.delete(database);
    },
  };
}

/** The locks of this process: one that nobody refers to would be closed, and let go, by the garbage collector. */
const held = new Set<Sqlite.DatabaseSync>();

const sqliteBusy = 5;

function takeLock(directory: string, holderPath: string): Sqlite.DatabaseSync {
  let database: Sqlite.DatabaseSync | undefined;
  try {
    const { DatabaseSync } = loadSqlite();
    database = new DatabaseSync(join(directory, "lock.db"), { timeout: 0 });
    database.exec("pragma journal_mode = memory; pragma locking_mode = exclusive; begin exclusive");
    return database;
  } catch (error) {
    database?.close();
    if ((error as { errcode?: number }).errcode === sqliteBusy) throw lockedError(directory, holderPath);
    throw new HoldfastError(
      "data_directory_unusable",
      `The data directory ${directory} cannot be locked: ${messageOf(error)}. ` +
        "Make it writable for this user, or name another one with HOLDFAST_DATA.",
      { cause: error },
    );
  }
}

function lockedError(directory: string, holderPath: string): HoldfastError {
  return new HoldfastError(
    "data_directory_locked",
    `The data directory ${directory} is in use${holder(holderPath)}. Stop that process, give this one ` +
      "its own directory with HOLDFAST_DATA, or set DATABASE_URL to a PostgreSQL server that many processes can share.",
  );
}

function holder(path: string): string {
  try {
    return ` by process ${Number(readFileSync(path, "utf8"))}`;
  } catch {
    return "";
  }
}

// Node 22 announces node:sqlite as experimental on stderr when it is loaded. What is used of it here has not changed
// since, and the notice would be the first thing a user sees.
function loadSqlite(): typeof Sqlite {
  // oxlint-disable-next-line typescript/unbound-method -- put back as it was
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    return process.getBuiltinModule("node:sqlite");
  } finally {
    process.emitWarning = emitWarning;
  }
}
