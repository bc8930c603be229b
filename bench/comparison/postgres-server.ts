/**
 * A PostgreSQL server for one run: nobody else is on it, so its counters, its write-ahead log and its processor time are
 * those of the engine that is measured. Its settings are PostgreSQL's defaults (fsync and synchronous_commit on), with
 * pg_stat_statements loaded where it is installed.
 *
 * With `url` it is a server that is there already. Then what others do on it is counted as well.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm, statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Client } from "pg";
import { freePort } from "../../test/support/free-port.ts";
import { postgresAccount, postgresBinaries } from "../../test/support/postgres-binaries.ts";
import { atExit, removeWhileEnding } from "../../test/support/at-exit.ts";
import { parentOf } from "./cpu.ts";

export interface MeasuredDatabase {
  readonly name: string;
  readonly url: string;
  readonly drop: () => Promise<void>;
}

export interface PostgresServer {
  /** A client that is on the server's first database: for counters, and to make the others. */
  readonly admin: Client;
  readonly version: string;
  /** The postmaster, where it runs on this machine. */
  readonly pid: number | null;
  /** Whether statements are counted one by one. */
  readonly countsStatements: boolean;
  /** What a reader of the figures has to know of it. */
  readonly caveats: readonly string[];
  readonly createDatabase: () => Promise<MeasuredDatabase>;
  readonly stop: () => Promise<void>;
}

const tmpfsMagic = 0x01_02_19_94;
const startTimeoutMs = 30_000;

export async function usePostgres(given: string | undefined): Promise<PostgresServer> {
  if (given !== undefined) {
    const caveat = "PostgreSQL is a server that was there: what else ran on it is in its CPU and its write-ahead log.";
    return connectTo(given, { caveats: [caveat], stop: async () => {} });
  }
  const bin = postgresBinaries();
  if (bin === undefined)
    throw new Error("PostgreSQL's server is not installed here; --database-url names one that runs.");
  const directory = await mkdtemp(join(tmpdir(), "holdfast-bench-postgres-"));
  let server: ChildProcess | undefined;
  const settled = atExit(() => {
    // An immediate shutdown: its backends end with it.
    server?.kill("SIGQUIT");
    removeWhileEnding(directory);
  });
  const stop = async (): Promise<void> => {
    if (server?.exitCode === null && server.signalCode === null) {
      server.kill("SIGINT");
      await once(server, "exit");
    }
    await rm(directory, { recursive: true, force: true });
    settled();
  };
  try {
    const { type } = await statfs(directory);
    const caveats = type === tmpfsMagic ? [`${directory} is in memory: nothing here waited for a disk.`] : [];
    const port = await freePort();
    server = await startServer({ bin, directory, port });
    return await connectTo(`postgres://postgres@127.0.0.1:${port}/postgres`, { caveats, stop });
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startServer(plan: { bin: string; directory: string; port: number }): Promise<ChildProcess> {
  const { bin, directory, port } = plan;
  const options = { ...(await postgresAccount(directory)), cwd: directory };
  const data = join(directory, "data");
  const initdb = ["-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale"];
  await promisify(execFile)(join(bin, "initdb"), initdb, options);
  const address = { port, listen_addresses: "127.0.0.1", unix_socket_directories: directory };
  const settings = Object.entries({ ...address, ...statementsModule(bin) });
  const flags = settings.flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  return spawn(join(bin, "postgres"), ["-D", data, ...flags], { ...options, stdio: "ignore" });
}

async function connectTo(
  url: string,
  { caveats, stop }: { caveats: readonly string[]; stop: () => Promise<void> },
): Promise<PostgresServer> {
  const admin = await connectWhenReady(url);
  const ask = async <Row>(sql: string): Promise<Row | undefined> => (await admin.query(sql)).rows[0] as Row | undefined;
  const about = await ask<{ version: string; pid: number; preloaded: string | null }>(`
    select current_setting('server_version') as version, pg_backend_pid() as pid,
      (select setting from pg_settings where name = 'shared_preload_libraries') as preloaded`);
  // Who may not see the setting may not read the statements either.
  const countsStatements = about?.preloaded?.includes("pg_stat_statements") ?? false;
  if (countsStatements) await admin.query("create extension if not exists pg_stat_statements");
  let databases = 0;
  return {
    admin,
    version: about?.version ?? "",
    pid: (about && isLocal(url) ? parentOf(about.pid) : undefined) ?? null,
    countsStatements,
    caveats,
    createDatabase: async () => {
      databases += 1;
      const name = `holdfast_bench_${process.pid}_${databases}`;
      await admin.query(`create database ${name}`);
      const own = new URL(url);
      own.pathname = `/${name}`;
      return { name, url: own.href, drop: async () => void (await admin.query(`drop database ${name} with (force)`)) };
    },
    stop: async () => {
      await admin.end();
      await stop();
    },
  };
}

async function connectWhenReady(url: string): Promise<Client> {
  const giveUpAt = performance.now() + startTimeoutMs;
  for (;;) {
    const client = new Client({ connectionString: url });
    client.on("error", () => {});
    try {
      await client.connect();
      return client;
    } catch (error) {
      if (performance.now() > giveUpAt) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

function isLocal(url: string): boolean {
  return ["127.0.0.1", "localhost", "[::1]", ""].includes(new URL(url).hostname);
}

function statementsModule(bin: string): Record<string, string> {
  const libraries = [join(bin, "../lib"), join(bin, "../lib/postgresql")];
  const installed = libraries.some((path) => existsSync(join(path, "pg_stat_statements.so")));
  return installed ? { shared_preload_libraries: "pg_stat_statements", "pg_stat_statements.max": "10000" } : {};
}
