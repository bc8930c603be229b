/** The command as a person and as a script use it, each time a process of its own. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { AgentResult, Approval, Entry, Page, TaskSummary, UsageSum } from "../../src/client/wire.ts";
import { freePort } from "../support/free-port.ts";
import { repositoryRoot } from "../support/source-files.ts";
import {
  cleanEnvironment,
  linkPackages,
  makeProject,
  runCommand,
  startCommand,
  type Ended,
  type Running,
} from "../support/command.ts";

/** `broken` has a model that cannot be called; a refund of $19 is booked, and then never answers. */
const config = `
import { appendFileSync } from "node:fs";
import { defineAgent, defineConfig, defineTool } from "holdfast";
import { z } from "zod";

const orderId = z.string().regex(/^A-\\d{4}$/);

const findOrder = defineTool({
  name: "find_order",
  version: "1.0.0",
  description: "Find an order by its id: its item and its status.",
  effect: "read",
  input: z.object({ orderId }),
  run: ({ orderId }) => ({ orderId, item: "Walnut desk lamp", status: "delivered" }),
});

const refund = defineTool({
  name: "refund",
  version: "1.0.0",
  description: "Refund an order, or a part of its price.",
  effect: "once",
  input: z.object({ orderId, amountUsd: z.number().positive() }),
  approval: ({ amountUsd }) => amountUsd > 50,
  run: ({ orderId, amountUsd }) => {
    appendFileSync("refunds.txt", \`\${orderId} \${amountUsd}\\n\`);
    if (amountUsd !== 19) return { refundId: "R-1" };
    console.log("booked, and never heard of again");
    return new Promise(() => {});
  },
});

export default defineConfig({
  agents: [
    defineAgent({ name: "support", instructions: "Help with orders.", tools: ["find_order", "refund"] }),
    defineAgent({ name: "broken", instructions: "Help.", model: "openai/gpt-5" }),
  ],
  tools: [findOrder, refund],
});
`;

const project = makeProject({ "holdfast.config.ts": config });
let server: Running;
let url = "";

async function startServer(): Promise<void> {
  server = startCommand(["dev", "--port", "0"], { cwd: project });
  [, url = ""] = await server.printed(/(http:\/\/127\.0\.0\.1:\d+)\n/);
}

/** A verb that talks to the running server. */
function holdfast(...args: string[]): Promise<Ended> {
  return runCommand(args, { cwd: project, env: { HOLDFAST_URL: url } });
}

async function json<Answer>(...args: string[]): Promise<Answer> {
  const { stdout, stderr, exitCode } = await holdfast(...args, "--json");
  assert.ok(exitCode === 0 || exitCode === 3, stderr);
  return JSON.parse(stdout) as Answer;
}

function refunds(): string[] {
  const path = join(project, "refunds.txt");
  return existsSync(path) ? readFileSync(path, "utf8").trim().split("\n") : [];
}

async function approvalOf(taskId: string): Promise<Approval> {
  const { items } = await json<Page<Approval>>("approvals", "--task", taskId);
  assert.equal(items.length, 1);
  return items[0] as Approval;
}

before(startServer);
after(async () => {
  server.signal("SIGKILL");
  await server.ended;
  rmSync(project, { recursive: true });
});

