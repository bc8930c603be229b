/** Brings the peers onto this machine: they are a package of their own, and no dependency of Holdfast's. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { peersFolder } from "./cell.ts";

/** Installs what the lock file says, unless it is there. No script of a package is run. */
export function installPeers(): void {
  const installed = join(peersFolder, "node_modules/.package-lock.json");
  if (existsSync(installed)) return;
  console.error("Installing the peers into bench/peers/node_modules …");
  // Not `npm ci`: it refuses a lock file that names the native builds of fewer platforms than a registry offers.
  const args = ["install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
  const { status, error } = spawnSync("npm", args, { cwd: peersFolder, stdio: ["ignore", "ignore", "inherit"] });
  if (status !== 0) throw new Error(`npm could not install the peers: ${error?.message ?? `it ended with ${status}`}`);
}

export async function installedVersion(name: string): Promise<string> {
  const manifest = await readFile(join(peersFolder, "node_modules", name, "package.json"), "utf8");
  return (JSON.parse(manifest) as { version: string }).version;
}

/** Absurd's schema is not in its package: it is taken from the tag of the same version of its repository, once. */
export async function absurdSchema(given: string | undefined): Promise<string> {
  if (given !== undefined) return given;
  const version = await installedVersion("absurd-sdk");
  const path = join(peersFolder, `node_modules/.cache/absurd-${version}.sql`);
  if (existsSync(path)) return path;
  const url = `https://raw.githubusercontent.com/earendil-works/absurd/${version}/sql/absurd.sql`;
  const hint = "Save it and say where with --absurd-sql.";
  const response = await fetch(url).catch((cause: unknown) => {
    throw new Error(`its schema, ${url}, cannot be reached. ${hint}`, { cause });
  });
  if (!response.ok) throw new Error(`its schema, ${url}, was answered with ${response.status}. ${hint}`);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, await response.text());
  return path;
}
