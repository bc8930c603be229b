/** `holdfast serve`: a part or all of a deployment, with a supervisor in front of it. */
import { InvalidArgumentError, type Command } from "commander";
import type { HoldfastConfig } from "../config.ts";
import type { Role } from "../holdfast.ts";
import type { Settings } from "../platform/settings.ts";
import { systemRandom } from "../platform/random.ts";
import { verb, type Context } from "./context.ts";
import { startWhenDatabaseAnswers } from "./database-wait.ts";
import { usageError } from "./failure.ts";
import { allRoles, describeDatabase, hostSettings, parsePort, type HostFlags } from "./host-settings.ts";
import { untilSignalled } from "./signals.ts";

const knownRoles: readonly string[] = allRoles;

export function serveCommand(context: Context): Command {
  return verb("serve", {
    summary: "run your agents in production",
    description:
      "Runs the agents and tools of holdfast.config.ts with logs as JSON lines. Any number of processes share one " +
      "PostgreSQL server (DATABASE_URL): each takes requests (role api), runs tasks (role worker), calls models for " +
      "programs that speak OpenAI's format (role gateway), or all of it, and what a dead one leaves the others finish. " +
      "SIGTERM lets what is in flight reach a boundary and hands the rest back.",
    examples: [
      ["serve", "takes requests and runs tasks"],
      ["serve --roles worker --agents support", "only runs tasks, and only those of one agent"],
      ["serve --roles api --port 8080", "only takes requests"],
      ["serve --roles gateway --host 0.0.0.0", "only calls models, for whoever has a key"],
    ],
  })
    .option("-c, --config <file>", "the config (default: ./holdfast.config.ts)")
    .option("-r, --roles <roles>", "what this process does: api, worker, gateway (default: all)", parseRoles, [
      ...allRoles,
    ])
    .option("-a, --agents <names>", "run tasks of these agents only (default: all)", parseList)
    .option(
      "-p, --port <number>",
      "the port; 0 takes any that is free (default: PORT or 4100; a worker alone listens only where it is told to)",
      parsePort,
    )
    .option("--host <address>", "the address to listen on (default: HOST or 127.0.0.1)")
    .option("-d, --data <folder>", "where the embedded database lives (default: HOLDFAST_DATA or .holdfast)")
    .action((flags: ServeFlags) => serve(context, flags));
}

interface ServeFlags extends HostFlags {
  readonly config?: string;
  readonly roles: readonly Role[];
  readonly agents?: readonly string[];
}

async function serve({ environment, clock, version }: Context, flags: ServeFlags): Promise<void> {
  const settings = hostSettings(environment, flags, "json");
  const { roles, agents } = flags;
  checkStandsAlone(roles, settings);
  const [{ startHost }, { loadConfig }, { createLogger }] = await Promise.all([
    import("./host.ts"),
    import("./load-config.ts"),
    import("../telemetry/log.ts"),
  ]);
  const config = await loadConfig(flags.config);
  checkAgents(agents, config);
  const { databaseWaitMs: waitMs, logLevel, logFormat } = settings;
  const waiting = { clock, random: systemRandom, log: createLogger({ level: logLevel, format: logFormat }), waitMs };
  const host = await startWhenDatabaseAnswers(waiting, () =>
    startHost(config, {
      settings,
      roles,
      showsHealth: flags.port !== undefined,
      ...(agents !== undefined && { hostedAgents: agents }),
    }),
  );
  const { log } = host.holdfast;
  const signalled = untilSignalled(clock);
  if (settings.databaseUrl === null) {
    log.warn(
      "The database is embedded: no other process can share it, and a power cut can lose data. Set DATABASE_URL.",
    );
  }
  const hosted = agents ?? config.agents.map(({ name }) => name);
  log.info({ version, url: host.url, roles, agents: hosted, database: describeDatabase(settings) }, "Ready");
  log.info({ signal: await signalled }, "Stopping");
  await host.stop();
  log.info("Stopped");
}

/** Half a service beside a database that no other process can open does nothing at all. */
function checkStandsAlone(roles: readonly Role[], { databaseUrl }: Settings): void {
  if (databaseUrl !== null || (roles.includes("api") && roles.includes("worker"))) return;
  throw usageError(
    `With --roles ${roles.join(",")} other processes do the rest, and they can share no embedded database. ` +
      "Set DATABASE_URL to a PostgreSQL server, or leave --roles out.",
  );
}

function checkAgents(names: readonly string[] = [], { agents }: HoldfastConfig): void {
  const unknown = names.filter((name) => !agents.some((agent) => agent.name === name));
  if (unknown.length === 0) return;
  const known = agents.map(({ name }) => name).join(", ");
  throw usageError(`--agents names ${unknown.join(", ")}, but the config defines only: ${known}.`);
}

function parseRoles(text: string): readonly Role[] {
  const roles = parseList(text);
  const unknown = roles.filter((role) => !knownRoles.includes(role));
  if (unknown.length > 0) {
    throw new InvalidArgumentError(
      `This version has the roles ${knownRoles.join(", ")}, and not ${unknown.join(", ")}.`,
    );
  }
  return [...new Set(roles)] as Role[];
}

function parseList(text: string): readonly string[] {
  const names = text.split(",").flatMap((name) => name.trim() || []);
  if (names.length === 0) throw new InvalidArgumentError("Name at least one; a comma separates several.");
  return names;
}
