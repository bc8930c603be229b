/** `holdfast eval` as CI uses it: a process of its own, real provider packages, and providers that follow a script. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { lockDataDirectory } from "../../src/store/data-directory-lock.ts";
import { createLedger } from "../../src/store/ledger.ts";
import { openPglite } from "../../src/store/pglite.ts";
import { startMockProvider, type MockProvider, type MockStep } from "../../src/testing/mock-provider.ts";
import { makeProject, runCommand, startCommand, type Ended } from "../support/command.ts";
import { until } from "../support/running-holdfast.ts";

const config = `
import { writeFileSync } from "node:fs";
import { defineAgent, defineConfig, defineTool } from "holdfast";
import { z } from "zod";

const refund = defineTool({
  name: "refund",
  version: "1.0.0",
  description: "Refund an order.",
  effect: "once",
  input: z.object({ orderId: z.string() }),
  approval: true,
  run: () => writeFileSync("refunded", "really"),
});

export default defineConfig({
  agents: [
    defineAgent({
      name: "support",
      instructions: "Help with orders.",
      model: ["openai/gpt-5-mini", "anthropic/claude-sonnet-4-6"],
      tools: ["refund"],
    }),
  ],
  tools: [refund],
});
`;

const cases = [
  { id: "sum", prompt: "2 + 2?", expect: { exact: "4" } },
  {
    id: "refund",
    prompt: "Refund A-1.",
    expect: { contains: "R-7" },
    calls: [{ tool: "refund", input: { orderId: "A-1" } }],
    calls_match: "exact",
    outcomes: [{ tool: "refund", output: { refundId: "R-7" } }],
  },
  { id: "tone", prompt: "Hello!", judge: ["It greets back.", "It is short."] },
];

const project = makeProject({
  "holdfast.config.ts": config,
  "cases.jsonl": cases.map((each) => JSON.stringify(each)).join("\n"),
  "broken.jsonl": '{"prompt": "Hi"}\n',
});
after(() => rmSync(project, { recursive: true }));

const usage = { input: 1_000, output: 100 };
const verdicts = [
  { number: 1, reason: "It says hello.", met: true },
  { number: 2, reason: "It goes on and on.", met: false },
];

/** OpenAI's model knows its sums; Anthropic's greets and refunds, but cannot count. */
function answer(request: MockProvider["requests"][number]): MockStep {
  const { model, messages, format } = request;
  const said = JSON.stringify(messages);
  if (model === "gpt-5") return { text: JSON.stringify({ verdicts }), usage };
  if (said.includes("2 + 2")) return { text: format === "anthropic" ? "5" : "4", usage };
  if (said.includes("Hello!")) return { text: "Hello to you, too.", usage };
  if (said.includes("R-7")) return { text: "Done: R-7.", usage };
  return { calls: [{ name: "refund", input: { orderId: "A-1" } }], usage };
}

const evaluate = (script: (request: MockProvider["requests"][number]) => MockStep, ...args: string[]): Promise<Ended> =>
  evaluateIn({}, script, ...args);

async function evaluateIn(
  more: Readonly<Record<string, string>>,
  script: (request: MockProvider["requests"][number]) => MockStep,
  ...args: string[]
): Promise<Ended> {
  await using provider = await startMockProvider({ script });
  const base = `${provider.url}/v1`;
  const env = {
    OPENAI_API_KEY: "test",
    OPENAI_BASE_URL: base,
    ANTHROPIC_API_KEY: "test",
    ANTHROPIC_BASE_URL: base,
    ...more,
  };
  const ended = await runCommand(["eval", ...args], { cwd: project, env });
  assert.ok(!existsSync(join(project, "refunded")), "a tool with an effect has run");
  return ended;
}

interface Case {
  readonly models: readonly string[];
  readonly calls: unknown;
  readonly refused: unknown;
}

interface Report {
  readonly passed: boolean;
  readonly judge_cost_usd: number;
  readonly targets: readonly {
    readonly name: string;
    readonly passed: number;
    readonly pass_share: number;
    readonly cost_usd: number;
    readonly cases: readonly Case[];
  }[];
}

