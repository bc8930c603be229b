/**
 * One case on one route: the same loop as in production, with its journal in memory. Nothing is stored and nobody is waited
 * for: calls that need an approval get it, since what has an effect does not run (recorded-tools.ts).
 */
import type { AgentDefinition } from "../agent/definition.ts";
import type { AnswerEntry, Entry, EntryBody, QuestionEntry } from "../agent/journal.ts";
import type { ModelRoute } from "../agent/route.ts";
import type { State } from "../agent/state.ts";
import { agentProgram, type AgentProgramDeps } from "../engine/agent-program.ts";
import type { EffectContext, Program } from "../engine/program.ts";
import { onlyTenant } from "../engine/tenant.ts";
import { Hub } from "../events/hub.ts";
import { ModelCallError } from "../gateway/model-gateway.ts";
import { neverAborts } from "../platform/abort.ts";
import { assert, HoldfastError, messageOf } from "../platform/errors.ts";
import type { EvaluationCase } from "./cases.ts";
import { recordedTools } from "./recorded-tools.ts";

export type CaseRunDeps = Omit<AgentProgramDeps, "hub">;

export interface CaseRunOptions {
  readonly agent: AgentDefinition;
  readonly route: ModelRoute;
  readonly signal: AbortSignal;
}

export interface CaseRun {
  readonly output: string;
  /** As of a task: a stable code, or null if it ended as it should. */
  readonly error: string | null;
  readonly message: string;
  readonly entries: readonly Entry[];
  /** From the prompt to the answer. */
  readonly ms: number;
  /** The tools of which a call was refused. */
  readonly refused: readonly string[];
}

/** @throws the signal's reason when it aborts */
export async function runCase(deps: CaseRunDeps, it: EvaluationCase, options: CaseRunOptions): Promise<CaseRun> {
  const { clock } = deps;
  const startedAt = clock.monotonic();
  const tools = recordedTools(deps.tools, it.outcomes);
  const program = programOf({ ...deps, tools }, it, options);
  const entries: Entry[] = [];
  let state = program.begin();
  const add = (body: EntryBody): void => {
    const entry = { ...body, seq: entries.length + 1, at: clock.now() };
    entries.push(entry);
    state = program.fold(state, entry);
  };
  // Bounded by the agent's limits, as every task is.
  for (;;) {
    options.signal.throwIfAborted();
    const step = program.next(state, clock.now());
    if (step.type === "end") {
      const { error, message } = step;
      const ms = Math.round(clock.monotonic() - startedAt);
      return { output: program.progress(state).output, error, message, entries, ms, refused: tools.refused };
    }
    if (step.type === "effect") for (const body of await perform(step.run, add, options.signal)) add(body);
    else for (const body of answered(step.entries)) add(body);
  }
}

function programOf(
  deps: CaseRunDeps,
  { prompt, context }: EvaluationCase,
  { agent, route }: CaseRunOptions,
): Program<State> {
  const { clock, newId } = deps;
  const input = { prompt, context, limits: {}, model: [], history: [] };
  const ids = { id: newId(), sessionId: newId(), tenant: onlyTenant, userId: null };
  const task = { ...ids, epoch: 1, createdAt: clock.now(), input };
  return agentProgram({ deps: { ...deps, hub: new Hub() }, agent: { ...agent, model: route }, task, history: [] });
}

/** What an effect throws ends the case: the gateway has tried again already, and an evaluation does not wait for hours. */
async function perform(
  run: (context: EffectContext) => Promise<readonly EntryBody[]>,
  add: (body: EntryBody) => void,
  signal: AbortSignal,
): Promise<readonly EntryBody[]> {
  const never = neverAborts();
  const append = async (body: EntryBody): Promise<void> => add(body);
  try {
    return await run({ append, abandoned: signal, cancelled: signal, interruption: () => never });
  } catch (error) {
    signal.throwIfAborted();
    const code = error instanceof HoldfastError ? error.code : "internal_error";
    const attempts = error instanceof ModelCallError ? error.attempts : [];
    return [{ kind: "failure", code, message: messageOf(error), attempts, retryAt: null }];
  }
}

/** The questions with their answers: a call may be made, everything else is over. */
function answered(asked: readonly EntryBody[]): EntryBody[] {
  const questions = asked.filter((entry): entry is QuestionEntry => entry.kind === "question");
  assert(questions.length > 0, "A task of an evaluation waits for nothing but answers.");
  const answerTo = ({ approvalId, question }: QuestionEntry): AnswerEntry => {
    const decision = question === "tool" ? "approve" : "end";
    return { kind: "answer", approvalId, answer: { decision }, by: "evaluation" };
  };
  return [...asked, ...questions.map(answerTo)];
}
