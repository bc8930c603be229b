/**
 * The agent loop as a program: the pure rules of `agent/` decide, and here stand the three effects they may ask for. A
 * model turn, the tools of a turn, a question to a human.
 */
import { createHash } from "node:crypto";
import type { AgentDefinition } from "../agent/definition.ts";
import { shownMessages } from "../agent/compression.ts";
import { canonicalJson } from "../agent/json.ts";
import type { AssistantPart, Message, Usage } from "../agent/conversation.ts";
import { deadlineOf, decide, hears, listens, nextCall, type Action, type Question } from "../agent/decide.ts";
import type { EntryBody } from "../agent/journal.ts";
import { estimateTokens } from "../agent/limits.ts";
import { isRuleModel, modelsOf, plainRoute, type ModelRoute } from "../agent/route.ts";
import { begin, fold, type CallState, type State } from "../agent/state.ts";
import type { Hub } from "../events/hub.ts";
import type { DeferredCalls } from "../gateway/deferred/deferred-calls.ts";
import type { Prices } from "../gateway/cost.ts";
import {
  ModelCallError,
  type AnswerCaching,
  type ModelCaller,
  type ModelGateway,
  type ModelReply,
  type ModelRequest,
} from "../gateway/model-gateway.ts";
import type { Clock } from "../platform/clock.ts";
import type { NewId } from "../platform/ids.ts";
import type { ClaimedTask, TaskInput } from "../store/task-row.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { ToolRunner } from "../tools/tool-runner.ts";
import { compress, type SummaryRequest } from "./compress-turn.ts";
import { withinDeadline } from "./deadline.ts";
import { deferredTurns, type DeferredTurns } from "./deferred-turn.ts";
import type { EffectContext, Program, Said, Step } from "./program.ts";

export interface AgentProgramDeps {
  readonly gateway: ModelGateway;
  /** Absent: no call is deferred. */
  readonly deferred?: DeferredCalls;
  readonly prices: Prices;
  readonly tools: ToolRunner;
  readonly hub: Hub;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly newId: NewId;
  /** For agents that name no model. */
  readonly defaultRoute: ModelRoute;
}

/** What the program needs to know of the task it runs. */
export type AgentTask = Pick<ClaimedTask, "id" | "epoch" | "tenant" | "sessionId" | "userId" | "createdAt" | "input">;

interface Run {
  readonly deps: AgentProgramDeps;
  readonly agent: AgentDefinition;
  readonly task: AgentTask;
  /** What the conversation held before this task. */
  readonly history: readonly Message[];
}

export function agentProgram(run: Run): Program<State> {
  const turns = deferredTurns({ ...run, ...run.deps, calls: run.deps.deferred, route: routeOf(run) });
  return {
    begin: () => beginTask(run),
    fold,
    next: (state, now) => {
      const action = decide(state, now);
      const limit = { clock: run.deps.clock, deadline: deadlineOf(state) };
      if (action.type === "run_tools") return toolsStep(run, action.calls, limit);
      if (action.type === "compress") return compressStep(run, state, { ...action, limit });
      if (action.type !== "call_model") return toStep(run, action);
      const call: ModelEffect = (outer) =>
        withinDeadline(limit, outer, (context) => callModel(run, { state, context, action }));
      const turn = {
        request: () => requestOf(run, state, action),
        call,
        toEntry: (reply: ModelReply) => deferredEntry(run, reply),
      };
      return turns.next(state, now, turn) ?? { type: "effect", onlyReads: false, run: call };
    },
    failures: (state) => state.failures,
    lost: (state, call) => lostCall({ ...run, turns }, state, call),
    said: (state) => saidIn(run.task.input, state),
    progress: progressOf,
    // What a turn that is under way elsewhere was not told must not stand before its answer.
    listens: (state, now) => state.deferred === null && listens(state, now),
    hears: (state, messages, now) => state.deferred === null && hears(state, messages, now),
  };
}

/** What a state says about how far the task is. Also serves readers of a running task, who fold its journal themselves. */
export function progressOf(state: State) {
  return {
    output: state.messages.text,
    stepsUsed: state.spent.steps,
    tokensUsed: state.spent.tokens,
    toolCalls: state.toolCalls,
    costMicros: state.costUnknown ? null : state.spent.costMicros,
  };
}

/** What a task adds to its conversation: what a fork brought along, its prompt, and all that followed. */
export function saidIn(input: TaskInput, state: State): Said {
  const messages = shownMessages(state, { history: input.history, context: input.context });
  return { messages, standsForAll: state.summary !== null };
}

