/** Another Node process, for tests of what happens between processes and after one is killed. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export interface Child {
  /** The next line it prints. Rejects, with what it wrote to stderr, if it ends first. */
  line(): Promise<string>;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
  /** Sends it a signal, and does not wait for what it makes of it. */
  signal(name: NodeJS.Signals): void;
  /** Resolves when it ended by itself; rejects if it failed. */
  done(): Promise<void>;
  stderr(): string;
}

/** Runs a script of test/support/children, named without its ending. */
export function startChild(script: string, ...args: string[]): Child {
  return startScript(fileURLToPath(new URL(`./children/${script}.ts`, import.meta.url)), ...args);
}

/** Runs a script, with Node's flags of this process. */
export function startScript(path: string, ...args: string[]): Child {
  return startProcess([path, ...args], process.env);
}

/** Runs Node with its flags of this process. */
export function startProcess(line: readonly string[], env: NodeJS.ProcessEnv): Child {
  const child = spawn(process.execPath, [...process.execArgv, ...line], { env, stdio: ["ignore", "pipe", "pipe"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  let errors = "";
  child.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()));
  const exited = new Promise<number | null>((resolve) => child.on("close", resolve));
  return {
    line: async () => {
      const { value, done } = await lines.next();
      if (done) throw new Error(`The process ended without a line. ${errors}`);
      return value as string;
    },
    kill: async () => {
      child.kill("SIGKILL");
      await exited;
    },
    signal: (name) => void child.kill(name),
    done: async () => {
      const code = await exited;
      if (code !== 0) throw new Error(`The process ended with ${code}. ${errors}`);
    },
    stderr: () => errors,
  };
}
