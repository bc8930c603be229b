/** A virtual key in the terms of the API. */
import type * as wire from "../../client/wire.ts";
import type { KeyRow } from "../../store/queries/virtual-keys.ts";
import { dollars, time, timeOrNull } from "./wire-values.ts";

export function toWireKey(row: KeyRow): wire.Key {
  const status = row.revokedAt !== null ? "revoked" : row.expired ? "expired" : "active";
  return {
    id: row.id,
    tenant: row.tenant,
    name: row.name,
    prefix: row.prefix,
    status,
    models: [...row.models],
    budget_usd: { day: dollars(row.dayBudget), month: dollars(row.monthBudget), total: dollars(row.totalBudget) },
    spent_usd: { day: dollars(row.daySpent), month: dollars(row.monthSpent), total: dollars(row.totalSpent) },
    requests_per_minute: row.requestsPerMinute,
    tokens_per_minute: row.tokensPerMinute,
    created_at: time(row.createdAt),
    expires_at: timeOrNull(row.expiresAt),
    revoked_at: timeOrNull(row.revokedAt),
  };
}
