/** What `eval` and `drill FILE` share: cases from a file are run here, and scores are printed side by side. */
import { readFile } from "node:fs/promises";
import { InvalidArgumentError, type Command } from "commander";
import type { Charge } from "../agent/charges.ts";
import { defineRoute, modelPattern, type ModelRoute } from "../agent/route.ts";
import type { HoldfastConfig } from "../config.ts";
import type { Evaluator } from "../evaluator.ts";
import type { Evaluation, EvaluationOptions } from "../evaluation/evaluate.ts";
import type { CaseResult, TargetScore } from "../evaluation/scores.ts";
import type { Target } from "../evaluation/targets.ts";
import { HoldfastError, messageOf } from "../platform/errors.ts";
import type { Settings } from "../platform/settings.ts";
import type { UsageRow } from "../store/queries/usage.ts";
import { exitCodes, type Context } from "./context.ts";
import { linesOf, noteBill, writeBill, type Written } from "./evaluation-bill.ts";
import { usageError } from "./failure.ts";
import { hostSettings, withDefault } from "./host-settings.ts";
import { count, measured, money, percent } from "./quantities.ts";
import { inTwoStages } from "./signals.ts";
import { renderTable, type Column } from "./table.ts";
import { parseCount } from "./tasks.ts";
import { oneLine, type Terminal } from "./terminal.ts";

export interface EvaluationFlags {
  readonly agent?: string;
  readonly route?: ModelRoute;
  readonly judge?: string;
  readonly atLeast: number;
  readonly concurrency: number;
  readonly config?: string;
  readonly json?: true;
}

/** The options of a verb that evaluates. */
export function withEvaluation(command: Command): Command {
  return command
    .option("-a, --agent <name>", "the agent (default: the only one of the config)")
    .option("--route <models>", "the route instead of the agent's; a comma separates candidates", parseRoute)
    .option("--judge <model>", "the model that judges by the cases' criteria, provider/model", parseModel)
    .option("--at-least <share>", "fail below this share of passed cases, like 0.9 or 90%", parseShare, 1)
    .option("--concurrency <number>", "runs of cases at the same time", parseCount, 4)
    .option("-c, --config <file>", "the config (default: ./holdfast.config.ts)")
    .option("--json", "print JSON");
}

/** Evaluates the cases of a file. The first target decides about the exit code. */
export async function evaluateFile(
  context: Context,
  file: string,
  { flags, targetsOf }: { flags: EvaluationFlags; targetsOf: (route: ModelRoute) => Target[] },
): Promise<void> {
  const { environment, terminal } = context;
  const text = await readCases(file);
  const settings = hostSettings(withDefault(environment, "HOLDFAST_LOG_LEVEL", "warn"), {}, "text");
  const [{ createEvaluator }, { loadConfig }, { parseCases }] = await Promise.all([
    import("../evaluator.ts"),
    import("./load-config.ts"),
    import("../evaluation/cases.ts"),
  ]);
  const cases = parseCases(text);
  const config = await loadConfig(flags.config);
  const evaluator = createEvaluator(config, { settings });
  try {
    const agent = evaluator.agent(flags.agent ?? onlyAgent(config));
    const targets = targetsOf(flags.route ?? evaluator.routeOf(agent));
    terminal.note(terminal.paintNote("dim", `${count(cases.length, "case")} on ${count(targets.length, "target")} …`));
    const { judge = null, concurrency } = flags;
    const options = { agent, cases, targets, judge, concurrency };
    await evaluatePaid(context, { evaluator, settings, options, flags });
  } finally {
    await evaluator.close();
  }
}

/** Whatever comes of it, what it cost is written down and said. */
async function evaluatePaid(
  context: Context,
  {
    evaluator,
    settings,
    options,
    flags,
  }: {
    readonly evaluator: Evaluator;
    readonly settings: Settings;
    readonly options: Omit<EvaluationOptions, "signal">;
    readonly flags: EvaluationFlags;
  },
): Promise<void> {
  const lines: UsageRow[] = [];
  let written: Written = { missing: [], problem: "" };
  const onCharges = (charges: readonly Charge[]): void => void lines.push(...linesOf(charges, options.agent.name));
  try {
    const evaluation = await untilInterrupted(context, async (signal) => {
      try {
        return await evaluator.evaluate({ ...options, signal, onCharges });
      } finally {
        // Here, where Ctrl-C that comes twice does not end the process yet.
        written = await writeBill(context, settings, lines);
      }
    });
    if (evaluation !== null) report(context, evaluation, flags);
  } finally {
    noteBill(context, lines, written);
  }
}

/** Ctrl-C ends it: what was begun is aborted, and nothing more is paid for. @returns null if it was */
async function untilInterrupted<T>(context: Context, work: (signal: AbortSignal) => Promise<T>): Promise<T | null> {
  const { terminal, clock } = context;
  const stop = new AbortController();
  const interrupt = inTwoStages(clock, {
    first: () => {
      context.exitCode = exitCodes.interrupted;
      terminal.note(terminal.paintNote("dim", "\nStopping; once more to leave at once."));
      stop.abort();
    },
    again: () => process.exit(exitCodes.interrupted),
  });
  process.on("SIGINT", interrupt);
  try {
    return await work(stop.signal);
  } catch (error) {
    if (stop.signal.aborted) return null;
    throw error;
  } finally {
    process.off("SIGINT", interrupt);
  }
}

async function readCases(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    throw new HoldfastError("cases_not_found", `${file} cannot be read: ${messageOf(error)}.`, { cause: error });
  }
}

