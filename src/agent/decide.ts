/**
 * What a task does next: a pure function of its state. Every rule of the loop is here, in the order in which it applies,
 * and nowhere else: questions and an answer in hand before the deadline, the deadline before tools, tools before another
 * model call.
 */
import { planCompression, type CompressionPlan } from "./compression.ts";
import { textOf } from "./conversation.ts";
import { isObject, type Json } from "./json.ts";
import type { MessageEntry, QuestionKind } from "./journal.ts";
import { describeLimit, roomForCall, type LimitCode } from "./limits.ts";
import { afterMessage, type CallState, type State } from "./state.ts";

export type Action =
  | { readonly type: "call_model"; readonly maxOutputTokens: number }
  /** Makes room: the model call that comes next would not fit. */
  | { readonly type: "compress"; readonly plan: CompressionPlan }
  | { readonly type: "run_tools"; readonly calls: readonly CallState[] }
  | { readonly type: "ask"; readonly questions: readonly Question[] }
  /** Nothing to do before `until` (milliseconds since the epoch), or before an event if null. */
  | { readonly type: "wait"; readonly until: number | null }
  /** Ends as completed with the last text as its output; `error` says what cut it short. */
  | { readonly type: "finish"; readonly error: string | null }
  | { readonly type: "fail"; readonly error: string; readonly message: string };

export interface Question {
  readonly question: QuestionKind;
  readonly callId: string | null;
  readonly tool: string | null;
  readonly input: Json;
  readonly reason: string;
}

/** The same call may be asked for this often before a human is asked whether it makes sense. */
const mostRepeats = 3;
/** So many turns in a row may consist of invalid calls alone. */
const mostInvalidTurns = 3;
/** Of its context window, what a model must have left for an answer. */
const answerShare = 1 / 8;
const tooLongCode = "model_context_too_long";

/** @param now milliseconds since the epoch */
export function decide(state: State, now: number): Action {
  return (
    awaitHuman(state) ??
    settleUncertain(state) ??
    answer(state, now) ??
    keepDeadline(state, now) ??
    backOff(state, now) ??
    stopStutter(state) ??
    runCalls(state) ??
    callModel(state)
  );
}

/** The model call that was to be made as soon as the task could go on, whatever time it is now: its input; null: there is none. */
export function nextCall(state: State): { readonly type: "turn" | "summary"; readonly inputTokens: number } | null {
  const action = decide(state, Math.max(state.startedAt, state.retryAt ?? 0));
  if (action.type === "call_model") return { type: "turn", inputTokens: state.contextTokens };
  if (action.type !== "compress" || action.plan.digestChars === null) return null;
  return { type: "summary", inputTokens: action.plan.inputTokens };
}

/** Whether the task has come to a place where a message of the user may stand: before a model turn, or after the answer. */
export function listens(state: State, now: number): boolean {
  const { type } = decide(state, now);
  return leadsToModel(type) || type === "finish";
}

function leadsToModel(type: Action["type"]): boolean {
  return type === "call_model" || type === "compress";
}

/**
 * Whether a model turn would answer to these messages if they were given now. Where it would not (a ceiling is reached, a
 * human has ended the task) they are for a task of their own.
 */
export function hears(
  state: State,
  messages: readonly Pick<MessageEntry, "prompt" | "context">[],
  now: number,
): boolean {
  if (!listens(state, now)) return false;
  const after = messages.reduce<State>((each, message) => ({ ...each, ...afterMessage(each, message) }), state);
  return leadsToModel(decide(after, now).type);
}

function awaitHuman(state: State): Action | undefined {
  if (state.ended !== null || state.openQuestions.length > 0) return { type: "wait", until: null };
  if (state.endedByHuman === null) return undefined;
  const { question, input } = state.endedByHuman;
  const limit = isObject(input) && typeof input["limit"] === "string" ? input["limit"] : "ended_by_human";
  return { type: "finish", error: question === "limit" ? limit : "stuttering" };
}

/** An intent without an outcome: the effect may have happened or not. A human is asked; it is never guessed. */
function settleUncertain(state: State): Action | undefined {
  const started = state.calls.filter(({ status }) => status === "started");
  if (started.length === 0) return undefined;
  const reason = "It had begun when it was cut off. Nobody knows whether it happened.";
  return { type: "ask", questions: started.map((each) => questionAbout(each, "uncertain", reason)) };
}

function keepDeadline(state: State, now: number): Action | undefined {
  if (now < deadlineOf(state)) return undefined;
  return {
    type: "fail",
    error: "deadline_exceeded",
    message: `The task was not done ${state.limits.deadlineMs} ms after it was submitted.`,
  };
}

function backOff(state: State, now: number): Action | undefined {
  // What was too long for every model may be made shorter.
  if (state.fatal !== null && state.fatal.code !== tooLongCode)
    return { type: "fail", error: state.fatal.code, message: state.fatal.message };
  if (state.retryAt === null || state.retryAt <= now) return undefined;
  return { type: "wait", until: Math.min(state.retryAt, deadlineOf(state)) };
}

