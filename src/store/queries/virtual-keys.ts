/** Virtual keys: identified by a hash, charged under the lock of their row. See sql/0011_virtual_keys.sql. */
import type { Statement } from "../database.ts";

/** What a key may do. Money in micro-dollars, times in milliseconds since the epoch; null: no bound. */
export interface KeyTerms {
  readonly tenant: string;
  readonly name: string;
  readonly models: readonly string[];
  readonly dayBudget: number | null;
  readonly monthBudget: number | null;
  readonly totalBudget: number | null;
  readonly requestsPerMinute: number | null;
  readonly tokensPerMinute: number | null;
  readonly expiresAt: number | null;
}

export interface NewKey extends KeyTerms {
  readonly id: string;
  readonly hash: string;
  readonly prefix: string;
}

export interface KeyRow extends KeyTerms {
  readonly id: string;
  readonly prefix: string;
  /** Spent or reserved, as of now. */
  readonly daySpent: number;
  readonly monthSpent: number;
  readonly totalSpent: number;
  readonly revokedAt: number | null;
  readonly createdAt: number;
  readonly expired: boolean;
}

/** Why a call may not be made now. */
export type KeyRefusal = "revoked" | "expired" | "day" | "month" | "total" | "requests" | "tokens";

export interface ReserveKey {
  readonly id: string;
  readonly micros: number;
  readonly tokens: number;
}

export interface ReservedKey {
  readonly refusal: KeyRefusal | null;
  /** When it was charged: the day as text, and the second since the epoch. */
  readonly day: string;
  readonly second: number;
  /** Until some of what was asked for in the last minute is no longer of it. */
  readonly minuteLeftMs: number;
  readonly dayLeftMs: number;
  readonly monthLeftMs: number;
}

/** By how much a reservation was wrong. */
export interface SettleKey {
  readonly id: string;
  readonly day: string;
  readonly second: number;
  readonly micros: number;
  readonly tokens: number;
}

const today = "(holdfast_now() at time zone 'utc')::date";
const thisDay = `case when k.spent_on = ${today} then k.day_spent else 0 end`;
const thisMonth = `case when date_trunc('month', k.spent_on) = date_trunc('month', ${today}) then k.month_spent else 0 end`;

const keyColumns = `k.id, k.tenant, k.name, k.prefix, k.models, k.day_budget as "dayBudget", k.month_budget as "monthBudget",
  k.total_budget as "totalBudget", k.requests_per_minute as "requestsPerMinute", k.tokens_per_minute as "tokensPerMinute",
  k.expires_at as "expiresAt", ${thisDay} as "daySpent", ${thisMonth} as "monthSpent", k.total_spent as "totalSpent",
  k.revoked_at as "revokedAt", k.created_at as "createdAt", coalesce(k.expires_at <= holdfast_now(), false) as expired`;

export function insertKeyStatement(key: NewKey): Statement {
  return {
    text: `insert into virtual_key as k (id, tenant, name, hash, prefix, models, day_budget, month_budget, total_budget,
             requests_per_minute, tokens_per_minute, expires_at)
           values ($1, $2, $3, $4, $5, $6::text[], $7, $8, $9, $10, $11, to_timestamp($12::float8 / 1000.0))
           returning ${keyColumns}`,
    values: [
      key.id,
      key.tenant,
      key.name,
      key.hash,
      key.prefix,
      key.models,
      key.dayBudget,
      key.monthBudget,
      key.totalBudget,
      key.requestsPerMinute,
      key.tokensPerMinute,
      key.expiresAt,
    ],
  };
}

/** Rows are `KeyRow` with its `hash`. */
export function keysByHashStatement(hashes: readonly string[]): Statement {
  return {
    name: "keys_by_hash",
    text: `select k.hash, ${keyColumns} from virtual_key k where k.hash = any($1::text[])`,
    values: [hashes],
  };
}

/** One row, `{found}`: whether there is any key at all, be it of use or not. */
export const anyKeyStatement: Statement = {
  name: "any_key",
  text: "select exists (select from virtual_key) as found",
  values: [],
};

/** Newest first; after `before`, an id. */
export function keysStatement({ before, limit }: { before: string | undefined; limit: number }): Statement {
  return {
    text: `select ${keyColumns} from virtual_key k where $1::uuid is null or k.id < $1 order by k.id desc limit $2`,
    values: [before ?? null, limit],
  };
}

/** A row `{id}`: there is such a key, and now it is revoked. */
export function revokeKeyStatement(id: string): Statement {
  return {
    text: "update virtual_key set revoked_at = coalesce(revoked_at, holdfast_now()) where id = $1 returning id",
    values: [id],
  };
}

/**
 * Charges a key with what a call may come to, if it may be made. The second statement's row is `ReservedKey`. It must be a
 * statement of its own: only one that begins under the lock sees what others counted before they let go of it.
 */
export function reserveKeyStatements({ id, micros, tokens }: ReserveKey): Statement[] {
  return [
    { name: "lock_key", text: "select from virtual_key where id = $1 for no key update", values: [id] },
    { name: "reserve_key", text: reserveSql, values: [id, micros, tokens] },
  ];
}

