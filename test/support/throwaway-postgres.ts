/** A PostgreSQL server of one's own in a temporary folder, to kill and restart at will. */
import { execFile, execFileSync } from "node:child_process";
import { chown, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { freePort } from "./free-port.ts";
import { postgresBinaries } from "./postgres-binaries.ts";

export interface ThrowawayPostgres extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  stop(mode: ShutdownMode): Promise<void>;
  start(): Promise<void>;
}

/** fast: it says goodbye to everybody; immediate: it dies on the spot, and recovers when it starts. */
export type ShutdownMode = "fast" | "immediate";

const run = promisify(execFile);

/** Undefined: there are no binaries here. */
export async function startThrowawayPostgres(
  settings: Readonly<Record<string, string>> = {},
): Promise<ThrowawayPostgres | undefined> {
  const binaries = postgresBinaries();
  if (binaries === undefined) return undefined;
  const directory = await mkdtemp(join(tmpdir(), "holdfast-postgres-"));
  // The server refuses to run as root.
  const user = process.getuid?.() === 0 ? "postgres" : undefined;
  if (user !== undefined) {
    const idOf = (flag: string): number => Number(execFileSync("id", [flag, user], { encoding: "utf8" }));
    await chown(directory, idOf("-u"), idOf("-g"));
  }
  const command = async (name: string, ...args: string[]): Promise<void> => {
    const line = [join(binaries, name), ...args];
    const [file = "", ...rest] = user === undefined ? line : ["runuser", "-u", user, "--", ...line];
    await run(file, rest, { cwd: directory });
  };
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
  const start = () => command("pg_ctl", "-D", data, "-w", "-l", join(directory, "log"), "-o", flags.join(" "), "start");
  const stop = (mode: ShutdownMode) => command("pg_ctl", "-D", data, "-w", "-m", mode, "stop");
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
    },
  };
}