/** Milliseconds since the epoch; infinite where there is none. */
export function deadlineOf({ limits, startedAt, humanMs }: State): number {
  return limits.deadlineMs === null ? Number.POSITIVE_INFINITY : startedAt + humanMs + limits.deadlineMs;
}

function stopStutter(state: State): Action | undefined {
  const repeated = state.calls.find(
    ({ repeatKey, status }) => status === "planned" && state.repeats.count(repeatKey) > mostRepeats,
  );
  if (repeated === undefined) return undefined;
  const reason = `The agent asks for the same call for the ${mostRepeats + 1}th time.`;
  return { type: "ask", questions: [questionAbout(repeated, "stutter", reason)] };
}

function runCalls(state: State): Action | undefined {
  const free = state.calls.filter(({ call, status }) =>
    status === "planned" ? !call.needsApproval || call.problem !== undefined : status === "approved",
  );
  if (free.length > 0) return { type: "run_tools", calls: free };
  const held = state.calls.filter(({ status }) => status === "planned");
  if (held.length === 0) return undefined;
  const reason = "This call needs a human's approval.";
  return { type: "ask", questions: held.map((each) => questionAbout(each, "tool", reason)) };
}

/** The last turn asked for nothing: it is the answer. */
function answer(state: State, now: number): Action | undefined {
  const last = state.messages.last;
  if (last?.role !== "assistant" || state.calls.length > 0) return undefined;
  if (state.finish === "content_filter") {
    const message = "The model's provider withheld the answer by its content policy.";
    return { type: "fail", error: "model_content_policy", message };
  }
  // Whoever cut it off has left a message, which stands after it; where that did not fit, nothing more is said here. Or the
  // deadline did: then this is no answer in hand.
  if (state.finish === "interrupted") {
    return now < deadlineOf(state) ? { type: "finish", error: "interrupted" } : undefined;
  }
  if (state.finish === "length") return { type: "finish", error: "token_budget_exceeded" };
  return { type: "finish", error: textOf(last.parts) === "" ? "empty_answer" : null };
}

function callModel(state: State): Action {
  if (state.invalidTurns >= mostInvalidTurns) {
    const message = `The model asked for invalid calls ${mostInvalidTurns} turns in a row; the journal says what was wrong.`;
    return { type: "fail", error: "invalid_tool_calls", message };
  }
  const compression = compress(state);
  if (compression !== undefined) return compression;
  const room = roomForCall(state);
  return "reached" in room
    ? atLimit(state, room.reached)
    : { type: "call_model", maxOutputTokens: room.maxOutputTokens };
}

/** The conversation does not fit, or it is plain to see that it will not: something must go before a model is called. */
function compress(state: State): Action | undefined {
  const { limits, spent, spentBefore } = state;
  if (state.tooLong === null && !outgrows(state)) return undefined;
  const plan = planCompression(state);
  if (plan === null)
    return state.tooLong === null ? undefined : { type: "fail", error: tooLongCode, message: beyond(state) };
  if (plan.digestChars === null) return { type: "compress", plan };
  const room = roomForCall({ limits, spent, spentBefore, contextTokens: plan.inputTokens });
  if ("reached" in room) return atLimit(state, room.reached);
  return { type: "compress", plan: { ...plan, outputTokens: Math.min(plan.outputTokens, room.maxOutputTokens) } };
}

/** Whether no model of the route is known to have room for the conversation and an answer of some length. */
function outgrows(state: State): boolean {
  const { contextTokens, deferred } = state;
  const { windowTokens } = state.brief;
  // A turn that is under way elsewhere was asked for with the conversation as it is.
  if (windowTokens === null || deferred !== null) return false;
  const room = roomForCall(state);
  if ("reached" in room) return false;
  return contextTokens + Math.min(room.maxOutputTokens, windowTokens * answerShare) > windowTokens;
}

function beyond({ tooLong: why, compressions }: State): string {
  const done =
    compressions === 0 ? "Nothing can be left out that would help" : "It was made shorter, and is still too long";
  return (
    `${why} ${done}: instructions, tools, prompt and the newest step alone may be too much. Shorten them, or add a model ` +
    "with a larger context window to the route, and retry the task."
  );
}

function atLimit(state: State, limit: LimitCode): Action {
  if (state.limits.onLimit === "stop") return { type: "finish", error: limit };
  const { used, ceiling } = describeLimit(state, limit);
  const reason = `The task has used ${used} of ${ceiling} and wants to go on.`;
  const question: Question = { question: "limit", callId: null, tool: null, input: { limit, used, ceiling }, reason };
  return { type: "ask", questions: [question] };
}

function questionAbout({ call }: CallState, question: QuestionKind, reason: string): Question {
  return { question, callId: call.id, tool: call.tool, input: call.input, reason };
}