const reserveSql = `
with moment as materialized (
  select holdfast_now() as at, extract(epoch from holdfast_now())::bigint as second
), recent as materialized (
  select coalesce(sum(s.requests), 0) as requests, coalesce(sum(s.tokens), 0) as tokens, min(s.second) as oldest
  from virtual_key_second s, moment where s.key_id = $1 and s.second > moment.second - 61
), asked as materialized (
  select k.id, ${thisDay} as day_spent, ${thisMonth} as month_spent,
    case
      when k.revoked_at is not null then 'revoked'
      when k.expires_at <= moment.at then 'expired'
      when k.total_spent + $2::bigint > k.total_budget then 'total'
      when ${thisMonth} + $2::bigint > k.month_budget then 'month'
      when ${thisDay} + $2::bigint > k.day_budget then 'day'
      when recent.requests + 1 > k.requests_per_minute then 'requests'
      when recent.tokens + $3::bigint > k.tokens_per_minute then 'tokens'
    end as refusal
  from virtual_key k, moment, recent where k.id = $1
), charged as (
  update virtual_key k set spent_on = ${today}, day_spent = asked.day_spent + $2::bigint,
    month_spent = asked.month_spent + $2::bigint, total_spent = k.total_spent + $2::bigint
  from asked where k.id = asked.id and asked.refusal is null
), counted as (
  insert into virtual_key_second as s (key_id, second, requests, tokens)
  select asked.id, moment.second, 1, $3::bigint from asked, moment where asked.refusal is null
  on conflict (key_id, second) do update set requests = s.requests + 1, tokens = s.tokens + excluded.tokens
), swept as (
  delete from virtual_key_second s using moment where s.key_id = $1 and s.second <= moment.second - 61
)
select asked.refusal, (${today})::text as day, moment.second,
  (coalesce(recent.oldest + 61 - moment.second, 1) * 1000)::int as "minuteLeftMs",
  extract(epoch from date_trunc('day', moment.at at time zone 'utc') + interval '1 day'
    - moment.at at time zone 'utc') * 1000 as "dayLeftMs",
  extract(epoch from date_trunc('month', moment.at at time zone 'utc') + interval '1 month'
    - moment.at at time zone 'utc') * 1000 as "monthLeftMs"
from asked, moment, recent`;

/**
 * The part of a statement that ends tasks which puts their keys right: each was charged with the most that its task might
 * come to. A task without a price leaves it at that. What it cost more than that is spent today.
 *
 * Keys are locked in the order of their ids, after the tasks. Tasks without a key cost a look at nothing.
 * @param ended the CTE with the tasks, whose `cost_micros` is what they came to
 */
export function settleTasks(ended: string): string {
  return `due as materialized (
  select key_id, cost_micros - key_charged as micros,
    case when cost_micros > key_charged then ${today} else (created_at at time zone 'utc')::date end as day
  from ${ended} where key_id is not null and cost_micros is not null
), payer as materialized (
  select k.id from virtual_key k where k.id = any (array(select key_id from due)) order by k.id for no key update
), settled as (
  update virtual_key k set spent_on = ${today}, day_spent = greatest(0, ${thisDay} + m.day),
    month_spent = greatest(0, ${thisMonth} + m.month), total_spent = greatest(0, k.total_spent + m.total)
  from payer p join (
    select key_id, sum(micros) as total, coalesce(sum(micros) filter (where day = ${today}), 0) as day,
      coalesce(sum(micros) filter (where date_trunc('month', day) = date_trunc('month', ${today})), 0) as month
    from due group by key_id
  ) m on m.key_id = p.id
  where k.id = p.id
)`;
}

/** Puts reservations right. Keys are locked in the order of their ids, as everywhere. */
export function settleKeysStatements(settlements: readonly SettleKey[]): Statement[] {
  const columns = [
    settlements.map(({ id }) => id),
    settlements.map(({ day }) => day),
    settlements.map(({ second }) => second),
    settlements.map(({ micros }) => micros),
    settlements.map(({ tokens }) => tokens),
  ];
  return [
    {
      name: "lock_keys",
      text: "select from virtual_key where id = any($1::uuid[]) order by id for no key update",
      values: [columns[0]],
    },
    { name: "settle_keys", text: settleSql, values: columns },
  ];
}

const settleSql = `
with settled as materialized (
  select * from unnest($1::uuid[], $2::date[], $3::bigint[], $4::bigint[], $5::bigint[]) as s(id, day, second, micros, tokens)
), money as (
  select s.id, sum(s.micros) as total, coalesce(sum(s.micros) filter (where s.day = k.spent_on), 0) as day,
    coalesce(sum(s.micros) filter (where date_trunc('month', s.day) = date_trunc('month', k.spent_on)), 0) as month
  from settled s join virtual_key k on k.id = s.id group by s.id
), paid as (
  update virtual_key k set day_spent = greatest(0, k.day_spent + m.day), month_spent = greatest(0, k.month_spent + m.month),
    total_spent = greatest(0, k.total_spent + m.total)
  from money m where k.id = m.id
), pace as (
  select id, second, sum(tokens) as tokens from settled group by id, second
)
update virtual_key_second s set tokens = greatest(0, s.tokens + p.tokens)
from pace p where s.key_id = p.id and s.second = p.second`;
