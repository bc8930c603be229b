/**
 * The shapes of the HTTP API as they travel: JSON in snake_case, times in RFC 3339, money in dollars. The server answers
 * in these very types; what is the user's own (tool inputs and outputs, context, metadata) is never renamed.
 */
import type { Json, JsonObject } from "../agent/json.ts";

export type TaskStatus = "pending" | "running" | "waiting" | "completed" | "failed" | "cancelled";

/** A page of a list; `next_cursor` is what to pass as `cursor` for the next one, null at the end. */
export interface Page<Item> {
  items: Item[];
  next_cursor: string | null;
}

// --- tasks ---------------------------------------------------------------------------------------------------------

export interface TaskBody {
  prompt: string;
  /** May be left out where the service hosts one agent. */
  agent?: string | undefined;
  /** Absent: a new conversation. */
  session_id?: string | undefined;
  user_id?: string | undefined;
  /** Given to the agent with the prompt. */
  context?: Json | undefined;
  /** Kept with the task; the agent does not see it. */
  metadata?: JsonObject | undefined;
  max_steps?: number | undefined;
  token_budget?: number | undefined;
  cost_budget_usd?: number | undefined;
  deadline_ms?: number | undefined;
  priority?: number | undefined;
  /** Its model turns go through the provider's batch API: slower, and at half the price. */
  deferred?: boolean | { within_ms?: number | undefined; otherwise?: "call" | "fail" | undefined } | undefined;
  /**
   * What becomes of it if a task of the session is at work. `queue` (default): it is a task of its own, after it. `inject`:
   * it is given to that task before its next model turn. `interrupt`: the same, and a model turn in flight is cut off.
   */
  while_busy?: "queue" | "inject" | "interrupt" | undefined;
}

export interface RunBody extends TaskBody {
  /** How long to wait for the end of the task; default 30,000, at most 300,000. */
  wait_ms?: number | undefined;
}

export interface BatchBody {
  /** At most 100. */
  tasks: (TaskBody & { idempotency_key?: string | undefined })[];
}

export interface RetryBody {
  /** Absent: go on from where it stopped; given: start again with this prompt. */
  prompt?: string | undefined;
  by?: string | undefined;
}

export interface CancelBody {
  by?: string | undefined;
}

export interface ForkBody {
  /** The last model turn to keep, with its tools, from 1; 0: none; absent: all that are whole. */
  step?: number | undefined;
  prompt?: string | undefined;
  /** `provider/model`, or several to try in order. */
  model?: string | string[] | undefined;
}

export interface AgentResult {
  task_id: string;
  session_id: string;
  status: TaskStatus;
  /** The answer, or as much of it as there is. */
  output: string;
  steps_used: number;
  tokens_used: number;
  tool_calls: number;
  /** Null: the price of a model was unknown. */
  cost_usd: number | null;
  /** A stable code, or null. */
  error: string | null;
  duration_ms: number;
}

export interface TaskLinks {
  self: string;
  events: string;
  journal: string;
  cancel: string;
}

/** What accepting a task answers; or, with a `message_id`, that a message was left for the task at work. */
export interface Accepted {
  task_id: string;
  session_id: string;
  status: TaskStatus;
  /** As it will stand in the journal of the task; if that ends without having heard it, it is a task of this id. */
  message_id?: string;
  links: TaskLinks;
}

/** What `POST /run` answers when the task has not ended in time. */
export interface Unfinished extends AgentResult {
  /** It was left as a message for this task, which was at work. */
  message_id?: string;
  links: TaskLinks;
}

export type BatchItem = { task: Accepted } | { problem: Problem };

/** A task in a list. Of a running one the numbers are as of its last stop; `GET /tasks/{id}` has them as of now. */
export interface TaskSummary extends AgentResult {
  agent: string;
  user_id: string | null;
  priority: number;
  /** In a list, its first 500 characters. */
  prompt: string;
  dead_letter: boolean;
  forked_from: string | null;
  error_message: string | null;
  created_at: string;
  started_at: string | null;
  finished_at: string | null;
}

export interface Task extends TaskSummary {
  context: Json;
  metadata: JsonObject;
}

// --- the journal and its stream -------------------------------------------------------------------------------------

/** An entry of a task's journal; `seq` counts from 1 without gaps. */
export type Entry = EntryBody & { seq: number; at: string };

export type EntryBody =
  | ModelEntry
  | { kind: "deferred"; call_id: string; model: string; until: string }
  | { kind: "intent"; call_id: string; tool: string; key: string }
  | { kind: "tool"; call_id: string; tool: string; outcome: ToolOutcome; ms: number }
  | QuestionEntry
  | { kind: "answer"; approval_id: string; answer: Answer; by: string }
  | { kind: "message"; message_id: string; prompt: string; context: Json; user_id: string | null }
  | { kind: "failure"; code: string; message: string; attempts: FailedAttempt[]; retry_at: string | null }
  | { kind: "replay"; prompt: string | null; by: string }
  | { kind: "end"; status: "completed" | "failed" | "cancelled"; error: string | null; message: string };

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

