/** The settings of a process that hosts: the environment, with what the command line says on top. */
import { InvalidArgumentError } from "commander";
import type { AgentDefinition } from "../agent/definition.ts";
import { modelsOf } from "../agent/route.ts";
import type { Role } from "../holdfast.ts";
import { readSettings, type Environment, type Settings } from "../platform/settings.ts";
import { usageError } from "./failure.ts";

/** What a process does unless it is told to do less. */
export const allRoles: readonly Role[] = ["api", "worker", "gateway"];

export interface HostFlags {
  readonly port?: number;
  readonly host?: string;
  readonly data?: string;
}

/** @param logFormat where HOLDFAST_LOG_FORMAT does not name one */
export function hostSettings(environment: Environment, flags: HostFlags, logFormat: Settings["logFormat"]): Settings {
  const settings = readSettings(withDefault(environment, "HOLDFAST_LOG_FORMAT", logFormat));
  if (flags.data !== undefined && settings.databaseUrl !== null) {
    throw usageError(
      "--data names a folder for the embedded database, but DATABASE_URL names a server. Take one of them.",
    );
  }
  return {
    ...settings,
    port: flags.port ?? settings.port,
    host: flags.host ?? settings.host,
    dataDir: flags.data ?? settings.dataDir,
  };
}

/** The environment with a value for a variable that it does not set, neither itself nor by a file. */
export function withDefault(environment: Environment, name: string, value: string): Environment {
  const isSet = [name, `${name}_FILE`].some((each) => (environment[each] ?? "") !== "");
  return isSet ? environment : { ...environment, [name]: value };
}

export function parsePort(text: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port <= 65_535) return port;
  throw new InvalidArgumentError("It must be a number from 0 to 65535; 0 takes any that is free.");
}

/** Without the password. */
export function describeDatabase({ databaseUrl, dataDir }: Settings): string {
  if (databaseUrl === null)
    return dataDir === "memory" ? "embedded, in memory: gone when this ends" : `embedded, in ${dataDir}`;
  const { host, pathname, searchParams } = new URL(databaseUrl);
  const where = decodeURIComponent(host) || searchParams.get("host") || "the local socket";
  return `PostgreSQL at ${where}${decodeURIComponent(pathname)}`;
}

/** The route an agent's calls take. */
export function routeOf({ model }: AgentDefinition, { defaultRoute }: Settings): readonly string[] {
  if (model.candidates.length > 0) return modelsOf(model);
  return defaultRoute.length > 0 ? defaultRoute : ["rules/default"];
}
