/** Conversations. */
import type { Json } from "../../agent/json.ts";

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
