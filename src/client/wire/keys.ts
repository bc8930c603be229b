/** Virtual keys: who may call models through the gateway. */

export interface KeyBody {
  name: string;
  tenant?: string | undefined;
  /** The models it may call; `*` stands for any characters. Default: all. */
  models?: string[] | undefined;
  budget_usd?: { day?: number | undefined; month?: number | undefined; total?: number | undefined } | undefined;
  requests_per_minute?: number | undefined;
  tokens_per_minute?: number | undefined;
  expires_at?: string | undefined;
}

export interface Key {
  id: string;
  tenant: string;
  name: string;
  /** The beginning of its secret. */
  prefix: string;
  status: "active" | "expired" | "revoked";
  models: string[];
  budget_usd: { day: number | null; month: number | null; total: number | null };
  /** What was spent, or is reserved for calls under way. */
  spent_usd: { day: number; month: number; total: number };
  requests_per_minute: number | null;
  tokens_per_minute: number | null;
  created_at: string;
  expires_at: string | null;
  revoked_at: string | null;
}

export interface CreatedKey extends Key {
  /** Shown this once. */
  secret: string;
}
