/**
 * An evaluation: every case on every target, so many at a time, and what came of it side by side.
 *
 * The targets take turns case by case. They are so measured under the same conditions: a provider that is slow for a minute
 * is slow for all of them.
 */
import type { Charge } from "../agent/charges.ts";
import type { AgentDefinition } from "../agent/definition.ts";
import { sumKnown } from "../gateway/cost.ts";
import { InvalidInputError } from "../platform/errors.ts";
import { runCase, type CaseRunDeps } from "./case-run.ts";
import type { EvaluationCase } from "./cases.ts";
import { chargedGateway } from "./charged-gateway.ts";
import { judgeAnswer } from "./judge.ts";
import { resultOf, scoreOf, withVerdict, type CaseResult, type TargetScore } from "./scores.ts";
import type { Target } from "./targets.ts";

export interface EvaluationOptions {
  readonly agent: AgentDefinition;
  readonly cases: readonly EvaluationCase[];
  readonly targets: readonly Target[];
  /** The model that judges, `provider/model`; null: there is none, and no case may want one. */
  readonly judge: string | null;
  /** Runs of cases at the same time. */
  readonly concurrency: number;
  readonly signal: AbortSignal;
  /** A run of a case on a target is over. */
  readonly onResult?: (target: Target, result: CaseResult) => void;
  /** A call to a model is over, the agent's or the judge's: what it used and cost, whatever came of it. */
  readonly onCharges?: (charges: readonly Charge[]) => void;
}

export interface Evaluation {
  readonly agent: string;
  readonly judge: string | null;
  /** Of the judge's calls, in micro-dollars; null: the price is unknown. */
  readonly judgeCostMicros: number | null;
  /** In the order of the targets. */
  readonly scores: readonly TargetScore[];
}

/** @throws InvalidInputError `judge_missing`, `unknown_tool`; the signal's reason */
export async function evaluate(given: CaseRunDeps, options: EvaluationOptions): Promise<Evaluation> {
  const { agent, cases, targets, judge, onCharges = () => {} } = options;
  checkCases(given, options);
  const deps = { ...given, gateway: chargedGateway({ ...given, onCharges }) };
  const runs = cases.flatMap((it) => targets.map((target) => ({ it, target })));
  const results = await inParallel(runs, options.concurrency, async ({ it, target }) => {
    const result = await runAndJudge(deps, it, { ...options, target });
    options.onResult?.(target, result);
    return result;
  });
  const verdicts = results.flatMap(({ verdict }) => verdict ?? []);
  return {
    agent: agent.name,
    judge: verdicts.length === 0 ? null : judge,
    judgeCostMicros: sumKnown(verdicts.map(({ costMicros }) => costMicros)),
    scores: targets.map((target, at) =>
      scoreOf(
        target,
        results.filter((_result, index) => index % targets.length === at),
      ),
    ),
  };
}

/** What would else come to light only in the middle. */
function checkCases({ tools }: CaseRunDeps, { agent, cases, judge }: EvaluationOptions): void {
  const known = new Set(tools.specs(agent.tools).map(({ name }) => name));
  for (const { id, judge: judged, outcomes, calls } of cases) {
    if (judged !== null && judge === null) {
      const message = `The case "${id}" has criteria for a judge: name the model that judges.`;
      throw new InvalidInputError("judge_missing", message);
    }
    const named = [...outcomes, ...(calls?.calls ?? [])].find(({ tool }) => !known.has(tool));
    if (named === undefined) continue;
    const message = `The case "${id}" names the tool ${named.tool}. The agent's tools are: ${[...known].join(", ") || "none"}.`;
    throw new InvalidInputError("unknown_tool", message);
  }
}

async function runAndJudge(
  deps: CaseRunDeps,
  it: EvaluationCase,
  { agent, target, judge, signal }: EvaluationOptions & { readonly target: Target },
): Promise<CaseResult> {
  const run = await runCase(deps, it, { agent, route: target.route, signal });
  const result = resultOf(it, run);
  // Where the task failed there is nothing to judge.
  if (it.judge === null || judge === null || run.error !== null) return result;
  const verdict = await judgeAnswer(
    { gateway: deps.gateway, model: judge },
    { ...it, judge: it.judge },
    { answer: run.output, calls: result.calls, signal },
  );
  return withVerdict(result, verdict, it.judge.atLeast);
}

/** So many at a time, the results in the order of the items. When one throws, none is begun any more. */
async function inParallel<Item, Result>(
  items: readonly Item[],
  most: number,
  run: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < items.length) {
      const index = next++;
      try {
        results[index] = await run(items[index] as Item);
      } catch (error) {
        next = items.length;
        throw error;
      }
    }
  };
  const workers = await Promise.allSettled(Array.from({ length: Math.min(most, items.length) }, work));
  for (const worker of workers) if (worker.status === "rejected") throw worker.reason;
  return results;
}
