/** How often the caches hit: sql/0017_cache_lookups.sql has that of answers, the ledger that of the providers' prompts. */
import type { Statement } from "../database.ts";
import { encodeJson } from "../json.ts";

export interface CacheLookupRow {
  /** Empty: an outside program. */
  readonly agent: string;
  readonly model: string;
  readonly hits: number;
  readonly shared: number;
  readonly stale: number;
  readonly misses: number;
  readonly savedTokens: number;
  readonly savedMicros: number;
}

export interface PromptCachingRow {
  readonly model: string;
  readonly calls: number;
  readonly input: number;
  readonly cached: number;
}

const counts = ["hits", "shared", "stale", "misses", "saved_tokens", "saved_micros"];
const fields = `agent text, model text, hits bigint, shared bigint, stale bigint, misses bigint, "savedTokens" bigint,
  "savedMicros" bigint`;

/** Rows are taken in one order by every process, so that two do not wait for each other. What is old goes. */
export function addCacheLookupsStatement(rows: readonly CacheLookupRow[]): Statement {
  return {
    text: `with old as (delete from cache_lookup where hour < holdfast_now() - interval '90 days')
           insert into cache_lookup as c (hour, agent, model, ${counts.join(", ")})
           select date_trunc('hour', holdfast_now(), 'UTC'), r.agent, r.model, r.hits, r.shared, r.stale, r.misses,
             r."savedTokens", r."savedMicros"
           from jsonb_to_recordset($1::jsonb) as r(${fields})
           order by r.agent, r.model
           on conflict (hour, agent, model) do update set
             ${counts.map((column) => `${column} = c.${column} + excluded.${column}`).join(", ")}`,
    values: [encodeJson(rows)],
  };
}

/** Rows are `CacheLookupRow`, those that were asked most first. An hour counts as a whole if a part of it is asked for. */
export function cacheLookupsStatement({ hours, limit }: { hours: number; limit: number }): Statement {
  const sums = counts.map((column) => `sum(${column}) as ${column}`).join(", ");
  return {
    text: `select agent, model, hits, shared, stale, misses, saved_tokens as "savedTokens", saved_micros as "savedMicros"
           from (
             select agent, model, ${sums} from cache_lookup
             where hour > holdfast_now() - $1::float8 * interval '1 hour' - interval '1 hour'
             group by agent, model) c
           order by hits + shared + stale + misses desc, agent, model limit $2`,
    values: [hours, limit],
  };
}

/**
 * Rows are `PromptCachingRow`, those with the most input first. Only what the provider itself reported counts; embeddings,
 * which say nothing, the rules in the process, which keep nothing, and evaluations do not. The ledger's index begins with the tenant: it is entered once for each.
 */
export function promptCachingStatement({ hours, limit }: { hours: number; limit: number }): Statement {
  return {
    text: `with recursive owner as (
             (select tenant from usage order by tenant limit 1)
             union all
             select (select u.tenant from usage u where u.tenant > o.tenant order by u.tenant limit 1) from owner o
             where o.tenant is not null
           )
           select u.model, count(*) as calls, sum(u.input) as input, sum(u.cached) as cached
           from owner o cross join lateral (
             select model, input, cached from usage
             where tenant = o.tenant and at > holdfast_now() - $1::float8 * interval '1 hour' and not estimated and output > 0
               and purpose is null and model not like 'rules/%') u
           group by u.model order by sum(u.input) desc, u.model limit $2`,
    values: [hours, limit],
  };
}
