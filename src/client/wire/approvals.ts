/** What waits for a human, and the answers. */
import type { Json } from "../../agent/json.ts";

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
