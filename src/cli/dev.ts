/** `holdfast dev`: everything in one process, with a person in front of it. */
import type { Command } from "commander";
import type { HoldfastConfig } from "../config.ts";
import type { Settings } from "../platform/settings.ts";
import { verb, type Context } from "./context.ts";
import { allRoles, describeDatabase, hostSettings, parsePort, routeOf, type HostFlags } from "./host-settings.ts";
import { untilOrphaned, untilSignalled } from "./signals.ts";
import type { Terminal } from "./terminal.ts";

export function devCommand(context: Context): Command {
  return verb("dev", {
    summary: "run your agents on this machine",
    description:
      "Runs everything in one process: the agents and tools of holdfast.config.ts, the HTTP API and the database, which " +
      "is embedded unless DATABASE_URL names a PostgreSQL server. Tasks that a killed process left go on when it starts.",
    examples: [
      ["dev", "the holdfast.config.ts of this folder, on port 4100"],
      ["dev --config agents/support.ts --port 0", "another config, on any free port"],
      ["dev --data /tmp/scratch", "with a database of its own"],
    ],
  })
    .option("-c, --config <file>", "the config (default: ./holdfast.config.ts)")
    .option("-p, --port <number>", "the port; 0 takes any that is free (default: PORT or 4100)", parsePort)
    .option("--host <address>", "the address to listen on (default: HOST or 127.0.0.1)")
    .option("-d, --data <folder>", "where the embedded database lives (default: HOLDFAST_DATA or .holdfast)")
    .action((flags: DevFlags) => dev(context, flags));
}

interface DevFlags extends HostFlags {
  readonly config?: string;
}

async function dev({ terminal, environment, clock, version, command }: Context, flags: DevFlags): Promise<void> {
  const settings = hostSettings(environment, flags, "text");
  const [{ startHost, problemOf }, { loadConfig }] = await Promise.all([
    import("./host.ts"),
    import("./load-config.ts"),
  ]);
  const config = await loadConfig(flags.config);
  const host = await startHost(config, {
    settings,
    roles: allRoles,
    onProgress: (message) => terminal.note(terminal.paintNote("dim", `${message} …`)),
  });
  const stopping = untilStopped({ clock, environment });
  showBanner(terminal, {
    url: host.url ?? "",
    config,
    settings,
    version,
    command,
    problems: modelsOf(config, settings).flatMap((model) => problemOf(model, settings) ?? []),
  });
  await stopping;
  terminal.note(
    terminal.paintNote("dim", "Stopping; once more to stop at once. Open tasks go on with the next start."),
  );
  await host.stop();
}

async function untilStopped({ clock, environment }: Pick<Context, "clock" | "environment">): Promise<void> {
  const stopped = new AbortController();
  const byNpm = environment["npm_lifecycle_event"] !== undefined;
  await Promise.race([untilSignalled(clock), ...(byNpm ? [untilOrphaned(clock, stopped.signal)] : [])]);
  stopped.abort();
}

interface Banner {
  readonly url: string;
  readonly config: HoldfastConfig;
  readonly settings: Settings;
  readonly version: string;
  readonly command: string;
  /** Why models cannot be called. */
  readonly problems: readonly string[];
}

function showBanner(terminal: Terminal, banner: Banner): void {
  const { url, config, settings, version, command } = banner;
  const { paint } = terminal;
  const lines: [label: string, ...texts: string[]][] = [
    ...config.agents.map((agent, index): [string, string] => {
      const tools = agent.tools.length === 1 ? "1 tool" : `${agent.tools.length} tools`;
      return [
        index === 0 ? "agents" : "",
        `${paint("bold", agent.name)}, ${tools}, ${routeOf(agent, settings).join(" → ")}`,
      ];
    }),
    ...modelLines(banner).map((text, index): [string, string] => [index === 0 ? "model" : "", text]),
    ["database", describeDatabase(settings)],
  ];
  terminal.print(`\n  ${paint(["bold", "green"], "Holdfast")} ${version}   ${paint("bold", url)}\n`);
  for (const [label, text] of lines) terminal.print(`  ${paint("dim", label.padEnd(10))}${text}`);
  const body = JSON.stringify({
    ...(config.agents.length > 1 && { agent: config.agents[0]?.name }),
    prompt: "Hello, what can you do?",
  });
  terminal.print(`\n  ${paint("dim", "Talk to it from another terminal, with either of:")}\n`);
  const agent = config.agents.length > 1 ? ` --agent ${config.agents[0]?.name}` : "";
  terminal.print(`    ${command} run "Hello, what can you do?"${agent}${isUsual(url) ? "" : ` --url ${url}`}`);
  terminal.print(`    curl -s ${url}/run -H 'content-type: application/json' -d '${body}'\n`);
}

/** What is to be said about the models: that the stand-in is one, and which of them cannot be called. */
function modelLines({ config, settings, problems }: Banner): readonly string[] {
  if (!modelsOf(config, settings).some((model) => model.startsWith("rules/"))) return problems;
  return [
    ...problems,
    "rules/default is a small set of rules in this process, not a language model.",
    "For a real one set, for example, HOLDFAST_MODEL=openai/gpt-5 and OPENAI_API_KEY.",
  ];
}

function modelsOf({ agents }: HoldfastConfig, settings: Settings): string[] {
  return [...new Set(agents.flatMap((agent) => routeOf(agent, settings)))];
}

function isUsual(url: string): boolean {
  return url === "http://127.0.0.1:4100";
}