// --- approvals -------------------------------------------------------------------------------------------------------

export type ApprovalKind = "tool" | "uncertain" | "limit" | "stutter";

export interface Approval {
  id: string;
  task_id: string;
  agent: string;
  kind: ApprovalKind;
  call_id: string | null;
  tool: string | null;
  input: Json;
  input_hash: string;
  reason: string;
  status: "pending" | "answered" | "cancelled";
  answer: Answer | null;
  answered_by: string | null;
  created_at: string;
  answered_at: string | null;
  expires_at: string | null;
}

export interface RaisedLimits {
  max_steps?: number | undefined;
  tokens?: number | undefined;
  cost_usd?: number | undefined;
}

/** An answer as it was kept. */
export type Answer =
  | { decision: "approve"; comment?: string }
  | { decision: "deny" | "failed"; comment: string }
  | { decision: "edit"; input: Json; comment?: string }
  | { decision: "succeeded"; output: Json }
  | { decision: "retry" | "end" }
  | { decision: "continue"; advice: string; limits: RaisedLimits };

/**
 * An answer as it is given. A question of kind `tool` takes approve, deny or edit; `uncertain` takes succeeded, failed or
 * retry; `limit` and `stutter` take continue or end.
 */
export interface AnswerBody {
  decision: Answer["decision"];
  /** The arguments to run with; for `edit`. */
  input?: Json | undefined;
  /** What the tool answered; for `succeeded`. */
  output?: Json | undefined;
  /** For `deny` and `failed`: told to the agent. For `approve` and `edit`: kept in the journal. */
  comment?: string | undefined;
  /** Told to the agent; for `continue`. */
  advice?: string | undefined;
  /** New ceilings, for `continue`; what is left out is doubled if it was reached. */
  limits?: RaisedLimits | undefined;
  /** Who decided; default "operator". */
  by?: string | undefined;
}

// --- sessions and agents -----------------------------------------------------------------------------------------------

export interface Session {
  session_id: string;
  /** Tasks that have not ended. */
  open_tasks: number;
  created_at: string;
  updated_at: string;
}

export type Message =
  | { role: "user"; content: string; task_id: string }
  | {
      role: "assistant";
      content: string;
      tool_calls?: { id: string; name: string; arguments: Json }[];
      task_id: string;
    }
  /** `error`: the call failed with this code, and `content` says why. */
  | { role: "tool"; tool_call_id: string; name: string; content: string; error?: string; task_id: string };

export interface Agent {
  name: string;
  version: string;
  description: string;
  /** The candidates in the order they are tried. */
  model: string[];
  /** References to tools, `name` or `name@range`. */
  tools: string[];
  limits: {
    max_steps: number;
    tokens: number;
    cost_usd: number | null;
    deadline_ms: number | null;
    on_limit: "stop" | "ask";
  };
}

export interface AgentDetail extends Omit<Agent, "tools"> {
  instructions: string;
  tools: {
    name: string;
    version: string;
    description: string;
    effect: "read" | "idempotent" | "once";
    /** JSON Schema 2020-12. */
    parameters: JsonObject;
    returns: JsonObject | null;
  }[];
}

// --- usage ------------------------------------------------------------------------------------------------------------

export type UsageDimension = "agent" | "session" | "user" | "model" | "day" | "key";

/** What calls to models used and cost, by what was asked for. */
export interface UsageSum {
  agent?: string | null;
  session_id?: string | null;
  user_id?: string | null;
  model?: string;
  /** In UTC, as in "2026-11-21". */
  day?: string;
  /** The virtual key that was used. */
  key_id?: string | null;
  calls: number;
  /** Of the calls: those that gave no answer that counts, and were paid for. */
  failed_calls: number;
  /** Of the calls: those whose tokens nobody reported. */
  estimated_calls: number;
  /** Of the calls: those of models whose price is unknown; `cost_usd` is without them. */
  unpriced_calls: number;
  input_tokens: number;
  cached_tokens: number;
  output_tokens: number;
  reasoning_tokens: number;
  /** Null: the price of none of the calls is known. */
  cost_usd: number | null;
}

// --- experiments with model calls ---------------------------------------------------------------------------------------

export type { Drill, DrillBody, DrillPath, Fault, Faults, FaultsBody, ModelErrorCode } from "./experiment-wire.ts";

// --- the service ---------------------------------------------------------------------------------------------------------

export interface Readiness {
  /** `degraded`: it works, but what needs a model that is out waits for it. */
  status: "ready" | "degraded" | "not_ready";
  checks: { name: string; ok: boolean; detail: string }[];
}

/** RFC 9457, with a stable `code` and, where the fault lies in the input, its `path` as a JSON pointer. */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: string;
  path?: string;
  instance?: string;
}

// --- virtual keys -------------------------------------------------------------------------------------------------------

export type { CreatedKey, Key, KeyBody } from "./keys.ts";