function beginTask(run: Run): State {
  const { agent, task, history, deps } = run;
  const carried = JSON.stringify([agent.instructions, deps.tools.specs(agent.tools), task.input.context]);
  return begin({
    prompt: task.input.prompt,
    limits: { ...agent.limits, ...task.input.limits },
    submittedAt: task.createdAt,
    overheadTokens: estimateTokens(carried),
    historyTokens: history.length === 0 ? 0 : estimateTokens(JSON.stringify(history)),
    windowTokens: largestWindow(run),
  });
}

/** Of the models in the route; null: one is unknown. */
function largestWindow(run: Run): number | null {
  const models = modelsOf(routeOf(run)).filter((model) => !isRuleModel(model));
  const windows = models.map((model) => run.deps.prices.contextWindow(model));
  return windows.length === 0 || windows.includes(null) ? null : Math.max(...windows.map((tokens) => tokens ?? 0));
}

type ModelEffect = Extract<Step, { type: "effect" }>["run"];

function toolsStep(run: Run, calls: readonly CallState[], limit: Parameters<typeof withinDeadline>[0]): Step {
  return {
    type: "effect",
    onlyReads: calls.every(({ call }) => call.effect === "read" || call.problem !== undefined),
    run: (outer) => withinDeadline(limit, outer, (context) => runTools(run, calls, context)),
  };
}

interface Compression extends Extract<Action, { type: "compress" }> {
  readonly limit: Parameters<typeof withinDeadline>[0];
}

/** Nobody sees a summary being written, and a message waits until it is: it will be read with what is left. */
function compressStep(run: Run, state: State, { plan, limit }: Compression): Step {
  const { deps, agent, task, history } = run;
  const ask = (request: SummaryRequest, { abandoned, cancelled }: EffectContext): Promise<ModelReply> =>
    callGateway(deps, {
      ...request,
      caller: callerOf(agent, task),
      signal: abandoned,
      interruption: cancelled,
      onDelta: () => {},
    });
  return {
    type: "effect",
    onlyReads: false,
    run: (outer) =>
      withinDeadline(limit, outer, async (context) => {
        const compressing = { state, plan, history, route: routeOf(run), now: () => deps.clock.now() };
        const entry = await compress({ ...compressing, ask: (request) => ask(request, context) });
        deps.metrics.compressed(agent.name, entry);
        return [entry];
      }),
  };
}

function toStep(run: Run, action: Exclude<Action, { type: "call_model" | "run_tools" | "compress" }>): Step {
  switch (action.type) {
    case "ask":
      return { type: "park", entries: action.questions.map((question) => toEntry(run, question)), until: null };
    case "wait":
      return { type: "park", entries: [], until: action.until };
    case "finish":
      return { type: "end", status: "completed", error: action.error, message: "" };
    case "fail":
      return { type: "end", status: "failed", error: action.error, message: action.message };
  }
}

interface ModelTurn {
  readonly state: State;
  readonly context: EffectContext;
  readonly action: Action & { type: "call_model" };
}

async function callModel(run: Run, turn: ModelTurn): Promise<EntryBody[]> {
  const { deps, agent, task } = run;
  const { state, context, action } = turn;
  const reply = await callGateway(deps, {
    ...requestOf(run, state, action),
    route: routeOf(run),
    caller: callerOf(agent, task),
    cache: cachingOf(deps, agent),
    signal: context.abandoned,
    // What a cancel or the deadline cuts off is paid for, too: it ends in the journal, with what was said and used by then.
    interruption: AbortSignal.any([context.interruption(), context.cancelled]),
    onDelta: deps.hub.openTurn({ taskId: task.id, afterSeq: state.lastSeq, epoch: task.epoch }),
    check: (parts) => problemOf(run, parts),
  });
  return [turnEntry(run, reply)];
}

function requestOf({ deps, agent, task, history }: Run, state: State, action: Action & { type: "call_model" }) {
  return {
    system: agent.instructions,
    messages: shownMessages(state, { history, context: task.input.context }),
    tools: deps.tools.specs(agent.tools),
    maxOutputTokens: action.maxOutputTokens,
  };
}

/** How long it took to the first token says nothing where it is not streamed. */
function deferredEntry(run: Run, reply: ModelReply): EntryBody {
  run.deps.metrics.tokensUsed(reply);
  return turnEntry(run, reply);
}

function turnEntry({ deps, agent }: Run, reply: ModelReply): EntryBody {
  const calls = deps.tools.plan(agent.tools, reply.parts).map(({ tool: _tool, input: _input, ...plan }) => plan);
  return { kind: "model", ...reply, calls };
}

