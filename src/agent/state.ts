/**
 * The state of a task: a pure fold over its journal. There is no other state, so any process that can read the journal
 * can go on with the task.
 */
import { chargesOf } from "./charges.ts";
import { compressed } from "./compression.ts";
import { userMessage, type ToolOutcome } from "./conversation.ts";
import { defaultLimits, type Limits } from "./definition.ts";
import { canonicalJson, isObject, type Json } from "./json.ts";
import { afterFailure, noFailures, type Failing } from "./failures.ts";
import {
  plannedCalls,
  type Answer,
  type AnswerEntry,
  type CompressionEntry,
  type DeferredEntry,
  type EndEntry,
  type Entry,
  type FinishReason,
  type MessageEntry,
  type ModelEntry,
  type PlannedCall,
  type QuestionEntry,
  type ReplayEntry,
} from "./journal.ts";
import { type Budget, estimateTokens, raiseLimits, type Spent } from "./limits.ts";
import { Tally } from "./tally.ts";
import { Transcript } from "./transcript.ts";

/** What a task is given before its first entry. */
export interface Brief {
  readonly prompt: string;
  readonly limits: Limits;
  /** Milliseconds since the epoch; the deadline counts from here. */
  readonly submittedAt: number;
  /** Estimated tokens of what every call carries besides the conversation: instructions, tools, context. */
  readonly overheadTokens: number;
  /** Of what the session held before. */
  readonly historyTokens: number;
  /** The largest context window of the route; null: one is unknown. */
  readonly windowTokens: number | null;
}

/** Of a task whose journal is only read. */
export function briefToRead(prompt: string): Brief {
  return { prompt, limits: defaultLimits, submittedAt: 0, overheadTokens: 0, historyTokens: 0, windowTokens: null };
}

export interface State extends Budget, Failing {
  readonly brief: Brief;
  readonly prompt: string;
  /** Shown in the place of the session's history and the older turns; null: they are shown. */
  readonly summary: string | null;
  /** The task's own messages after the prompt, but for those that the summary stands for. */
  readonly messages: Transcript;
  /** The calls of the last model turn. */
  readonly calls: readonly CallState[];
  /** How the last model turn ended; null before the first. */
  readonly finish: FinishReason | null;
  readonly openQuestions: readonly QuestionEntry[];
  readonly toolCalls: number;
  /** A price was unknown, so that `spent.costMicros` is only a lower bound. */
  readonly costUnknown: boolean;
  /** How often each call, by tool and canonical arguments, was asked for. */
  readonly repeats: Tally;
  /** Turns in a row in which every call was invalid. */
  readonly invalidTurns: number;
  /** Compressions since the last model turn. */
  readonly compressions: number;
  /** When the deadline's count began, and how long humans were waited for since. */
  readonly startedAt: number;
  readonly humanMs: number;
  readonly askedAt: number | null;
  /** A human ended the task at this question. */
  readonly endedByHuman: QuestionEntry | null;
  readonly ended: EndEntry | null;
  /** The model turn that the provider's batch API is to bring. */
  readonly deferred: DeferredEntry | null;
  readonly lastSeq: number;
}

/** A call of the current turn and how far it is. `started`: its intent is journaled and its outcome is not known. */
export interface CallState {
  readonly call: PlannedCall;
  /** `seq:index`: with the task's id in front, the idempotency key. */
  readonly key: string;
  /** Equal for calls of the same tool with the same canonical arguments, as the model gave them. */
  readonly repeatKey: string;
  readonly status: "planned" | "asked" | "approved" | "started" | "done";
}

const fitting: Pick<State, "tooLong" | "compressions"> = { tooLong: null, compressions: 0 };
const nothingSpent: Spent = { steps: 0, tokens: 0, costMicros: 0 };

export function begin(brief: Brief): State {
  return {
    brief,
    prompt: brief.prompt,
    limits: brief.limits,
    summary: null,
    messages: Transcript.empty(),
    calls: [],
    finish: null,
    openQuestions: [],
    spent: nothingSpent,
    spentBefore: nothingSpent,
    toolCalls: 0,
    costUnknown: false,
    contextTokens: contextAtStart(brief, brief.prompt),
    repeats: Tally.empty,
    invalidTurns: 0,
    failures: noFailures,
    retryAt: null,
    fatal: null,
    ...fitting,
    startedAt: brief.submittedAt,
    humanMs: 0,
    askedAt: null,
    endedByHuman: null,
    ended: null,
    deferred: null,
    lastSeq: 0,
  };
}

function contextAtStart({ overheadTokens, historyTokens }: Brief, prompt: string): number {
  return overheadTokens + historyTokens + estimateTokens(prompt);
}

/** The state after one more entry. It takes as long as the entry's turn is, however long the journal before it. */
export function fold(state: State, entry: Entry): State {
  return { ...state, ...change(state, entry), lastSeq: entry.seq };
}

