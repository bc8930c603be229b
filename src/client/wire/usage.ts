/** The ledger, summed up. */

export type UsageDimension = "agent" | "session" | "user" | "model" | "day" | "key" | "purpose";
export type UsagePurpose = "production" | "evaluation";

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
  /** What the calls were made for. */
  purpose?: UsagePurpose;
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
