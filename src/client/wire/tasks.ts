/** Tasks: what is submitted, and what is answered about one. */
import type { Json, JsonObject } from "../../agent/json.ts";
import type { Problem } from "./problem.ts";

export type TaskStatus = "pending" | "running" | "waiting" | "completed" | "failed" | "cancelled";

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
