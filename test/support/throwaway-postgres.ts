/** A PostgreSQL server of one's own in a temporary folder, to kill and restart at will. */
import { execFile, spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { atExit, removeWhileEnding } from "./at-exit.ts";
import { freePort } from "./free-port.ts";
import { postgresAccount, postgresBinaries } from "./postgres-binaries.ts";

export interface ThrowawayPostgres extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  stop(mode: ShutdownMode): Promise<void>;
  start(): Promise<void>;
}

/** fast: it says goodbye to everybody; immediate: it dies on the spot, and recovers when it starts. */
type ShutdownMode = "fast" | "immediate";

const run = promisify(execFile);

/** Undefined: there are no binaries here. */
export async function startThrowawayPostgres(
  settings: Readonly<Record<string, string>> = {},
): Promise<ThrowawayPostgres | undefined> {
  const binaries = postgresBinaries();
  if (binaries === undefined) return undefined;
  const directory = await mkdtemp(join(tmpdir(), "holdfast-postgres-"));
  const account = { ...(await postgresAccount(directory)), cwd: directory };
  const command = (name: string, ...args: string[]) => run(join(binaries, name), args, account);
  const data = join(directory, "data");
  const port = await freePort();
  const options = {
    port,
    listen_addresses: "127.0.0.1",
    unix_socket_directories: directory,
    fsync: "off",
    ...settings,
  };
  const flags = Object.entries(options).map(([name, value]) => `-c ${name}=${value}`);
  const start = async () =>
    void (await command("pg_ctl", "-D", data, "-w", "-l", join(directory, "log"), "-o", flags.join(" "), "start"));
  const stopping = (mode: ShutdownMode) => ["-D", data, "-w", "-m", mode, "stop"];
  const stop = async (mode: ShutdownMode) => void (await command("pg_ctl", ...stopping(mode)));
  // It is a daemon: who breaks off a run would leave it behind.
  const settled = atExit(() => {
    spawnSync(join(binaries, "pg_ctl"), stopping("immediate"), account);
    removeWhileEnding(directory);
  });
  await command("initdb", "-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync");
  await start();
  return {
    url: `postgres://postgres@127.0.0.1:${port}/postgres`,
    port,
    stop,
    start,
    async [Symbol.asyncDispose]() {
      // It may be down already.
      await stop("immediate").catch(() => undefined);
      await rm(directory, { recursive: true, force: true });
      settled();
    },
  };
}
