/** A process of a bench: told what to do by its arguments, then by lines; it answers with lines of JSON. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { atExit } from "../../test/support/at-exit.ts";

export interface BenchProcess extends AsyncDisposable {
  readonly pid: number;
  /** The next line it prints, parsed. @throws Error with what it complained of, if it ends before */
  readonly nextLine: () => Promise<unknown>;
  readonly send: (line: string) => void;
  /** Closes its input and waits. @throws Error if it did not end well */
  readonly ended: () => Promise<void>;
}

/** In production as they would be, and telling nobody that they run. */
const quiet = {
  NODE_ENV: "production",
  DO_NOT_TRACK: "1",
  LANGSMITH_TRACING: "false",
  MASTRA_TELEMETRY_DISABLED: "1",
};

/** Runs a file with values as its arguments, each as JSON; it is killed when it takes longer than that. */
export function startProcess(
  file: string,
  { values, patienceMs }: { readonly values: readonly unknown[]; readonly patienceMs: number },
): BenchProcess {
  const child = spawn(process.execPath, [...process.execArgv, file, ...values.map((value) => JSON.stringify(value))], {
    env: { ...process.env, ...quiet },
    stdio: ["pipe", "pipe", "pipe"],
    timeout: patienceMs,
    killSignal: "SIGKILL",
  });
  let complaints = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (complaints = (complaints + text).slice(-4_000)));
  // A process that has ended cannot be written to; that it has is told by the line that does not come.
  child.stdin.on("error", () => {});
  const settled = atExit(() => child.kill("SIGKILL"));
  const exit = once(child, "close").finally(settled);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const failure = (): Error => new Error(`${describeEnd(child)}: ${essence(complaints)}`);
  return {
    pid: child.pid ?? 0,
    nextLine: async () => {
      // Some engines greet the user; what is meant for us begins with a brace.
      for (;;) {
        const { value, done } = await lines.next();
        if (done) {
          await exit;
          throw failure();
        }
        if (value.startsWith("{")) return JSON.parse(value);
      }
    },
    send: (line) => void child.stdin.write(`${line}\n`),
    ended: async () => {
      child.stdin.end();
      await exit;
      if (child.exitCode !== 0) throw failure();
    },
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
      await exit;
    },
  };
}

function describeEnd({ exitCode, signalCode }: ChildProcess): string {
  return signalCode === "SIGKILL"
    ? "it took too long and was ended"
    : `it ended with ${signalCode ?? `code ${exitCode}`}`;
}

/** What a reader needs of what a process printed when it failed: the line that names the error, or else the last one. */
function essence(text: string): string {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  const line =
    lines.findLast((candidate) => /Error(?: \[\w+\])?: /.test(candidate)) ?? lines.at(-1) ?? "it said nothing";
  return line.trim().slice(0, 300);
}
