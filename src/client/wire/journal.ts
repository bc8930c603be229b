/** The journal of a task, and its stream. */
import type { Json } from "../../agent/json.ts";
import type { Answer, ApprovalKind } from "./approvals.ts";
import type { AgentResult } from "./tasks.ts";

/** An entry of a task's journal; `seq` counts from 1 without gaps. */
export type Entry = EntryBody & { seq: number; at: string };

export type EntryBody =
  | AssignmentEntry
  | ModelEntry
  | CompressionEntry
  | { kind: "deferred"; call_id: string; model: string; until: string }
  | { kind: "intent"; call_id: string; tool: string; key: string }
  | { kind: "tool"; call_id: string; tool: string; outcome: ToolOutcome; ms: number }
  | QuestionEntry
  | { kind: "answer"; approval_id: string; answer: Answer; by: string }
  | { kind: "message"; message_id: string; prompt: string; context: Json; user_id: string | null }
  | { kind: "failure"; code: string; message: string; attempts: FailedAttempt[]; retry_at: string | null }
  | { kind: "replay"; prompt: string | null; by: string }
  | { kind: "end"; status: "completed" | "failed" | "cancelled"; error: string | null; message: string };

/** Whoever sent the task named no agent: which one was chosen, and why. */
export interface AssignmentEntry {
  kind: "assignment";
  agent: string;
  method: "session" | "embeddings" | "words" | "otherwise";
  reason: string;
  /** How well each fits, the best first; empty: they were not compared. */
  scores: { agent: string; score: number }[];
  /** The embedding model that was asked, and what that took. */
  model?: string;
  usage?: Usage;
  cost_usd?: number | null;
}

export interface ModelEntry {
  kind: "model";
  parts: AssistantPart[];
  calls: PlannedCall[];
  finish: "stop" | "calls" | "length" | "content_filter" | "interrupted";
  model: string;
  usage: Usage;
  cost_usd: number | null;
  ttft_ms: number;
  tpot_ms: number;
  attempts: FailedAttempt[];
  /** Why this candidate of the route and no other. */
  choice?: { strategy: string; reason: string };
  /** The fault of a game day that the answer came through in spite of. */
  injected?: string;
  /** No model was asked: the answer to the same question was at hand. */
  hit?: "cache";
  /** With a hit: what the answer took when a model gave it. */
  saved?: { usage: Usage; cost_usd: number | null };
}

/** The conversation had grown too long for every model of the route: from here on less of it is shown. */
export interface CompressionEntry {
  kind: "compression";
  /** So many of the newest model turns are still shown as they are. */
  kept_turns: number;
  /** Outcomes of the newest turn are shown up to this many characters; null: whole. */
  outcome_chars: number | null;
  /** Shown in the place of all that was before them but the prompt; null: all of it is shown. */
  summary: string | null;
  /** Who wrote it; null: it was made by rule, or there is none. */
  model: string | null;
  usage: Usage;
  cost_usd: number | null;
  attempts: FailedAttempt[];
  /** Estimated input of the next model call. */
  tokens_before: number;
  tokens_after: number;
}

/** Tokens of a model call. `input` includes `cached`, `output` includes `reasoning`; `estimated`: nobody reported them. */
export interface Usage {
  input: number;
  cached: number;
  output: number;
  reasoning: number;
  estimated: boolean;
}

export type AssistantPart =
  | { type: "text" | "reasoning"; text: string }
  | { type: "call"; id: string; tool: string; input: Json };

export interface PlannedCall {
  id: string;
  tool: string;
  input: Json;
  version?: string;
  effect?: "read" | "idempotent" | "once";
  needs_approval: boolean;
  problem?: { code: string; message: string };
}

export interface FailedAttempt {
  model: string;
  code: string;
  message: string;
  ms: number;
  at?: string;
  /** What it used and cost, though it gave no answer that counts. */
  usage?: Usage;
  cost_usd?: number | null;
  /** The fault of a game day that struck it. */
  injected?: string;
}

/** `large`: the whole value is at `/tasks/{id}/values/{hash}`, and `output` holds only its beginning as text. */
export type ToolOutcome =
  | { ok: true; output: Json; large?: { hash: string; bytes: number } }
  | { ok: false; code: string; message: string };

export interface QuestionEntry {
  kind: "question";
  approval_id: string;
  question: ApprovalKind;
  call_id: string | null;
  tool: string | null;
  input: Json;
  input_hash: string;
  reason: string;
}

export type Delta = { type: "text" | "reasoning"; text: string } | { type: "restart" };

/** What the stream of a task brings. Only entries have a place in it (`entry.seq`). */
export type TaskEvent =
  | { type: "entry"; entry: Entry }
  | { type: "delta"; delta: Delta }
  /** The whole text so far of the turn in flight; replaces what deltas brought. */
  | { type: "partial"; text: string }
  /** The task has ended; nothing follows. */
  | { type: "result"; result: AgentResult };