function change(state: State, entry: Entry): Partial<State> {
  switch (entry.kind) {
    case "model":
      return afterModel(state, entry);
    case "assignment":
      return paid(state, entry);
    case "compression":
      return { ...afterCompression(state, entry), ...paid(state, entry) };
    case "intent":
      return { calls: withStatus(state.calls, entry.callId, "started") };
    case "tool":
      return { ...afterOutcome(state, entry.callId, entry.outcome), toolCalls: state.toolCalls + 1 };
    case "question":
      return {
        openQuestions: [...state.openQuestions, entry],
        askedAt: state.askedAt ?? entry.at,
        calls: entry.callId === null ? state.calls : withStatus(state.calls, entry.callId, "asked"),
      };
    case "answer":
      return afterAnswer(state, entry);
    case "message":
      return afterMessage(state, entry);
    case "failure":
      return { ...afterFailure(state, entry), ...paid(state, entry), deferred: null };
    case "deferred":
      return { deferred: entry };
    case "replay":
      return afterReplay(state, entry);
    case "end":
      return { ended: entry, openQuestions: [], calls: beforeQuestions(state) };
  }
}

function afterModel(state: State, entry: ModelEntry & { seq: number; at: number }): Partial<State> {
  const calls = plannedCalls(entry).map<CallState>((call, index) => {
    return {
      call,
      key: `${entry.seq}:${index}`,
      repeatKey: `${call.tool} ${canonicalJson(call.input)}`,
      status: "planned",
    };
  });
  const valid = calls.filter(({ call }) => call.problem === undefined);
  return {
    messages: state.messages.withTurn({ role: "assistant", parts: entry.parts }),
    deferred: null,
    calls,
    finish: entry.finish,
    ...paid(state, entry),
    contextTokens: contextOf(entry),
    repeats: state.repeats.with(valid.map(({ repeatKey }) => repeatKey)),
    invalidTurns: entry.calls.length > 0 && valid.length === 0 ? state.invalidTurns + 1 : 0,
    failures: noFailures,
    retryAt: null,
    ...fitting,
  };
}

function afterCompression(state: State, entry: CompressionEntry): Partial<State> {
  // An open call stays with the outcome that is to come.
  const keptTurns = openCalls(state).length > 0 ? Math.max(1, entry.keptTurns) : entry.keptTurns;
  return {
    ...compressed(state, { ...entry, keptTurns }),
    contextTokens: entry.tokensAfter,
    compressions: state.compressions + 1,
    tooLong: null,
    failures: noFailures,
    retryAt: null,
    fatal: null,
  };
}

/** A step is a turn; tokens and money are those of every call, also of one that came to nothing. */
function paid({ spent, costUnknown }: State, entry: Entry): Pick<State, "spent" | "costUnknown"> {
  const charges = chargesOf(entry);
  return {
    spent: {
      steps: spent.steps + (entry.kind === "model" ? 1 : 0),
      tokens: charges.reduce((sum, { usage }) => sum + usage.input + usage.output, spent.tokens),
      costMicros: charges.reduce((sum, { costMicros }) => sum + (costMicros ?? 0), spent.costMicros),
    },
    costUnknown: costUnknown || charges.some(({ costMicros }) => costMicros === null),
  };
}

/** What the next call begins with. An answer from the cache has used nothing, but the conversation is as long as it is. */
function contextOf({ usage, saved }: ModelEntry): number {
  const { input, output } = saved?.usage ?? usage;
  return input + output;
}

/** Between a call and its outcome nobody may speak: what is said while calls are open stands after their outcomes. */
export function afterMessage(state: State, { prompt, context }: Pick<MessageEntry, "prompt" | "context">) {
  const { text } = userMessage(prompt, context);
  return { messages: state.messages.withUser(text), contextTokens: state.contextTokens + estimateTokens(text) };
}

/** A call has one outcome, the first: what comes for a call that has one, or that nobody asked for, changes nothing. */
function afterOutcome(state: State, callId: string, outcome: ToolOutcome): Partial<State> {
  const open = state.calls.find(({ call, status }) => call.id === callId && status !== "done");
  if (open === undefined) return {};
  const { tool } = open.call;
  return {
    calls: withStatus(state.calls, callId, "done"),
    messages: state.messages.withOutcome(
      { callId, tool, outcome },
      state.calls.map(({ call }) => call.id),
    ),
    contextTokens: state.contextTokens + estimateTokens(JSON.stringify(outcome)),
  };
}

/** Several calls have the same outcome. */
function afterOutcomes(state: State, calls: readonly CallState[], outcome: ToolOutcome): Partial<State> {
  const after = calls.reduce<State>((each, { call }) => ({ ...each, ...afterOutcome(each, call.id, outcome) }), state);
  return { calls: after.calls, messages: after.messages, contextTokens: after.contextTokens };
}

function openCalls(state: State): readonly CallState[] {
  return state.calls.filter(({ status }) => status !== "done");
}

