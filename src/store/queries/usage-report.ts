/** Sums of the ledger, by whatever is asked for. */
import type { Statement } from "../database.ts";

export const usageDimensions = ["agent", "session", "user", "model", "day", "key", "purpose"] as const;
export type UsageDimension = (typeof usageDimensions)[number];

export const usagePurposes = ["production", "evaluation"] as const;
export type UsagePurpose = (typeof usagePurposes)[number];

export interface UsageReport {
  readonly tenant: string;
  /** What the sums are by, in this order; none: one sum of all. */
  readonly by: readonly UsageDimension[];
  /** From this time on, and before that one; milliseconds since the epoch. */
  readonly from?: number | undefined;
  readonly to?: number | undefined;
  readonly agent?: string | undefined;
  readonly sessionId?: string | undefined;
  readonly userId?: string | undefined;
  readonly model?: string | undefined;
  readonly purpose?: UsagePurpose | undefined;
  readonly limit: number;
  /** How many sums come before the first that is wanted. */
  readonly offset?: number;
}

export interface UsageSum {
  /** By what is asked for; null: there is none, as with a task without a user. */
  readonly agent?: string | null;
  readonly session?: string | null;
  readonly user?: string | null;
  readonly model?: string;
  /** In UTC, as in "2026-11-21". */
  readonly day?: string;
  readonly key?: string | null;
  readonly purpose?: UsagePurpose;
  readonly calls: number;
  /** Of these: those that gave no answer that counts, of which the tokens are estimates, and whose price is unknown. */
  readonly failed: number;
  readonly estimated: number;
  readonly unpriced: number;
  readonly input: number;
  readonly cached: number;
  readonly output: number;
  readonly reasoning: number;
  /** Without that of unpriced calls; null: all are. */
  readonly costMicros: number | null;
}

const expressions: Readonly<Record<UsageDimension, string>> = {
  agent: "agent",
  session: "session_id",
  user: "user_id",
  model: "model",
  day: "to_char(at at time zone 'UTC', 'YYYY-MM-DD')",
  key: "key_id",
  purpose: "coalesce(purpose, 'production')",
};

/** Rows are `UsageSum`, the dearest first; of several days, day after day. */
export function usageReportStatement(report: UsageReport): Statement {
  const { tenant, by, limit, offset = 0 } = report;
  const values: unknown[] = [tenant, limit, offset];
  const conditions = ["tenant = $1"];
  const where = (condition: (parameter: string) => string, value: unknown): void => {
    if (value !== undefined) conditions.push(condition(`$${values.push(value)}`));
  };
  where((from) => `at >= to_timestamp(${from}::float8 / 1000)`, report.from);
  where((to) => `at < to_timestamp(${to}::float8 / 1000)`, report.to);
  where((agent) => `agent = ${agent}`, report.agent);
  where((session) => `session_id = ${session}`, report.sessionId);
  where((user) => `user_id = ${user}`, report.userId);
  where((model) => `model = ${model}`, report.model);
  where((purpose) => `${expressions.purpose} = ${purpose}`, report.purpose);
  const columns = by.map((dimension) => `${expressions[dimension]} as "${dimension}", `).join("");
  const places = by.map((_, index) => String(index + 1));
  const days = by.flatMap((dimension, index) => (dimension === "day" ? places[index]! : []));
  return {
    text: `select ${columns}count(*) as calls, count(code) as failed, count(*) filter (where estimated) as estimated,
             count(*) - count(cost_micros) as unpriced,
             ${["input", "cached", "output", "reasoning"].map((column) => `coalesce(sum(${column}), 0) as ${column}`).join(", ")},
             case when count(*) = 0 then 0 else sum(cost_micros) end as "costMicros"
           from usage where ${conditions.join(" and ")}
           ${places.length === 0 ? "" : `group by ${places.join(", ")}`}
           order by ${[...days, `"costMicros" desc nulls last`, ...places].join(", ")}
           limit $2 offset $3`,
    values,
  };
}
