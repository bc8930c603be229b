import { execFileSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { chown } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";

/** Where the programs of a PostgreSQL server are: the newest under /usr/lib/postgresql, or those of `pg_config`. */
export function postgresBinaries(): string | undefined {
  const root = "/usr/lib/postgresql";
  const versions = existsSync(root) ? readdirSync(root).toSorted((a, b) => Number(b) - Number(a)) : [];
  const places = [...versions.map((version) => join(root, version, "bin")), bindirOfConfig()];
  return places.find((place) => existsSync(join(place, "initdb")) && existsSync(join(place, "postgres")));
}

/**
 * As whom its server is to run in a directory, which is made that user's: PostgreSQL refuses to run as root, and then it is
 * the user that its packages make.
 */
export async function postgresAccount(directory: string): Promise<{ uid?: number; gid?: number }> {
  if (userInfo().uid !== 0) return {};
  const id = (flag: string): number => Number(execFileSync("id", [flag, "postgres"], { encoding: "utf8" }));
  const account = { uid: id("-u"), gid: id("-g") };
  await chown(directory, account.uid, account.gid);
  return account;
}

function bindirOfConfig(): string {
  try {
    return execFileSync("pg_config", ["--bindir"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  } catch {
    return "";
  }
}