describe("A server in front of a person", () => {
  test("says where it is, what runs, on which model and database, and how to talk to it", async () => {
    const [banner] = await server.printed(/Holdfast[\s\S]*curl .*\n/);
    assert.match(banner, new RegExp(`${url}/run`));
    assert.match(banner, /support, 2 tools, rules\/default/);
    assert.match(banner, /OPENAI_API_KEY/);
    assert.match(banner, /not a language model/);
    assert.match(banner, /embedded, in \.holdfast/);
  });

  test("a prompt is answered on stdout, and how it went is told on stderr", async () => {
    const { stdout, stderr, exitCode } = await holdfast("run", "Where is order A-1001?", "--agent", "support");
    assert.equal(exitCode, 0, stderr);
    assert.match(stdout, /delivered/);
    assert.doesNotMatch(stdout, /find_order\(|tokens/);
    assert.match(stderr, /→ find_order\(orderId: "A-1001"\)\n✓ find_order, .*Walnut/);
    assert.match(stderr, /completed · 2 steps · \d+ tokens · \$0 · .* · task [\da-f-]{36}\n$/);
  });

  test("a program pipes a prompt in and reads the result alone", async () => {
    const options = { cwd: project, env: { HOLDFAST_URL: url }, input: "Where is order A-1001?\n" };
    const { stdout, stderr } = await runCommand(["run", "--json", "--agent", "support"], options);
    const result = JSON.parse(stdout) as AgentResult;
    assert.deepEqual(
      { status: result.status, steps: result.steps_used, calls: result.tool_calls },
      { status: "completed", steps: 2, calls: 1 },
    );
    assert.equal(stderr, "");
  });

  test("what calls to models used is shown as a table, as JSON and for a spreadsheet", async () => {
    const flags = ["--by", "model,agent", "--from", "1h"];
    const { items } = await json<Page<UsageSum>>("usage", ...flags);
    assert.deepEqual([items[0]?.model, items[0]?.agent, items[0]?.cost_usd], ["rules/default", "support", 0]);
    assert.match(
      (await holdfast("usage", ...flags)).stdout,
      /^MODEL +AGENT +CALLS[^\n]* COST\nrules\/default +support .*\$0\n$/,
    );
    assert.match(
      (await holdfast("usage", ...flags, "--csv")).stdout,
      /^model,agent,calls,.*\r\nrules\/default,support,/,
    );
    assert.match((await holdfast("usage", "--to", "2020-01-01")).stderr, /No model was called/);
  });

  test("tasks are listed in a table and as JSON, and each tells its story", async () => {
    const { items } = await json<Page<TaskSummary>>("tasks", "--agent", "support", "--status", "completed");
    const id = items.at(-1)?.task_id ?? "";
    const table = (await holdfast("tasks")).stdout;
    assert.match(table, /^TASK +STATUS +AGENT/);
    assert.ok(table.includes(id));
    const { stdout } = await holdfast("task", id);
    assert.match(
      stdout,
      /asked [\s\S]*Where is order A-1001\?[\s\S]*→ find_order[\s\S]*✓ find_order[\s\S]*completed\n$/,
    );
    const entries = await json<Entry[]>("task", id);
    assert.deepEqual(
      entries.map(({ kind }) => kind),
      ["model", "tool", "model", "end"],
    );
    const followed = await holdfast("task", id, "--follow", "--json");
    assert.deepEqual(
      followed.stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as Entry),
      entries,
    );
  });

  test("a dead letter is listed with its reason, replayed and discarded", async () => {
    const failed = await holdfast("run", "Hello", "--agent", "broken");
    assert.equal(failed.exitCode, 1);
    assert.match(failed.stderr, /failed \(model_auth\)/);
    const { items } = await json<Page<TaskSummary>>("dead-letters");
    const id = items[0]?.task_id ?? "";
    assert.match((await holdfast("dead-letters")).stdout, /broken .*model_auth .*OPENAI_API_KEY/);
    assert.match(
      (await holdfast("dead-letters", id, "replay", "--prompt", "Hi")).stdout,
      /goes on with the new prompt/,
    );
    assert.match((await holdfast("task", id, "--follow")).stdout, /set going again by .*, with another prompt\n +Hi\n/);
    assert.equal((await holdfast("dead-letters", id, "discard")).exitCode, 0);
    assert.deepEqual((await json<Page<TaskSummary>>("dead-letters")).items, []);
    const again = await holdfast("dead-letters", id, "discard");
    assert.equal(again.exitCode, 1);
    assert.match(again.stderr, /^error: .*\(not_a_dead_letter\)\n$/);
  });

  test("a second process on the same data is told who has it, and what to do", async () => {
    const { exitCode, stderr } = await runCommand(["dev", "--port", "0"], { cwd: project });
    assert.equal(exitCode, 1);
    assert.match(
      stderr,
      /^error: The data directory .*\.holdfast is in use by process \d+\..*\(data_directory_locked\)\n$/,
    );
  });

  test("a port in use is said, with another way", async () => {
    const port = new URL(url).port;
    const { exitCode, stderr } = await runCommand(["dev", "--port", port, "--data", "memory"], { cwd: project });
    assert.equal(exitCode, 1);
    assert.match(stderr, new RegExp(`error: Port ${port} on 127.0.0.1 is in use\\. .*--port.*\\(port_in_use\\)\\n$`));
  });
});