/** What is wrong with the first call that could not be run. */
function problemOf({ deps, agent }: Run, parts: readonly AssistantPart[]): string | null {
  const wrong = deps.tools.plan(agent.tools, parts).find(({ problem }) => problem !== undefined);
  return wrong?.problem === undefined ? null : `${wrong.tool}: ${wrong.problem.message}`;
}

function routeOf({ deps, agent, task }: Run): ModelRoute {
  const routes = [plainRoute(task.input.model), agent.model, deps.defaultRoute];
  return routes.find(({ candidates }) => candidates.length > 0) ?? deps.defaultRoute;
}

/**
 * It is not known which candidate was asked, or whether any was: most calls go to the first. What it used is what was to be
 * sent, and the answer as far as it is known. The most that it could have answered is no better guess: that is all that the
 * task has left, and a crash would end most tasks.
 */
function lostCall(
  run: Run & { readonly turns: DeferredTurns },
  state: State,
  { text, now }: { text: string; now: number },
): EntryBody[] {
  const next = nextCall(state);
  if (next === null || (next.type === "turn" && run.turns.applies(state, now))) return [];
  const code = "worker_lost";
  const message = "The worker was lost while a model was to be called: the call counts as far as it is known.";
  const model = modelsOf(routeOf(run))[0] ?? "";
  const tokens = { input: next.inputTokens, output: estimateTokens(text) };
  const usage: Usage = { ...tokens, cached: 0, reasoning: 0, estimated: true };
  const costMicros = run.deps.prices.costMicros(model, usage, { at: now });
  const attempts = [{ model, code, message, ms: 0, at: now, usage, costMicros }];
  return [{ kind: "failure", code, message, attempts, retryAt: now }];
}

/**
 * An answer may be given again if whatever it asks for only reads. Another effect is decided on anew for every task: that
 * two of them say the same must not be why something is done twice. Nor is a call repeated that could not be run.
 */
function cachingOf({ tools }: AgentProgramDeps, agent: AgentDefinition): AnswerCaching | undefined {
  if (agent.cache === null) return undefined;
  const mayRepeat = (parts: readonly AssistantPart[]): boolean =>
    tools.plan(agent.tools, parts).every(({ effect, problem }) => effect === "read" && problem === undefined);
  return { ...agent.cache, mayRepeat };
}

function callerOf(agent: AgentDefinition, { tenant, id, sessionId, userId }: AgentTask): ModelCaller {
  return { tenant, agent: agent.name, taskId: id, sessionId, userId, keyId: null };
}

async function callGateway({ gateway, metrics }: AgentProgramDeps, request: ModelRequest): Promise<ModelReply> {
  try {
    const reply = await gateway.call(request);
    metrics.attemptsFailed(reply.attempts);
    if (reply.hit === undefined) metrics.modelCall(reply);
    return reply;
  } catch (error) {
    if (error instanceof ModelCallError) metrics.attemptsFailed(error.attempts);
    throw error;
  }
}

/** All calls of a turn at once. One that throws (because the task is cancelled, late or lost) does not cut off its siblings. */
async function runTools(run: Run, calls: readonly CallState[], context: EffectContext): Promise<EntryBody[]> {
  const results = await Promise.allSettled(calls.map((call) => runCall(run, call, context)));
  for (const result of results) if (result.status === "rejected") throw result.reason;
  return [];
}

async function runCall({ deps, agent, task }: Run, { call, key }: CallState, context: EffectContext): Promise<void> {
  const { id: callId, tool, problem } = call;
  if (problem !== undefined) {
    await context.append({ kind: "tool", callId, tool, outcome: { ok: false, ...problem }, ms: 0 });
    return;
  }
  const idempotencyKey = `${task.id}:${key}`;
  if (call.effect === "once") await context.append({ kind: "intent", callId, tool, key: idempotencyKey });
  const startedAt = deps.clock.monotonic();
  const outcome = await deps.tools.run(call, {
    idempotencyKey,
    taskId: task.id,
    sessionId: task.sessionId,
    tenant: task.tenant,
    agent: agent.name,
    userId: task.userId,
    // An effect that must happen once is not cut off by a cancel or the deadline: the journal would never know whether it happened.
    signal: call.effect === "once" ? context.abandoned : context.cancelled,
  });
  const ms = Math.round(deps.clock.monotonic() - startedAt);
  deps.metrics.toolCall({ tool, outcome: outcome === null ? "uncertain" : outcome.ok ? "ok" : outcome.code, ms });
  if (outcome === null) return;
  await context.append({ kind: "tool", callId, tool, outcome, ms });
}

function toEntry({ deps }: Run, question: Question): EntryBody {
  const inputHash = createHash("sha256").update(canonicalJson(question.input)).digest("hex");
  return { kind: "question", approvalId: deps.newId(), ...question, inputHash };
}