function afterAnswer(state: State, { approvalId, answer, at }: AnswerEntry & { at: number }): Partial<State> {
  const question = state.openQuestions.find((open) => open.approvalId === approvalId);
  if (question === undefined) return {};
  const openQuestions = state.openQuestions.filter((open) => open !== question);
  const waited: Partial<State> =
    openQuestions.length > 0 || state.askedAt === null
      ? { openQuestions }
      : { openQuestions, askedAt: null, humanMs: state.humanMs + Math.max(0, at - state.askedAt) };
  return { ...waited, ...applyAnswer(state, question, answer) };
}

function applyAnswer(state: State, question: QuestionEntry, answer: Answer): Partial<State> {
  const callId = question.callId ?? "";
  switch (answer.decision) {
    case "approve":
    case "retry":
      return { calls: withStatus(state.calls, callId, "approved") };
    case "edit":
      return withInput(state, callId, answer.input);
    case "deny":
      return afterOutcome(state, callId, refusal("denied", "A human denied this call", answer.comment));
    case "succeeded":
      return afterOutcome(state, callId, { ok: true, output: answer.output });
    case "failed":
      return afterOutcome(
        state,
        callId,
        refusal("tool_failed", "A human reports that this call failed", answer.comment),
      );
    case "continue":
      return afterContinue(state, question, answer);
    case "end":
      // A later task of the session reads these messages, and no model takes a call without an outcome.
      return {
        ...afterOutcomes(state, openCalls(state), refusal("stopped_by_human", "A human ended the task", "")),
        endedByHuman: question,
      };
  }
}

function afterContinue(
  state: State,
  question: QuestionEntry,
  answer: Answer & { decision: "continue" },
): Partial<State> {
  if (question.question === "limit") {
    const reached = isObject(question.input) ? question.input["limit"] : undefined;
    const limits = raiseLimits(state.limits, reached, answer.limits);
    if (answer.advice === "") return { limits };
    return {
      limits,
      messages: state.messages.withUser(answer.advice),
      contextTokens: state.contextTokens + estimateTokens(answer.advice),
    };
  }
  if (answer.advice === "")
    return { calls: withStatus(state.calls, question.callId ?? "", "planned"), repeats: Tally.empty };
  // With advice the repeated call does not run, however often the turn asks for it: the model sees the advice instead.
  const asked = state.calls.find(({ call }) => call.id === question.callId);
  const same = openCalls(state).filter(({ repeatKey }) => repeatKey === asked?.repeatKey);
  const outcome = refusal("stopped_by_human", "A human stopped this repetition", answer.advice);
  return { ...afterOutcomes(state, same, outcome), repeats: Tally.empty };
}

function afterReplay(state: State, entry: ReplayEntry & { at: number }): Partial<State> {
  const again: Partial<State> = {
    ended: null,
    endedByHuman: null,
    failures: noFailures,
    retryAt: null,
    fatal: null,
    ...fitting,
    invalidTurns: 0,
    startedAt: entry.at,
    humanMs: 0,
    askedAt: null,
  };
  if (entry.prompt === null) return { ...again, ...beforeNoAnswer(state) };
  return {
    ...again,
    prompt: entry.prompt,
    summary: null,
    messages: Transcript.empty(),
    calls: [],
    finish: null,
    repeats: Tally.empty,
    spentBefore: state.spent,
    contextTokens: contextAtStart(state.brief, entry.prompt),
  };
}

/** The calls as they were before the questions that an end leaves open: a replay asks them again. */
function beforeQuestions({ calls, openQuestions }: State): readonly CallState[] {
  return openQuestions.reduce(
    (known, { callId, question }) => withStatus(known, callId ?? "", question === "uncertain" ? "started" : "planned"),
    calls,
  );
}

/** Without the turn that the content filter withheld or the deadline cut off, so that a replay asks the model again. */
function beforeNoAnswer({ finish, calls, messages }: State): Partial<State> {
  if (calls.length > 0 || messages.last?.role !== "assistant") return {};
  if (finish !== "content_filter" && finish !== "interrupted") return {};
  return { finish: null, messages: messages.withoutTurn() };
}

function withStatus(calls: readonly CallState[], callId: string, status: CallState["status"]): readonly CallState[] {
  return calls.map((state) => (state.call.id === callId && state.status !== "done" ? { ...state, status } : state));
}

/** A human changed the arguments: the call, and what the model is shown to have asked for, both carry the new ones. */
function withInput(state: State, callId: string, input: Json): Partial<State> {
  return {
    calls: state.calls.map((each) =>
      each.call.id === callId ? { ...each, call: { ...each.call, input }, status: "approved" } : each,
    ),
    messages: state.messages.withChangedTurn((message) => {
      const parts = message.parts.map((part) =>
        part.type === "call" && part.id === callId ? { ...part, input } : part,
      );
      return { ...message, parts };
    }),
  };
}

function refusal(code: string, what: string, comment: string): ToolOutcome {
  return { ok: false, code, message: comment === "" ? `${what}.` : `${what}: ${comment}` };
}
