/** The command as a whole: its verbs, and what becomes of their errors. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { systemClock } from "../platform/clock.ts";
import { processEnvironment } from "../platform/settings.ts";
import { approvalsCommand } from "./approvals.ts";
import { commandName, type Context } from "./context.ts";
import { deadLettersCommand } from "./dead-letters.ts";
import { devCommand } from "./dev.ts";
import { drillCommand } from "./drill.ts";
import { evalCommand } from "./eval.ts";
import { reportFailure } from "./failure.ts";
import { gatewayCommand } from "./gateway.ts";
import { initCommand } from "./init.ts";
import { keysCommand } from "./keys.ts";
import { pruneCommand } from "./prune.ts";
import { runCommand } from "./run.ts";
import { serveCommand } from "./serve.ts";
import { taskCommand } from "./task.ts";
import { tasksCommand } from "./tasks.ts";
import type { Terminal } from "./terminal.ts";
import { toolsCommand } from "./tools.ts";
import { usageCommand } from "./usage.ts";

/** @returns the exit code */
export async function executeCommand(args: readonly string[], terminal: Terminal): Promise<number> {
  const context: Context = {
    terminal,
    environment: processEnvironment,
    clock: systemClock,
    version: packageVersion(),
    command: commandName(processEnvironment),
    exitCode: 0,
  };
  const program = createProgram(context);
  try {
    await program.parseAsync(args, { from: "user" });
    return context.exitCode;
  } catch (error) {
    const verbose =
      program.opts<{ verbose?: true }>().verbose === true || context.environment["HOLDFAST_LOG_LEVEL"] === "debug";
    return reportFailure(error, terminal, { verbose });
  }
}

function createProgram(context: Context): Command {
  const { terminal, version } = context;
  const { paint, paintNote } = terminal;
  const program = new Command("holdfast")
    .description("Runs AI agents as production microservices: durable, governed, observable.")
    .version(version, "-V, --version", "print the version")
    .option("-v, --verbose", "show where an error came from")
    .helpCommand("help [verb]", "show the help of a verb")
    .addHelpText("after", "\nStart here:\n  holdfast init my-agent\n  holdfast run --help")
    .showHelpAfterError("See --help.");
  const verbs = [
    initCommand,
    devCommand,
    serveCommand,
    runCommand,
    tasksCommand,
    taskCommand,
    approvalsCommand,
    deadLettersCommand,
    usageCommand,
    gatewayCommand,
    evalCommand,
    drillCommand,
    keysCommand,
    toolsCommand,
    pruneCommand,
  ];
  for (const create of verbs) program.addCommand(create(context));
  for (const command of [program, ...program.commands]) {
    command
      .exitOverride()
      .helpOption("-h, --help", "show this help")
      .configureHelp({ styleTitle: (title) => paint("bold", title) })
      .configureOutput({
        outputError: (message, write) => write(message.replace(/^error:/, paintNote(["red", "bold"], "error:"))),
      });
  }
  return program;
}

/** dist/ lies as deep as src/: package.json is found from both. */
function packageVersion(): string {
  const manifest = readFileSync(join(import.meta.dirname, "../../package.json"), "utf8");
  return (JSON.parse(manifest) as { version: string }).version;
}
