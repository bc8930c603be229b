/**
 * PostgreSQL inside this process (PGlite), in memory or in a directory.
 *
 * It is one session of one database, so calls run one after another. A batch is sent as a single protocol message with
 * one Sync at its end, which PostgreSQL runs as one transaction; nothing can come between its statements.
 *
 * A directory holds `lock.db` (see data-directory-lock) and `postgres/`, the cluster. The cluster is made as
 * `postgres.new` and renamed when it is complete, so that a process killed on the way leaves nothing half-made.
 * PGlite never calls fsync: an acknowledged write survives the death of the process, not a power cut.
 */
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { messages, PGlite, protocol } from "@electric-sql/pglite";
import { assert, HoldfastError, messageOf } from "../platform/errors.ts";
import { nextTurn } from "../platform/next-turn.ts";
import { lockDataDirectory } from "./data-directory-lock.ts";
import type { Database } from "./database.ts";
import { rowDecoder, type RowDecoder } from "./decode-row.ts";
import { type EncodedStatement, encodeStatement } from "./encode-parameter.ts";
import { closedError, toStoreError } from "./store-error.ts";

export interface PgliteOptions {
  /** A directory, made if it is absent; or "memory". */
  readonly dataDir: string;
  /** Told in a sentence what takes long. */
  readonly onProgress?: (message: string) => void;
  /** What a new database begins with: a data directory as `PGlite.dumpDataDir` packs it. */
  readonly snapshot?: Blob;
}

/** @throws HoldfastError `data_directory_locked`, `data_directory_unusable` */
export async function openPglite(options: PgliteOptions): Promise<Database> {
  const loaded = options.snapshot === undefined ? {} : { loadDataDir: options.snapshot };
  if (options.dataDir === "memory") return createDatabase(await prepared(await PGlite.create(loaded)), () => {});
  const directory = resolve(options.dataDir);
  makeDirectory(directory);
  const lock = lockDataDirectory(directory);
  try {
    return createDatabase(await prepared(await openCluster(directory, options)), () => lock.release());
  } catch (error) {
    lock.release();
    throw unusable(directory, error);
  }
}

/** As on a server: no plan is made for tables as small as they begin. */
async function prepared(pglite: PGlite): Promise<PGlite> {
  await pglite.exec("set enable_seqscan = off; set jit = off;");
  return pglite;
}

async function openCluster(directory: string, { onProgress, snapshot }: PgliteOptions): Promise<PGlite> {
  const cluster = join(directory, "postgres");
  if (!existsSync(cluster)) {
    onProgress?.(`Creating the database in ${directory} (once, a few seconds)`);
    const unfinished = `${cluster}.new`;
    rmSync(unfinished, { recursive: true, force: true });
    const pglite = await PGlite.create(unfinished, snapshot === undefined ? {} : { loadDataDir: snapshot });
    await pglite.close();
    renameSync(unfinished, cluster);
  }
  return PGlite.create(cluster);
}

function makeDirectory(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw unusable(directory, error);
  }
}

function unusable(directory: string, error: unknown): HoldfastError {
  if (error instanceof HoldfastError) return error;
  return new HoldfastError(
    "data_directory_unusable",
    `The database in ${directory} cannot be opened: ${messageOf(error)}. Check that the directory is writable and was ` +
      "made by this version; to begin with an empty one, move it away or name another with HOLDFAST_DATA.",
    { cause: error },
  );
}

function createDatabase(pglite: PGlite, onClosed: () => void): Database {
  const session = createSession(pglite);
  let closing: Promise<void> | undefined;

  async function guarded<T>(run: () => Promise<T>): Promise<T> {
    if (closing !== undefined) throw closedError();
    try {
      return await run();
    } catch (error) {
      throw toStoreError(error);
    }
  }

  async function close(): Promise<void> {
    try {
      await pglite.close();
    } finally {
      onClosed();
    }
  }

  return {
    kind: "embedded",
    query: <Row>(statement: Parameters<Database["query"]>[0]) =>
      guarded(async () => (await session([encodeStatement(statement)]))[0] as Row[]),
    batch: (statements) => guarded(async () => session(statements.map(encodeStatement))),
    script: (sql) =>
      guarded(async () => {
        await pglite.exec(sql);
      }),
    listen: (channel, onPayload) => {
      assert(/^[a-z_][a-z0-9_]*$/.test(channel), `"${channel}" is not a plain lower-case name for a channel.`);
      return guarded(async () => {
        const stop = await pglite.listen(channel, onPayload);
        return () => (closing === undefined ? stop() : Promise.resolve());
      });
    },
    // Whoever has the data directory is alone: nobody is there to see it die.
    holdLock: () => ({ held: null, onChange: () => () => {}, release: () => Promise.resolve() }),
    close: () => (closing ??= close()),
  };
}

type Rows = Record<string, unknown>[];

/** Runs statements over the wire protocol: three times as fast as `PGlite.query`, which asks for the types every time. */
function createSession(pglite: PGlite): (statements: readonly EncodedStatement[]) => Promise<Rows[]> {
  // The text of each prepared statement, by name.
  const prepared = new Map<string, string>();

  return async (statements) => {
    if (statements.length === 0) return [];
    const answers = await pglite.runExclusive(async () => {
      try {
        // Its calls block, and its promises alone would keep timers and sockets waiting for as long as there is work.
        return await pglite.execProtocolStream(toMessage(statements, prepared), { syncToFs: false });
      } catch (error) {
        // Which of them are prepared now is not known; to prepare them again is always right.
        for (const { name } of statements) if (name !== undefined) prepared.delete(name);
        throw error;
      } finally {
        await nextTurn();
      }
    });
    return readRows(answers);
  };
}

function toMessage(statements: readonly EncodedStatement[], prepared: Map<string, string>): Uint8Array {
  const parts: Uint8Array[] = [];
  const { serialize } = protocol;
  for (const { name = "", text, values } of statements) {
    if (name === "" || prepared.get(name) !== text) {
      if (name !== "") {
        parts.push(serialize.close({ type: "S", name }));
        prepared.set(name, text);
      }
      parts.push(serialize.parse({ name, text }));
    }
    parts.push(serialize.bind({ statement: name, values }), serialize.describe({ type: "P" }), serialize.execute({}));
  }
  parts.push(serialize.sync());
  return Buffer.concat(parts);
}

type Answer = Awaited<ReturnType<PGlite["execProtocolStream"]>>[number];

function readRows(answers: readonly Answer[]): Rows[] {
  const results: Rows[] = [];
  let rows: Rows = [];
  let decode: RowDecoder = rowDecoder([]);
  for (const answer of answers) {
    if (answer instanceof messages.RowDescriptionMessage) decode = rowDecoder(answer.fields);
    else if (answer instanceof messages.DataRowMessage) rows.push(decode(answer.fields));
    else if (answer.name === "commandComplete" || answer.name === "emptyQuery") {
      results.push(rows);
      rows = [];
    }
  }
  return results;
}