describe("An evaluation on the command line", () => {
  test("prints the route and each candidate side by side, and what failed and why", async () => {
    const { stdout, stderr, exitCode } = await evaluate(answer, "cases.jsonl", "--judge", "openai/gpt-5");
    assert.equal(exitCode, 1, stderr);
    assert.match(stdout, /^TARGET +PASSED +SHARE +JUDGE +TOKENS +COST +P50 +P95 +TTFT P50 +TTFT P95\n/);
    assert.match(stdout, /\nroute +2\/3 +66.6 % +0\.50 +4,400 +\$0\.0018 /);
    assert.match(stdout, /\nopenai\/gpt-5-mini +2\/3 +66.6 % /);
    assert.match(stdout, /\nanthropic\/claude-sonnet-4-6 +1\/3 +33.3 % +0\.50 +4,400 +\$0\.0180 /);
    assert.match(
      stdout,
      /claude-sonnet-4-6 failed 2 cases:\n {2}✗ sum\n {6}answer: Expected: it is "4"\.\n {6}it said: 5\n/,
    );
    assert.match(stdout, /✗ tone\n {6}judge: "It is short\." is not met: It goes on and on\./);
    assert.match(stderr, /failed: route passed 66.6 % of its cases, less than 100 %/);
  });

  test("is a gate for CI, with JSON for what comes after it", async () => {
    const args = ["cases.jsonl", "--judge", "openai/gpt-5", "--at-least", "60%", "--json"];
    const { stdout, stderr, exitCode } = await evaluate(answer, ...args);
    assert.equal(exitCode, 0, stderr);
    const report = JSON.parse(stdout) as Report;
    assert.equal(report.passed, true);
    // Three judged answers; gpt-5 costs $1.25 and $10 a million tokens.
    assert.equal(Math.round(report.judge_cost_usd * 1e6), 3 * (1_250 + 1_000));
    assert.deepEqual(
      report.targets.map(({ name, passed, pass_share }) => [name, passed, pass_share]),
      [
        ["route", 2, 2 / 3],
        ["openai/gpt-5-mini", 2, 2 / 3],
        ["anthropic/claude-sonnet-4-6", 1, 1 / 3],
      ],
    );
    const refund = report.targets[0]?.cases[1];
    assert.deepEqual([refund?.calls, refund?.refused], [[{ tool: "refund", input: { orderId: "A-1" } }], []]);
  });

  test("on a route that falls over says who answered, and pays for it", async () => {
    const { stdout, exitCode } = await evaluate(
      (request) => (request.format === "anthropic" ? answer(request) : { fault: "status", status: 401 }),
      "cases.jsonl",
      "--judge",
      "anthropic/claude-haiku-4-5",
      "--at-least",
      "0",
      "--json",
    );
    assert.equal(exitCode, 0);
    const { targets } = JSON.parse(stdout) as Report;
    const models = targets[0]?.cases.map((each) => each.models);
    assert.deepEqual(models, Array(3).fill(["anthropic/claude-sonnet-4-6"]));
    assert.equal(targets[1]?.passed, 0);
  });

  test("ends with Ctrl-C: the calls under way are ended, and no other case begins", async () => {
    await using provider = await startMockProvider({ script: () => ({ fault: "hang" }) });
    const env = { OPENAI_API_KEY: "test", OPENAI_BASE_URL: `${provider.url}/v1` };
    const args = [
      "eval",
      "cases.jsonl",
      "--route",
      "openai/gpt-5-mini",
      "--judge",
      "openai/gpt-5",
      "--concurrency",
      "1",
    ];
    const running = startCommand(args, { cwd: project, env });
    await until(() => provider.requests.length === 1);
    running.signal("SIGINT");
    const { exitCode, stdout, stderr } = await running.ended;
    assert.deepEqual([exitCode, stdout, provider.requests.length], [130, "", 1], stderr);
    assert.match(stderr, /Stopping; once more to leave at once/);
    assert.match(stderr, /The evaluation cost .* in 1 model call; the ledger has it\./);
  });

  test("says what is wrong before any model is called", async () => {
    const never = (): never => assert.fail("a model was called");
    const wrong: [args: string[], exitCode: number, message: RegExp][] = [
      [["broken.jsonl"], 1, /Line 1: expects nothing.*invalid_cases/],
      [["nowhere.jsonl"], 1, /cases_not_found/],
      [["cases.jsonl"], 1, /names? the model that judges.*judge_missing/],
      [["cases.jsonl", "--agent", "nobody"], 1, /no agent "nobody".*support.*unknown_agent/],
      [["cases.jsonl", "--at-least", "150%"], 2, /a share like/],
      [["cases.jsonl", "--route", "gpt-5"], 2, /provider\/model/],
    ];
    const ended = await Promise.all(wrong.map(([args]) => evaluate(never, ...args)));
    for (const [index, [, exitCode, message]] of wrong.entries()) {
      assert.match(ended[index]?.stderr ?? "", message);
      assert.equal(ended[index]?.exitCode, exitCode);
    }
  });
});

