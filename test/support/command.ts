/** The `holdfast` command as users run it: a process of its own, in a project of its own. */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { repositoryRoot } from "./source-files.ts";

export interface Ended {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  /** Resolves when stdout or stderr matches; rejects, with all it wrote, if it ends first. */
  printed(pattern: RegExp): Promise<RegExpExecArray>;
  signal(signal: NodeJS.Signals): void;
  readonly ended: Promise<Ended>;
}

export interface CommandOptions {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  /** What is piped in; default: nothing. */
  readonly input?: string;
}

/** A folder in which `linkPackages` has been. */
export function makeProject(files: Readonly<Record<string, string>> = {}): string {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-command-"));
  linkPackages(folder);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}

/** Makes what a project of `holdfast init` imports resolvable from a folder, and what else is named. */
export function linkPackages(folder: string, ...more: readonly string[]): void {
  mkdirSync(join(folder, "node_modules/@types"), { recursive: true });
  symlinkSync(repositoryRoot, join(folder, "node_modules/holdfast"));
  for (const name of ["zod", "@types/node", ...more]) {
    symlinkSync(join(repositoryRoot, "node_modules", name), join(folder, "node_modules", name));
  }
}

export function startCommand(args: readonly string[], { cwd, env = {}, input = "" }: CommandOptions): Running {
  const command = [...process.execArgv, join(repositoryRoot, "src/cli/main.ts"), ...args];
  const child = spawn(process.execPath, command, { cwd, env: { ...cleanEnvironment(), ...env } });
  child.stdin.end(input);
  return watchChild(child);
}

export function runCommand(args: readonly string[], options: CommandOptions): Promise<Ended> {
  return startCommand(args, options).ended;
}

/** Without what would change how the command behaves. */
export function cleanEnvironment(): Record<string, string | undefined> {
  const ours = /^(HOLDFAST_|DATABASE_URL|PORT$|HOST$|npm_|NODE_|FORCE_COLOR|OPENAI_|ANTHROPIC_|GOOGLE_)/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !ours.test(name)));
}

function watchChild(child: ChildProcess): Running {
  let stdout = "";
  let stderr = "";
  const onOutput = new Set<() => void>();
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
    for (const look of onOutput) look();
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
    for (const look of onOutput) look();
  });
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (exitCode) => resolve({ exitCode, stdout, stderr }));
  });
  return {
    ended,
    signal: (signal) => child.kill(signal),
    printed: (pattern) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const match = pattern.exec(stdout) ?? pattern.exec(stderr);
          if (match === null) return;
          onOutput.delete(look);
          resolve(match);
        };
        onOutput.add(look);
        look();
        ended.then(
          ({ exitCode }) =>
            reject(new Error(`It ended with ${exitCode} before it printed ${pattern}:\n${stdout}${stderr}`)),
          reject,
        );
      }),
  };
}
