/** Builders of journals: what a test does not say is what usually happens. */
import type { AssistantPart, ToolOutcome } from "../../src/agent/conversation.ts";
import { defaultLimits, type Limits } from "../../src/agent/definition.ts";
import type {
  Answer,
  CompressionEntry,
  Entry,
  EntryBody,
  ModelEntry,
  PlannedCall,
  QuestionKind,
} from "../../src/agent/journal.ts";
import type { Json } from "../../src/agent/json.ts";
import { begin, fold, type Brief, type State } from "../../src/agent/state.ts";

/** An entry to tell, and when it happens; absent: at the time of the one before it. */
export type Told = EntryBody & { readonly at?: number };

export function briefOf(limits: Partial<Limits> = {}, brief: Partial<Omit<Brief, "limits">> = {}): Brief {
  const none = { submittedAt: 0, overheadTokens: 0, historyTokens: 0, windowTokens: null };
  return { prompt: "Hello", ...none, ...brief, limits: { ...defaultLimits, ...limits } };
}

/** The state of a task of which this is the journal. */
export function stateAfter(brief: Brief, ...told: Told[]): State {
  return journalOf(...told).reduce(fold, begin(brief));
}

export function journalOf(...told: Told[]): Entry[] {
  let now = 0;
  return told.map((entry, index) => {
    now = entry.at ?? now;
    return { ...entry, seq: index + 1, at: now };
  });
}

export function callOf(id: string, options: Partial<PlannedCall> = {}): PlannedCall {
  return { id, tool: "find", input: { id }, version: "1.0.0", effect: "read", needsApproval: false, ...options };
}

export function invalidCall(id: string): PlannedCall {
  return callOf(id, { problem: { code: "invalid_arguments", message: "wrong" } });
}

interface TurnOptions extends Partial<Pick<ModelEntry, "finish" | "costMicros">> {
  text?: string;
  calls?: PlannedCall[];
  input?: number;
  output?: number;
  at?: number;
}

/** A model turn: by default it calls if it has calls, else it answers, and it costs nothing. */
export function turn({ text = "", calls = [], input = 0, output = 0, at, ...options }: TurnOptions = {}): Told {
  const spoken: AssistantPart[] = text === "" ? [] : [{ type: "text", text }];
  return {
    kind: "model",
    parts: [
      ...spoken,
      ...calls.map((call) => ({ type: "call" as const, id: call.id, tool: call.tool, input: call.input })),
    ],
    calls,
    finish: calls.length > 0 ? "calls" : "stop",
    model: "rules/default",
    usage: { input, cached: 0, output, reasoning: 0, estimated: false },
    costMicros: 0,
    ttftMs: 0,
    tpotMs: 0,
    attempts: [],
    ...options,
    ...(at === undefined ? {} : { at }),
  };
}

export function intent(callId: string): Told {
  return { kind: "intent", callId, tool: "find", key: `t:${callId}` };
}

export function outcome(callId: string, given: ToolOutcome | Json = "found"): Told {
  const whole = typeof given === "object" && given !== null && "ok" in given;
  return {
    kind: "tool",
    callId,
    tool: "find",
    outcome: whole ? (given as ToolOutcome) : { ok: true, output: given as Json },
    ms: 1,
  };
}

interface QuestionOptions {
  call?: string;
  input?: Json;
  at?: number;
}

export function question(kind: QuestionKind, approvalId: string, { call, input = {}, at }: QuestionOptions = {}): Told {
  return {
    kind: "question",
    approvalId,
    question: kind,
    callId: call ?? null,
    tool: call === undefined ? null : "find",
    input,
    inputHash: "",
    reason: "",
    ...(at === undefined ? {} : { at }),
  };
}

export function answer(approvalId: string, given: Answer, at?: number): Told {
  return { kind: "answer", approvalId, answer: given, by: "ann", ...(at === undefined ? {} : { at }) };
}

export function message(prompt: string, context: Json = null): Told {
  return { kind: "message", messageId: `message ${prompt}`, prompt, context, userId: null };
}

export function failure(retryAt: number | null): Told {
  return { kind: "failure", code: "model_unavailable", message: "no answer", attempts: [], retryAt };
}

/** Why a model turn could not be made: it was more than any model of the route takes. */
export function refusal(message = "The prompt is too long."): Told {
  return { kind: "failure", code: "model_context_too_long", message, attempts: [], retryAt: null };
}

export function compression(options: Partial<CompressionEntry> = {}): Told {
  return {
    kind: "compression",
    keptTurns: 1,
    outcomeChars: null,
    summary: "What was before.",
    model: "rules/default",
    usage: { input: 0, cached: 0, output: 0, reasoning: 0, estimated: false },
    costMicros: 0,
    attempts: [],
    tokensBefore: 100,
    tokensAfter: 50,
    ...options,
  };
}

export function end(status: "completed" | "failed" | "cancelled" = "failed"): Told {
  return { kind: "end", status, error: null, message: "" };
}

export function replay(prompt: string | null, at?: number): Told {
  return { kind: "replay", prompt, by: "ann", ...(at === undefined ? {} : { at }) };
}