describe("What an evaluation cost", () => {
  const args = ["cases.jsonl", "--judge", "openai/gpt-5", "--at-least", "0", "--json"];

  test("is in the ledger, call by call, and told apart from what tasks cost", async () => {
    const dataDir = join(project, "paid");
    const { stdout, stderr } = await evaluateIn({ HOLDFAST_DATA: dataDir }, answer, ...args);
    const { targets, judge_cost_usd } = JSON.parse(stdout) as Report;
    const total = targets.reduce((sum, { cost_usd }) => sum + cost_usd, judge_cost_usd);
    // Each target is asked once for two of the cases and twice for the third, and judged once.
    assert.match(stderr, /The evaluation cost \$0\.0284 in 15 model calls; the ledger has it\.\n$/);
    await using database = await openLedger(dataDir);
    const sums = await database.usage({ tenant: "default", by: ["purpose", "agent", "model"], limit: 10 });
    assert.deepEqual(
      sums.map(({ purpose, agent, model, calls }) => [purpose, agent, model, calls]),
      [
        ["evaluation", "support", "anthropic/claude-sonnet-4-6", 4],
        ["evaluation", "support", "openai/gpt-5", 3],
        ["evaluation", "support", "openai/gpt-5-mini", 8],
      ],
    );
    assert.equal(
      sums.reduce((sum, { costMicros }) => sum + (costMicros ?? 0), 0),
      Math.round(total * 1e6),
    );
  });

  test("is said where another process has the database, and the evaluation does not fail", async () => {
    const dataDir = join(project, "taken");
    mkdirSync(dataDir);
    const lock = lockDataDirectory(dataDir);
    try {
      const { stdout, stderr, exitCode } = await evaluateIn({ HOLDFAST_DATA: dataDir }, answer, ...args);
      assert.equal(exitCode, 0, stderr);
      assert.equal((JSON.parse(stdout) as Report).targets.length, 3);
      assert.match(
        stderr,
        /cost \$0\.0284 .*; this is not in the ledger: another process has the database .*; with PostgreSQL/,
      );
    } finally {
      lock.release();
    }
  });
});

async function openLedger(dataDir: string) {
  const database = await openPglite({ dataDir });
  return { ...createLedger(database), [Symbol.asyncDispose]: () => database.close() };
}

test("a drill on cases compares the fallback with what comes first, and the fallback decides", async () => {
  await using provider = await startMockProvider({ script: answer });
  const base = `${provider.url}/v1`;
  const env = { OPENAI_API_KEY: "k", OPENAI_BASE_URL: base, ANTHROPIC_API_KEY: "k", ANTHROPIC_BASE_URL: base };
  const drill = (...args: string[]): Promise<Ended> =>
    runCommand(["drill", "cases.jsonl", "--judge", "openai/gpt-5", ...args], { cwd: project, env });
  const [ended, alone] = await Promise.all([drill("--at-least", "60%"), drill("--route", "openai/gpt-5-mini")]);
  assert.equal(ended.exitCode, 1, ended.stderr);
  assert.match(ended.stdout, /\nfallback +1\/3 +33.3 % [^]*\nprimary +2\/3 +66.6 % /);
  assert.match(ended.stdout, /fallback \(anthropic\/claude-sonnet-4-6\) failed 2 cases:/);
  assert.match(ended.stderr, /failed: fallback passed 33.3 %/);
  assert.equal(alone.exitCode, 1);
  assert.match(alone.stderr, /no_fallback/);
});
