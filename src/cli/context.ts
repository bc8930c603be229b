/** What every verb is given. */
import { Command } from "commander";
import type { Clock } from "../platform/clock.ts";
import type { Environment } from "../platform/settings.ts";
import type { Terminal } from "./terminal.ts";

export interface Context {
  readonly terminal: Terminal;
  readonly environment: Environment;
  readonly clock: Clock;
  readonly version: string;
  /** What a person types here to start the command, for hints. */
  readonly command: string;
  /** What the process ends with; 0 unless a verb says otherwise. */
  exitCode: number;
}

export const exitCodes = { failed: 1, usage: 2, needsAnswer: 3, interrupted: 130 } as const;

export interface VerbText {
  readonly summary: string;
  readonly description: string;
  /** Without the leading "holdfast", each with what it does. */
  readonly examples: readonly (readonly [command: string, does: string])[];
}

/** A verb with its help. */
export function verb(name: string, { summary, description, examples }: VerbText): Command {
  const widest = Math.max(...examples.map(([command]) => command.length));
  const lines = examples.map(([command, does]) => `  holdfast ${command.padEnd(widest)}   ${does}`.trimEnd());
  return new Command(name)
    .summary(summary)
    .description(description)
    .addHelpText("after", `\nExamples:\n${lines.join("\n")}`);
}

/** How the command is started here: it may be installed, in a project, or run from a clone of the sources. */
export function commandName({ npm_package_name: project, npm_execpath: npm }: Environment): string {
  if (project === "holdfast") return "npm run holdfast --";
  return npm === undefined ? "holdfast" : "npx holdfast";
}
