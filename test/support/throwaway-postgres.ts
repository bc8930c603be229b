/**
 * A PostgreSQL server of one's own in a temporary folder, to kill and restart at will. It is made with the binaries found on
 * this machine: those of `pg_config`, or the newest under /usr/lib/postgresql.
 */
import { execFile, execFileSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { chown, mkdtemp, rm } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

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
  const binaries = findBinaries();
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

function findBinaries(): string | undefined {
  const root = "/usr/lib/postgresql";
  const versions = existsSync(root) ? readdirSync(root).toSorted((a, b) => Number(b) - Number(a)) : [];
  const places = [...versions.map((version) => join(root, version, "bin")), bindirOfConfig()];
  return places.find((place) => existsSync(join(place, "initdb")) && existsSync(join(place, "postgres")));
}

function bindirOfConfig(): string {
  try {
    return execFileSync("pg_config", ["--bindir"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  } catch {
    return "";
  }
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
