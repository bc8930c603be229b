/** What the cases of an evaluation came to on one target, in numbers that stand side by side. */
import { chargesOf } from "../agent/charges.ts";
import type { Entry } from "../agent/journal.ts";
import { sumKnown } from "../gateway/cost.ts";
import { percentilesOf } from "../gateway/resilience/samples.ts";
import type { CaseRun } from "./case-run.ts";
import type { EvaluationCase } from "./cases.ts";
import { checkAnswer, checkCalls, type Check, type MadeCall } from "./checks.ts";
import type { Verdict } from "./judge.ts";
import type { Target } from "./targets.ts";

export interface CaseResult {
  readonly id: string;
  readonly passed: boolean;
  readonly checks: readonly Check[];
  readonly output: string;
  readonly calls: readonly MadeCall[];
  /** As of a task; null: it ended as it should. */
  readonly error: string | null;
  readonly verdict: Verdict | null;
  /** Which models answered, in the order they did. */
  readonly models: readonly string[];
  readonly tokens: { readonly input: number; readonly output: number };
  /** Micro-dollars, what failed included; null: a price is unknown. */
  readonly costMicros: number | null;
  readonly ms: number;
  /** To the first token of each model turn, in milliseconds. */
  readonly ttftMs: readonly number[];
  /** Tools of which a call was refused, since they have an effect and nothing is recorded. */
  readonly refused: readonly string[];
}

export interface TargetScore {
  readonly name: string;
  readonly models: readonly string[];
  readonly passed: number;
  readonly total: number;
  /** The mean of the verdicts; null: there were none. */
  readonly judgeScore: number | null;
  readonly tokens: { readonly input: number; readonly output: number };
  readonly costMicros: number | null;
  readonly latencyMs: Percentiles;
  readonly ttftMs: Percentiles;
  readonly cases: readonly CaseResult[];
}

/** Null: nothing was measured. */
export interface Percentiles {
  readonly p50: number | null;
  readonly p95: number | null;
}

/** What a case's run is, but for the judge, who is asked only where a model has answered. */
export function resultOf(it: EvaluationCase, run: CaseRun): CaseResult {
  const turns = run.entries.filter((entry) => entry.kind === "model");
  const calls = callsOf(run.entries);
  const checks: Check[] = [
    ...(run.error === null ? [] : [{ what: "task" as const, passed: false, reason: reasonOf(run) }]),
    ...checkAnswer(run.output, it.expect),
    ...(it.calls === null ? [] : [checkCalls(calls, it.calls)]),
  ];
  return {
    id: it.id,
    passed: checks.every(({ passed }) => passed),
    checks,
    output: run.output,
    calls,
    error: run.error,
    verdict: null,
    models: [...new Set(turns.map(({ model }) => model))],
    ...spentIn(run.entries),
    ms: run.ms,
    ttftMs: turns.map(({ ttftMs }) => ttftMs),
    refused: [...new Set(run.refused)],
  };
}

function reasonOf({ error, message }: CaseRun): string {
  return message === "" ? `It ended with ${error}.` : `It ended with ${error}: ${message}`;
}

/** Those that could be made: what the model got wrong and mended is no call. */
function callsOf(entries: readonly Entry[]): MadeCall[] {
  return entries.flatMap((entry) => {
    if (entry.kind !== "model") return [];
    const wrong = new Set(entry.calls.flatMap(({ id, problem }) => (problem === undefined ? [] : [id])));
    return entry.parts.flatMap((part) =>
      part.type === "call" && !wrong.has(part.id) ? [{ tool: part.tool, input: part.input }] : [],
    );
  });
}

/** What every call used and cost: the answers, and the attempts that were paid for all the same. */
function spentIn(entries: readonly Entry[]): Pick<CaseResult, "tokens" | "costMicros"> {
  const calls = entries.flatMap(chargesOf);
  return {
    tokens: { input: sum(calls.map(({ usage }) => usage.input)), output: sum(calls.map(({ usage }) => usage.output)) },
    costMicros: sumKnown(calls.map(({ costMicros }) => costMicros)),
  };
}

/** The result with what a judge made of it. */
export function withVerdict(result: CaseResult, verdict: Verdict, atLeast: number): CaseResult {
  const { score, problem, criteria } = verdict;
  const passed = score !== null && score >= atLeast;
  const unmet = criteria
    .filter(({ met }) => !met)
    .map(({ criterion, reason }) => `"${criterion}" is not met: ${reason}`);
  const reason = problem || unmet.join(" ") || "All criteria are met.";
  const checks: Check[] = [...result.checks, { what: "judge", passed, reason }];
  return { ...result, verdict, checks, passed: checks.every((check) => check.passed) };
}

export function scoreOf({ name, route }: Target, cases: readonly CaseResult[]): TargetScore {
  const judged = cases.flatMap(({ verdict }) => verdict?.score ?? []);
  return {
    name,
    models: [...new Set(route.candidates.map(({ model }) => model))],
    passed: cases.filter(({ passed }) => passed).length,
    total: cases.length,
    judgeScore: judged.length === 0 ? null : sum(judged) / judged.length,
    tokens: {
      input: sum(cases.map(({ tokens }) => tokens.input)),
      output: sum(cases.map(({ tokens }) => tokens.output)),
    },
    costMicros: sumKnown(cases.map(({ costMicros }) => costMicros)),
    latencyMs: spreadOf(cases.map(({ ms }) => ms)),
    ttftMs: spreadOf(cases.flatMap(({ ttftMs }) => ttftMs)),
    cases,
  };
}

function spreadOf(values: readonly number[]): Percentiles {
  const [p50 = null, p95 = null] = percentilesOf(values, [0.5, 0.95]);
  return { p50, p95 };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
