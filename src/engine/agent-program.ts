/**
 * The agent loop as a program: the pure rules of `agent/` decide, and here stand the three effects they may ask for. A
 * model turn, the tools of a turn, a question to a human.
 */
import { createHash } from "node:crypto";
import type { AgentDefinition } from "../agent/definition.ts";
import { canonicalJson } from "../agent/json.ts";
import { userMessage, type Message } from "../agent/conversation.ts";
import { decide, hears, listens, type Action, type Question } from "../agent/decide.ts";
import type { EntryBody } from "../agent/journal.ts";
import { estimateTokens } from "../agent/limits.ts";
import { begin, fold, lastText, type CallState, type State } from "../agent/state.ts";
import type { Hub } from "../events/hub.ts";
import { ModelCallError, type ModelGateway, type ModelReply, type ModelRequest } from "../gateway/model-gateway.ts";
import type { Clock } from "../platform/clock.ts";
import type { NewId } from "../platform/ids.ts";
import type { ClaimedTask, TaskInput } from "../store/task-row.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { ToolRunner } from "../tools/tool-runner.ts";
import type { EffectContext, Program, Step } from "./program.ts";

export interface AgentProgramDeps {
  readonly gateway: ModelGateway;
  readonly tools: ToolRunner;
  readonly hub: Hub;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly newId: NewId;
  /** For agents that name no model. */
  readonly defaultRoute: readonly string[];
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
  return {
    begin: () => beginTask(run),
    fold,
    next: (state, now) => toStep(run, state, decide(state, now)),
    failures: (state) => state.failures,
    said: (state) => saidIn(run.task.input, state),
    progress: progressOf,
    listens,
    hears,
  };
}

/** What a state says about how far the task is. Also serves readers of a running task, who fold its journal themselves. */
export function progressOf(state: State) {
  return {
    output: lastText(state),
    stepsUsed: state.spent.steps,
    tokensUsed: state.spent.tokens,
    toolCalls: state.toolCalls,
    costMicros: state.costUnknown ? null : state.spent.costMicros,
  };
}

/** What a task adds to its conversation: what a fork brought along, its prompt, and all that followed. */
export function saidIn(input: TaskInput, state: State): Message[] {
  return [...input.history, userMessage(state.prompt, input.context), ...state.messages];
}

function beginTask({ agent, task, history, deps }: Run): State {
  const carried = JSON.stringify([agent.instructions, deps.tools.specs(agent.tools), history, task.input.context]);
  return begin({
    prompt: task.input.prompt,
    limits: { ...agent.limits, ...task.input.limits },
    submittedAt: task.createdAt,
    overheadTokens: estimateTokens(carried),
  });
}

function toStep(run: Run, state: State, action: Action): Step {
  switch (action.type) {
    case "call_model":
      return { type: "effect", onlyReads: false, run: (context) => callModel(run, { state, context, action }) };
    case "run_tools":
      return {
        type: "effect",
        onlyReads: action.calls.every(({ call }) => call.effect === "read" || call.problem !== undefined),
        run: (context) => runTools(run, action.calls, context),
      };
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

async function callModel({ deps, agent, task, history }: Run, turn: ModelTurn): Promise<EntryBody[]> {
  const { state, context, action } = turn;
  const route = [task.input.model, agent.model, deps.defaultRoute].find((candidates) => candidates.length > 0) ?? [];
  const reply = await callGateway(deps, {
    route,
    system: agent.instructions,
    messages: [...history, userMessage(state.prompt, task.input.context), ...state.messages],
    tools: deps.tools.specs(agent.tools),
    maxOutputTokens: action.maxOutputTokens,
    signal: context.cancelled,
    interruption: context.interruption(),
    onDelta: deps.hub.openTurn({ taskId: task.id, afterSeq: state.lastSeq, epoch: task.epoch }),
  });
  const calls = deps.tools.plan(agent.tools, reply.parts).map(({ tool: _tool, input: _input, ...plan }) => plan);
  return [{ kind: "model", ...reply, calls }];
}

async function callGateway({ gateway, metrics }: AgentProgramDeps, request: ModelRequest): Promise<ModelReply> {
  try {
    const reply = await gateway.call(request);
    metrics.attemptsFailed(reply.attempts);
    metrics.modelCall(reply);
    return reply;
  } catch (error) {
    if (error instanceof ModelCallError) metrics.attemptsFailed(error.attempts);
    throw error;
  }
}

/** All calls of a turn at once. One that throws (because the task is cancelled or lost) does not cut off its siblings. */
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
    // An effect that must happen once is not cut off by a cancel: the journal would never know whether it happened.
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