function onlyAgent({ agents }: HoldfastConfig): string {
  const [first] = agents;
  if (agents.length === 1 && first !== undefined) return first.name;
  throw usageError(`Name the agent with --agent: ${agents.map(({ name }) => name).join(", ")}.`);
}

function report(context: Context, evaluation: Evaluation, { atLeast, json }: EvaluationFlags): void {
  const { terminal } = context;
  const [first] = evaluation.scores;
  const enough = first === undefined || first.passed / first.total >= atLeast;
  if (!enough) context.exitCode = exitCodes.failed;
  if (json) return terminal.json(toWire(evaluation, { atLeast, enough }));
  for (const line of renderTable(evaluation.scores, scoreColumns, terminal)) terminal.print(line);
  for (const score of evaluation.scores) for (const line of failureLines(score, terminal)) terminal.print(line);
  if (evaluation.judge !== null) {
    terminal.note(
      terminal.paintNote("dim", `Judged by ${evaluation.judge}, ${money(usd(evaluation.judgeCostMicros))}.`),
    );
  }
  if (first === undefined || enough) return;
  const verdict = `${first.name} passed ${percent(first.passed / first.total)} of its cases, less than ${percent(atLeast)}.`;
  terminal.note(`${terminal.paintNote(["red", "bold"], "failed:")} ${verdict}`);
}

const scoreColumns: Column<TargetScore>[] = [
  { title: "TARGET", value: ({ name }) => name, shrinks: true },
  { title: "PASSED", value: (score) => `${score.passed}/${score.total}`, align: "right" },
  {
    title: "SHARE",
    value: ({ passed, total }) => percent(passed / total),
    align: "right",
    format: ({ passed, total }) => (passed === total ? "green" : "yellow"),
  },
  { title: "JUDGE", value: ({ judgeScore }) => (judgeScore === null ? "-" : judgeScore.toFixed(2)), align: "right" },
  { title: "TOKENS", value: ({ tokens }) => (tokens.input + tokens.output).toLocaleString("en-US"), align: "right" },
  { title: "COST", value: ({ costMicros }) => (costMicros === null ? "?" : money(usd(costMicros))), align: "right" },
  { title: "P50", value: ({ latencyMs }) => measured(latencyMs.p50), align: "right" },
  { title: "P95", value: ({ latencyMs }) => measured(latencyMs.p95), align: "right" },
  { title: "TTFT P50", value: ({ ttftMs }) => measured(ttftMs.p50), align: "right", spare: true },
  { title: "TTFT P95", value: ({ ttftMs }) => measured(ttftMs.p95), align: "right", spare: true },
];

function failureLines({ name, models, cases }: TargetScore, { paint }: Terminal): string[] {
  const failed = cases.filter(({ passed }) => !passed);
  if (failed.length === 0) return [];
  const who = models.length === 1 && models[0] === name ? name : `${name} (${models.join(" → ")})`;
  return [
    "",
    `${paint("bold", who)} failed ${count(failed.length, "case")}:`,
    ...failed.flatMap((each) => caseLines(each, paint)),
  ];
}

function caseLines({ id, checks, output, refused }: CaseResult, paint: Terminal["paint"]): string[] {
  const reasons = checks.filter(({ passed }) => !passed).map(({ what, reason }) => `${what}: ${oneLine(reason)}`);
  const notRecorded = refused.length === 0 ? [] : [`refused, as no outcome is recorded: ${refused.join(", ")}`];
  return [
    `  ${paint("red", "✗")} ${oneLine(id)}`,
    ...[...reasons, ...notRecorded].map((reason) => `      ${reason}`),
    ...(output === "" ? [] : [paint("dim", `      it said: ${shorten(oneLine(output))}`)]),
  ];
}

const mostShown = 200;

function shorten(text: string): string {
  return text.length <= mostShown ? text : `${text.slice(0, mostShown)}…`;
}

function toWire(
  { agent, judge, judgeCostMicros, scores }: Evaluation,
  { atLeast, enough }: { atLeast: number; enough: boolean },
): unknown {
  return {
    agent,
    passed: enough,
    at_least: atLeast,
    judge,
    judge_cost_usd: usd(judgeCostMicros),
    targets: scores.map((score) => ({
      name: score.name,
      models: score.models,
      passed: score.passed,
      total: score.total,
      pass_share: score.passed / score.total,
      judge_score: score.judgeScore,
      tokens: score.tokens,
      cost_usd: usd(score.costMicros),
      latency_ms: score.latencyMs,
      ttft_ms: score.ttftMs,
      cases: score.cases.map(({ costMicros, ttftMs, verdict, ms: took, ...rest }) => ({
        ...rest,
        verdict:
          verdict === null ? null : { score: verdict.score, criteria: verdict.criteria, problem: verdict.problem },
        cost_usd: usd(costMicros),
        duration_ms: took,
        ttft_ms: ttftMs,
      })),
    })),
  };
}

function usd(micros: number | null): number | null {
  return micros === null ? null : micros / 1e6;
}

/** "0.9", or "90%". */
export function parseShare(text: string): number {
  const [, number, sign] = /^(\d+(?:\.\d+)?)(%?)$/.exec(text) ?? [];
  const value = number === undefined ? Number.NaN : Number(number) / (sign === "%" ? 100 : 1);
  if (value >= 0 && value <= 1) return value;
  throw new InvalidArgumentError("It must be a share like 0.9 or 90%.");
}

function parseRoute(text: string): ModelRoute {
  return defineRoute(text.split(",").map((name) => parseModel(name.trim())));
}

function parseModel(text: string): string {
  if (modelPattern.test(text)) return text;
  throw new InvalidArgumentError('A model is named "provider/model".');
}