describe("A refund that a human must agree to", () => {
  test("waits through kill -9, and happens exactly once when it is approved", async () => {
    const asked = await holdfast("run", "Refund $80 for order A-1001", "--agent", "support");
    assert.equal(asked.exitCode, 3, asked.stderr);
    const [, id = ""] = /holdfast approvals ([\da-f-]{36}) approve\|deny\|edit/.exec(asked.stderr) ?? [];
    server.signal("SIGKILL");
    await server.ended;
    await startServer();

    assert.match(
      (await holdfast("approvals")).stdout,
      /tool +support .*May refund\(orderId: "A-1001", amountUsd: 80\) run\?/,
    );
    assert.deepEqual(refunds(), []);
    const answered = await holdfast("approvals", id, "approve");
    assert.equal(answered.exitCode, 0, answered.stderr);
    const { task_id: taskId } = await json<Approval>("approvals", id);
    const story = (await holdfast("task", taskId, "--follow")).stdout;
    assert.match(
      story,
      /asks a human: May refund[\s\S]*answered by .*: approved[\s\S]*begins refund[\s\S]*✓ refund[\s\S]*completed\n$/,
    );
    assert.deepEqual(refunds(), ["A-1001 80"]);
    const twice = await holdfast("approvals", id, "deny");
    assert.equal(twice.exitCode, 1);
    assert.match(twice.stderr, /approval_answered/);
  });

  test("runs with the arguments that a human puts in place of the agent's", async () => {
    const { task_id: taskId } = await json<AgentResult>("run", "Refund $90 for order A-1002", "--agent", "support");
    const { id } = await approvalOf(taskId);
    const wrong = await holdfast("approvals", id, "edit", "--input", '{"orderId": "A-1002", "amountUsd": -1}');
    assert.match(wrong.stderr, /amountUsd[\s\S]*\(invalid_arguments at \/input\)/);
    await holdfast("approvals", id, "edit", "--input", '{"orderId": "A-1002", "amountUsd": 30}');
    await holdfast("task", taskId, "--follow");
    assert.deepEqual(refunds().slice(1), ["A-1002 30"]);
  });

  test("cut off by kill -9 while it happens, it is asked about and never repeated", async () => {
    const cut = startCommand(["run", "Refund $19 for order A-1003", "--agent", "support"], {
      cwd: project,
      env: { HOLDFAST_URL: url },
    });
    await server.printed(/booked, and never heard of again/);
    server.signal("SIGKILL");
    await server.ended;
    cut.signal("SIGKILL");
    await cut.ended;
    await startServer();

    const [task] = (await json<Page<TaskSummary>>("tasks", "--limit", "1")).items;
    const taskId = task?.task_id ?? "";
    const waiting = startCommand(["task", taskId, "--follow"], { cwd: project, env: { HOLDFAST_URL: url } });
    await waiting.printed(/asks a human: Did refund\(orderId: "A-1003", amountUsd: 19\) happen\?/);
    const { id, kind } = await approvalOf(taskId);
    assert.equal(kind, "uncertain");
    const answered = await holdfast("approvals", id, "succeeded", "--output", '{"refundId": "R-7"}');
    assert.equal(answered.exitCode, 0, answered.stderr);
    assert.match((await waiting.ended).stdout, /answered by .*: it happened: \{"refundId":"R-7"\}[\s\S]*completed\n$/);
    assert.deepEqual(
      refunds().filter((line) => line.startsWith("A-1003")),
      ["A-1003 19"],
    );
  });

  test("is cancelled while it waits", async () => {
    const { task_id: taskId } = await json<AgentResult>("run", "Refund $70 for order A-1004", "--agent", "support");
    assert.match((await holdfast("task", taskId, "--cancel")).stdout, /is cancelled\.\n$/);
    assert.match((await holdfast("task", taskId)).stdout, /cancelled: Cancelled by .*\n$/);
    assert.equal((await holdfast("task", taskId, "--cancel")).exitCode, 1);
  });
});

describe("The end of a server", () => {
  test("SIGTERM stops it with exit code 0, and a script hears that there is none", async () => {
    server.signal("SIGTERM");
    const { exitCode, stderr } = await server.ended;
    assert.equal(exitCode, 0, stderr);
    assert.match(stderr, /Stopping/);
    const { exitCode: noServer, stderr: said } = await holdfast("tasks");
    assert.equal(noServer, 1);
    assert.match(said, new RegExp(`^error: There is no server at ${url}\\. Start one with \`holdfast dev\`.*\\n$`));
  });

  test("without a server, run hosts the config for as long as it takes, and shows the database's past", async () => {
    const env = { PORT: String(await freePort()) };
    const { stdout, stderr, exitCode } = await runCommand(["run", "Where is order A-1001?", "-a", "support"], {
      cwd: project,
      env,
    });
    assert.equal(exitCode, 0, stderr);
    assert.match(stdout, /delivered/);
  });

  test("serve logs JSON lines, hosts what it is told to, and stops cleanly", async () => {
    const production = startCommand(["serve", "--port", "0", "--agents", "support"], { cwd: project });
    await production.printed(/"msg":"Ready"/);
    production.signal("SIGTERM");
    const { exitCode, stdout, stderr } = await production.ended;
    assert.equal(exitCode, 0, stderr);
    const lines = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { msg: string; agents?: string[] });
    assert.deepEqual(lines.find(({ msg }) => msg === "Ready")?.agents, ["support"]);
    assert.equal(lines.at(-1)?.msg, "Stopped");
  });
});

