/**
 * A reader of the documentation in front of a terminal: `npm start` starts the example, and what else stands in a block of
 * shell runs in bash as it stands. Only addresses and folders are others than those written, so that nobody is disturbed,
 * and `npm run holdfast --` starts the command without npm in between.
 */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createClient } from "../../src/client/index.ts";
import { openPglite } from "../../src/store/pglite.ts";
import { cleanEnvironment, startCommand, type Running } from "./command.ts";
import { migratedSnapshot } from "./databases.ts";
import { repositoryRoot } from "./source-files.ts";

export interface ExampleShell {
  /** Runs a block of shell. Rejects, with all it printed, if a command of it fails. @returns what it printed */
  run(code: string): Promise<string>;
  url(): string;
  close(): Promise<void>;
}

/** @param folder an empty folder, for the data and whatever the commands write */
export async function openExampleShell(folder: string): Promise<ExampleShell> {
  const data = join(folder, "data");
  // What the first start would do, without the seconds it takes.
  await (await openPglite({ dataDir: data, snapshot: await migratedSnapshot() })).close();
  let server: { running: Running; url: string } | undefined;

  const start = async (): Promise<void> => {
    await server?.running.ended;
    const running = startCommand(startArguments(), {
      cwd: repositoryRoot,
      env: { PORT: "0", HOLDFAST_DATA: data },
    });
    const [, url = ""] = await running.printed(/(http:\/\/127\.0\.0\.1:\d+)\n/);
    server = { running, url };
  };
  const url = (): string => {
    if (server === undefined) throw new Error("The example is not started.");
    return server.url;
  };

  return {
    url,
    async run(code) {
      let printed = "";
      for (const part of partsOf(code)) {
        if (part === "npm start") await start();
        else {
          if (server === undefined) await start();
          printed += await runInBash(replaced(part, { url: url(), data, folder }), {
            ...(await idsOf(url())),
            HOLDFAST_URL: url(),
          });
        }
      }
      return printed;
    },
    async close() {
      server?.running.signal("SIGKILL");
      await server?.running.ended;
    },
  };
}

/** What `npm start` runs, without Node's own flags: those are this process's, too. */
function startArguments(): string[] {
  const { scripts } = JSON.parse(readFileSync(join(repositoryRoot, "package.json"), "utf8")) as {
    scripts: { start: string };
  };
  const words = scripts.start.split(" ");
  return words.slice(words.indexOf("src/cli/main.ts") + 1);
}

/** `npm start` by itself, and what stands between. Dependencies are installed already. */
function partsOf(code: string): string[] {
  const lines = code.split("\n").filter((line) => line.trim() !== "npm install");
  return lines
    .join("\n")
    .split(/^(npm start)$/m)
    .map((part) => part.trim())
    .filter((part) => part !== "");
}

function replaced(script: string, { url, data, folder }: { url: string; data: string; folder: string }): string {
  return script
    .replaceAll(/(?:http:\/\/)?(?:localhost|127\.0\.0\.1):4100/g, url)
    .replaceAll(".holdfast/", `${data}/`)
    .replaceAll(" ../", ` ${folder}/`);
}

/** The ids that a reader would copy from what was listed, as soon as nothing is on its way any more. */
async function idsOf(url: string): Promise<Record<string, string>> {
  const client = createClient({ baseUrl: url });
  const isQuiet = async (): Promise<boolean> => {
    const [pending, running] = await Promise.all([
      client.tasks({ status: "pending" }),
      client.tasks({ status: "running" }),
    ]);
    return pending.items.length === 0 && running.items.length === 0;
  };
  while (!(await isQuiet()));
  const [approvals, tasks, deadLetters] = await Promise.all([
    client.approvals(),
    client.tasks({ status: "completed" }),
    client.deadLetters(),
  ]);
  return {
    ID: approvals.items[0]?.id ?? "no-approval",
    TASK_ID: tasks.items[0]?.task_id ?? "no-task",
    DEAD_LETTER: deadLetters.items[0]?.task_id ?? "no-dead-letter",
  };
}

// `run` ends with 3 where nobody can be asked, as here.
const prelude = `
npm() { while [ "$1" != -- ]; do shift; done; shift; "\${HOLDFAST[@]}" "$@" || [ $? = 3 ]; }
curl() { command curl --fail-with-body --max-time 20 "$@"; }
HOLDFAST=(${[process.execPath, ...process.execArgv, join(repositoryRoot, "src/cli/main.ts")].map((word) => `'${word}'`).join(" ")})
`;

function runInBash(script: string, env: Record<string, string>): Promise<string> {
  const options = { cwd: repositoryRoot, env: { ...cleanEnvironment(), ...env }, timeout: 60_000 };
  return new Promise((resolve, reject) => {
    const child = execFile("bash", ["-euo", "pipefail", "-c", prelude + script], options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`${script}\nfailed:\n${stdout}${stderr}`, { cause: error }));
    });
    child.stdin?.end();
  });
}