describe("A command that makes no sense", () => {
  const refused: [args: string[], exitCode: number, said: RegExp][] = [
    [["tsks"], 2, /unknown command 'tsks'\n.*Did you mean tasks\?/],
    [["tasks", "--status", "done"], 2, /It is one of: pending/],
    [["tasks", "--url", "ftp://x"], 1, /is no URL of a server.*\(invalid_url\)/],
    [["task", "abc"], 2, /An id looks like/],
    [["approvals", "0192f1c4-7d3a-7b5e-9c1d-2e8f4a6b0c1d", "maybe"], 2, /approve, deny, edit/],
    [["approvals", "0192f1c4-7d3a-7b5e-9c1d-2e8f4a6b0c1d", "edit"], 2, /edit needs the new arguments/],
    [["dead-letters", "0192f1c4-7d3a-7b5e-9c1d-2e8f4a6b0c1d"], 2, /replay or discard/],
    [["usage", "--by", "colour"], 2, /agent, session, user, model, day, key/],
    [["usage", "--from", "yesterday"], 2, /2026-11-01/],
    [["prune", "--older-than", "7"], 2, /like 7d, 12h or 90m/],
    [["run"], 2, /There is no prompt/],
    [["dev", "--port", "http"], 2, /0 to 65535/],
    [["dev", "--config", "absent.ts"], 1, /There is no file .*absent\.ts.*\(config_not_found\)/],
    [["serve", "--roles", "api,broker"], 2, /roles api, worker, gateway, and not broker/],
    [["serve", "--roles", "gateway"], 2, /share no embedded database/],
    [["serve", "--roles", "worker"], 2, /share no embedded database/],
    [["serve", "--agents", "sales"], 2, /names sales, but the config defines only: support, broken/],
  ];
  for (const [args, exitCode, said] of refused) {
    test(`holdfast ${args.join(" ")} ends with ${exitCode} and says why`, async () => {
      const ended = await runCommand(args, { cwd: project });
      assert.equal(ended.exitCode, exitCode, ended.stderr);
      assert.match(ended.stderr, said);
      assert.doesNotMatch(ended.stderr, /\n\s+at /);
    });
  }

  test("every verb has help with examples", async () => {
    const { stdout: help } = await runCommand(["--help"], { cwd: project });
    const verbs = [...help.matchAll(/^ {2}(?!help)([a-z-]+) \[/gm)].map(([, verb]) => verb!);
    assert.ok(verbs.length > 10, help);
    for (const verb of verbs) {
      const { stdout, exitCode } = await runCommand([verb, "--help"], { cwd: project });
      assert.equal(exitCode, 0);
      assert.match(stdout, new RegExp(`Usage: holdfast ${verb}[\\s\\S]*Examples:\\n  holdfast ${verb}`));
    }
  });
});

describe("A new project", () => {
  const parent = makeProject();
  const folder = join(parent, "my-agent");
  after(() => rmSync(parent, { recursive: true }));

  test("is written into an empty folder, and into no other", async () => {
    const { stdout, exitCode } = await runCommand(["init", "my-agent"], { cwd: parent });
    assert.equal(exitCode, 0);
    assert.match(stdout, /cd my-agent\n +npm install\n +npm start/);
    for (const file of [
      "package.json",
      "holdfast.config.ts",
      "holdfast.test.ts",
      "README.md",
      ".gitignore",
      "tsconfig.json",
    ]) {
      assert.doesNotMatch(readFileSync(join(folder, file), "utf8"), /\{\{/, file);
    }
    const again = await runCommand(["init", "my-agent"], { cwd: parent });
    assert.equal(again.exitCode, 1);
    assert.match(again.stderr, /is not empty .*\(folder_not_empty\)/);
  });

  test("passes its own test, has no type error, and answers", async () => {
    linkPackages(folder);
    const options = { cwd: folder, env: cleanEnvironment(), stdio: "pipe" } as const;
    execFileSync(process.execPath, [...process.execArgv, "--test"], options);
    const compiler = join(repositoryRoot, "node_modules/typescript/bin/tsc");
    execFileSync(process.execPath, [compiler, "--customConditions", "holdfast-source"], options);
    const env = { PORT: String(await freePort()), HOLDFAST_DATA: "memory" };
    const { stdout, stderr } = await runCommand(["run", "Where is order A-1002?"], { cwd: folder, env });
    assert.match(stdout, /shipped/, stderr);
  });
});
