/**
 * The limits of a model provider, kept by all processes together: one transaction, in one round trip, says what has become
 * of earlier grants, tells what was learned of the limit, and asks for as many new grants as fit.
 *
 * Time is cut into buckets, sixty to a window, by the clock of the database. What was granted counts in the bucket it was
 * granted in, and in `buckets` of them in all: more than a window's sixty, as a window may begin in the middle of a bucket
 * and a call takes its time to arrive. So no window of the provider, whenever it begins, sees more than the limit.
 *
 * What is free does not go out at once: a bucket gets an eighth of it, or what has just aged out but for a little, or
 * somewhat more than its even part of the limit. So a crowd that begins together is spread out further with every window,
 * instead of coming back together in each, with nothing for anyone in between; and a provider that looks at shorter times
 * than a window is not startled.
 *
 * An ask is served in the order it gives, up to the first call that does not fit, so that a large call is not overtaken
 * for ever by small ones. Among processes that wait, those served longest ago have their first call kept free, and nobody
 * takes more than an equal part. But nobody stands back for a call that is so large that its wait would be in vain: others
 * pass it by, until enough is free.
 */
import type { Statement } from "../database.ts";

/** How time is counted at a gate. */
export interface GateWindow {
  readonly windowMs: number;
  readonly bucketMs: number;
  /** In which a grant counts. */
  readonly buckets: number;
  /** The part of what is free that may go out in one bucket: 1, all of it at once. */
  readonly burst: number;
}

/** Null: no limit. */
export interface GateCaps {
  readonly concurrent: number | null;
  /** Of a window. */
  readonly requests: number | null;
  readonly tokens: number | null;
}

/** A change to what is counted in a bucket. */
export interface GateAdjustment {
  readonly bucket: number;
  readonly requests: number;
  readonly tokens: number;
}

/** What a provider said. */
export interface GateNews {
  /** Limits of its headers; null: it says none. */
  readonly requests: number | null;
  readonly tokens: number | null;
  /** It has counted so much in the current window; null: it does not say. */
  readonly counted: { readonly requests: number | null; readonly tokens: number | null };
  /** What was counted here when the call that this comes from was granted. */
  readonly usedAtGrant: { readonly requests: number; readonly tokens: number };
  /** It refused a call that was granted at that time, by the database's clock in milliseconds, and wants peace for so long. */
  readonly refused: { readonly grantedAt: number; readonly blockMs: number } | null;
}

export interface GateAsk {
  readonly gate: string;
  /** A UUID. */
  readonly process: string;
  readonly window: GateWindow;
  readonly caps: GateCaps;
  /** Calls of this process under way. */
  readonly inFlight: number;
  readonly adjustments: readonly GateAdjustment[];
  readonly news: GateNews | null;
  /** The tokens of the calls that wait, in the order in which they are to be granted. */
  readonly wanted: readonly number[];
}

export interface GateAnswer {
  /** How many of those wanted may begin. */
  readonly granted: number;
  /** What was counted for them: a call that asks for more than the limit counts as the whole of it. */
  readonly grantedTokens: number;
  /** They count in it. */
  readonly bucket: number;
  /** The time of the database in milliseconds. */
  readonly now: number;
  /** What is counted now, these included. */
  readonly usedRequests: number;
  readonly usedTokens: number;
  /** The limits as they stand, adapted; null: none is known. */
  readonly limitRequests: number | null;
  readonly limitTokens: number | null;
  /** The provider counts more than we do. */
  readonly foreign: boolean;
  readonly blockedForMs: number;
  /** Processes with calls that wait, this one included. */
  readonly waiting: number;
  /** Calls of more tokens were passed by; null: none was. */
  readonly reachTokens: number | null;
  /** When there may be room for what was not granted, if nothing is given back before; null: all was granted. */
  readonly againMs: number | null;
}

/** The row of the last statement is `GateAnswer`. */
export function askGateStatements(ask: GateAsk): Statement[] {
  return [
    { name: "prepare_gate", text: prepareSql, values: [ask.gate] },
    ...(ask.adjustments.length > 0 ? [adjustStatement(ask)] : []),
    ...(ask.news === null ? [] : learnStatements(ask, ask.news)),
    grantStatement(ask),
  ];
}

export interface GateLook {
  /** Some process has learned of a limit there. */
  readonly known: boolean;
  /** The time of the database in milliseconds. */
  readonly now: number;
}

/** The row is `GateLook`. */
export function lookAtGateStatement(gate: string): Statement {
  return {
    name: "look_at_gate",
    text: `select exists (select from gate_limit where gate = $1) as known,
             (extract(epoch from holdfast_now()) * 1000)::float8 as now`,
    values: [gate],
  };
}

// The lock is taken by a statement of its own, so that those behind it see what was committed while it was waited for. It is
// kept for less than a millisecond, as nobody waits for the disk: a crash of the server may forget the last half second of
// grants. One plan is kept, as with claims.
const prepareSql = `
select set_config('synchronous_commit', 'off', true), set_config('plan_cache_mode', 'force_generic_plan', true),
       set_config('enable_seqscan', 'off', true), pg_advisory_xact_lock(hashtextextended($1, 1734440037))`;

function adjustStatement({ gate, adjustments }: GateAsk): Statement {
  return {
    name: "gate_adjust",
    text: `insert into gate_grant as g (gate, bucket, requests, tokens)
           select $1, a.bucket, sum(a.requests), sum(a.tokens)
           from unnest($2::bigint[], $3::int[], $4::bigint[]) as a(bucket, requests, tokens) group by a.bucket
           on conflict (gate, bucket) do update
           set requests = g.requests + excluded.requests, tokens = g.tokens + excluded.tokens`,
    values: [
      gate,
      adjustments.map(({ bucket }) => bucket),
      adjustments.map(({ requests }) => requests),
      adjustments.map(({ tokens }) => tokens),
    ],
  };
}

function learnStatements({ gate, window, caps }: GateAsk, news: GateNews): Statement[] {
  const { counted, usedAtGrant, refused } = news;
  return [
    {
      name: "gate_meet",
      text: "insert into gate_limit (gate) values ($1) on conflict (gate) do nothing",
      values: [gate],
    },
    {
      name: "gate_learn",
      text: learnSql,
      values: [
        gate,
        window.bucketMs,
        window.buckets,
        window.windowMs,
        caps.requests,
        caps.tokens,
        news.requests,
        news.tokens,
        counted.requests,
        counted.tokens,
        usedAtGrant.requests,
        usedAtGrant.tokens,
        refused?.grantedAt ?? null,
        refused?.blockMs ?? null,
      ],
    },
  ];
}

function grantStatement({ gate, process, window, caps, inFlight, wanted }: GateAsk): Statement {
  return {
    name: "gate_grant",
    text: grantSql,
    values: [
      gate,
      window.bucketMs,
      window.buckets,
      window.windowMs,
      caps.requests,
      caps.tokens,
      process,
      caps.concurrent,
      inFlight,
      wanted.map((tokens) => Math.ceil(tokens)),
      window.burst,
    ],
  };
}

/** How much of the limit a refusal leaves: of what was in use when it came, and of the limit as it was. */
const leaves = { ofUse: 0.9, atLeast: 0.5, atMost: 0.9 };
/** A bucket may always have so much of its even part of the limit. */
const evenPart = 1.25;
/** And it may have what has just aged out, but for so much of the limit: the smaller, the slower a crowd is spread out. */
const slack = 0.03;
/** What may be waited for, beyond what is free: it is freed in a third of a window, which is as long as a call waits. */
const reach = 0.3;
/** By how much of the limit the share grows in a window without a refusal. */
const growth = 0.05;

// $1 gate, $2 bucketMs, $3 buckets, $4 windowMs; $5 and $6 are the configured limits, null where there is none.
const clockAndUse = `
clock as materialized (
  select n.at, n.ms, floor(n.ms / $2::float8)::bigint as bucket
  from (select t.at, (extract(epoch from t.at) * 1000)::float8 as ms from (select holdfast_now() as at) t) n
), spent as materialized (
  select g.bucket, g.requests, g.tokens from clock c, gate_grant g where g.gate = $1 and g.bucket > c.bucket - $3::int
), used as materialized (
  select coalesce(sum(s.requests), 0)::float8 as requests, coalesce(sum(s.tokens), 0)::float8 as tokens,
    coalesce(sum(s.requests) filter (where s.bucket = c.bucket), 0)::float8 as requests_now
  from spent s cross join clock c
)`;

/** What is left of the limit now; where only what was in use is known, it may grow beyond that. */
const shareNow = `least(case when l.observed then 1e9 else 1 end,
  l.share + coalesce(${growth} * extract(epoch from c.at - l.reduced_at)::float8 * 1000 / $4::float8, 0))`;

// A refusal of a call that was granted before the last reduction says nothing new: it is one and the same overload. But while
// it lasts, other processes may still tell of what they had in use.
const learnSql = `
with ${clockAndUse}, seen as materialized (
  select $13::float8 is not null as refused,
    $13::float8 is not null and (l.reduced_at is null or $13::float8 > extract(epoch from l.reduced_at) * 1000) as is_new,
    coalesce($5::float8, $6::float8, $7::float8, $8::float8) is null
      and (l.observed or coalesce(l.requests, l.tokens) is null) as unknown,
    ${shareNow} as share,
    greatest(u.requests / least($5, $7, case when not l.observed then l.requests end),
             u.tokens / least($6, $8, case when not l.observed then l.tokens end)) as in_use
  from gate_limit l, clock c, used u where l.gate = $1
)
update gate_limit l
set
  requests = case
    when not s.unknown then coalesce($7, case when not l.observed then l.requests end)
    when s.refused and u.requests > 0 then case when s.is_new then u.requests else greatest(l.requests, u.requests) end
    else l.requests end,
  tokens = case
    when not s.unknown then coalesce($8, case when not l.observed then l.tokens end)
    when s.refused and u.requests > 0 then case when s.is_new then u.tokens else greatest(l.tokens, u.tokens) end
    else l.tokens end,
  observed = case when s.unknown then l.observed or (s.refused and u.requests > 0) else false end,
  share = case
    when not s.is_new then case when not s.unknown and l.observed then 1 else l.share end
    when s.unknown then ${leaves.ofUse}
    else greatest(s.share * ${leaves.atLeast}, least(s.share * ${leaves.atMost}, coalesce(s.in_use, 1) * ${leaves.ofUse}))
    end,
  reduced_at = case when s.is_new then c.at else l.reduced_at end,
  blocked_until = case when s.refused then greatest(l.blocked_until, c.at + $14::float8 * interval '1 millisecond')
    else l.blocked_until end,
  foreign_requests = case when $9::float8 is null then l.foreign_requests
    else greatest(0, $9::float8 - greatest($11::float8, u.requests)) end,
  foreign_tokens = case when $10::float8 is null then l.foreign_tokens
    else greatest(0, $10::float8 - greatest($12::float8, u.tokens)) end,
  foreign_at = case when coalesce($9, $10) is null then l.foreign_at else c.at end
from seen s, used u, clock c where l.gate = $1`;

// What others use is taken to age as evenly as it came. `fits` is a prefix, as the sums only grow. The pace is one of calls:
// tokens are asked for as the most that a call may use, mostly given back, and a pace of them would be far too slow; so what
// is left of them is taken for as many calls as it is at the price that calls came to of late.
const grantSql = `
with ${clockAndUse}, forgotten as (
  delete from gate_grant g using clock c where g.gate = $1 and g.bucket < c.bucket - $3::int
), aged as materialized (
  select coalesce(sum(g.requests), 0)::float8 as requests
  from clock c, gate_grant g where g.gate = $1 and g.bucket = c.bucket - $3::int
), buried as (
  delete from gate_process p using clock c
  where p.gate = $1 and p.process <> $7::uuid
    and greatest(p.alive_until, p.waiting_until) < c.at - $4::float8 * interval '1 millisecond'
), learned as materialized (
  select
    floor(least($5::float8, l.requests) * ${shareNow}) as requests,
    floor(least($6::float8, l.tokens) * ${shareNow}) as tokens,
    l.foreign_requests * f.part as foreign_requests, l.foreign_tokens * f.part as foreign_tokens,
    greatest(0, coalesce(extract(epoch from l.blocked_until - c.at)::float8 * 1000, 0)) as blocked_ms
  from gate_limit l, clock c cross join lateral (
    select greatest(0, 1 - coalesce(extract(epoch from c.at - l.foreign_at)::float8 * 1000 / $4::float8, 1)) as part
  ) f
  where l.gate = $1
), cap as materialized (
  select
    case when l.requests is not null then greatest(1, l.requests) else floor($5::float8) end as requests,
    case when l.tokens is not null then greatest(1, l.tokens) else floor($6::float8) end as tokens,
    coalesce(l.foreign_requests, 0) as foreign_requests, coalesce(l.foreign_tokens, 0) as foreign_tokens,
    coalesce(l.blocked_ms, 0) as blocked_ms
  from (select) one left join learned l on true
), reach as materialized (
  select coalesce((1 + ${reach}) * k.tokens - k.foreign_tokens - u.tokens, 1e15) as tokens from cap k, used u
), me as materialized (
  select max(served_at) as served_at from gate_process where gate = $1 and process = $7::uuid
), others as materialized (
  select
    coalesce(sum(p.in_flight) filter (where p.alive_until > c.at), 0)::float8 as in_flight,
    count(*) filter (where w.waits)::float8 as waiting,
    count(*) filter (where w.waits and w.is_first)::float8 as ahead,
    coalesce(sum(p.head_tokens) filter (where w.waits and w.is_first), 0)::float8 as ahead_tokens
  from clock c cross join me m cross join reach r
  join gate_process p on p.gate = $1 and p.process <> $7::uuid cross join lateral (
    select p.head_tokens is not null and p.waiting_until > c.at as waits,
      coalesce(p.served_at, '-infinity') < coalesce(m.served_at, '-infinity') and p.head_tokens <= r.tokens as is_first
  ) w
), room as materialized (
  select
    case when k.blocked_ms > 0 then 0 else least(
      k.requests - k.foreign_requests - u.requests - o.ahead,
      $8::float8 - $9::float8 - o.in_flight - o.ahead,
      1e9) end as requests,
    case when k.blocked_ms > 0 then 0 else least(
      k.tokens - k.foreign_tokens - u.tokens - o.ahead_tokens, 1e15) end as tokens,
    1 + o.waiting as sharers
  from cap k, used u, others o
), want as materialized (
  select row_number() over (order by w.n)::float8 as n, t.tokens, sum(t.tokens) over (order by w.n)::float8 as total
  from cap k, reach r, unnest($10::float8[]) with ordinality as w(tokens, n)
  cross join lateral (select least(w.tokens, k.tokens) as tokens) t
  where t.tokens <= r.tokens
), price as materialized (
  select case when u.requests > 0 and u.tokens > 0 then u.tokens / u.requests
    else greatest(1, coalesce((select avg(w.tokens) from want w), 1)) end as tokens
  from used u
), pace as materialized (
  select p.requests, ceil(least(r.requests, p.requests) / r.sharers) as share, ceil(r.tokens / r.sharers) as share_tokens
  from room r cross join lateral (
    select greatest(
      1,
      ceil(${evenPart} * a.calls * $2 / $4::float8),
      ceil(a.free * $11::float8),
      least(g.requests, floor(a.free - ${slack} * a.calls)),
      case when $11 >= 1 then 1e9 end
    ) - u.requests_now as requests
    from cap k, used u, aged g, price c cross join lateral (
      select least(k.requests, k.tokens / c.tokens, 1e9) as calls,
        least(k.requests - k.foreign_requests - u.requests, (k.tokens - k.foreign_tokens - u.tokens) / c.tokens, 1e9)
          + u.requests_now as free
    ) a
  ) p
), fits as materialized (
  select coalesce(max(w.n), 0) as requests, coalesce(max(w.total), 0) as tokens
  from want w, room r, pace p
  where w.n <= r.requests and w.total <= r.tokens and w.n <= p.requests
    and (w.n = 1 or w.n <= p.share and w.total <= p.share_tokens)
), head as materialized (
  select w.tokens from want w, fits f where w.n = f.requests + 1
), freeing as materialized (
  select min(s.bucket) as bucket
  from (
    select bucket, sum(requests) over (order by bucket) as requests, sum(tokens) over (order by bucket) as tokens
    from (
      select bucket, requests, tokens from spent
      union all select c.bucket, f.requests, f.tokens from clock c, fits f
    ) a
  ) s, cap k, used u, fits f, head h
  where coalesce(u.requests + f.requests - s.requests + 1 <= k.requests - k.foreign_requests, true)
    and coalesce(u.tokens + f.tokens - s.tokens + h.tokens <= k.tokens - k.foreign_tokens, true)
), again as materialized (
  select case
    when k.blocked_ms > 0 then k.blocked_ms
    when f.requests + 1 <= r.requests + o.ahead and f.tokens + h.tokens <= r.tokens + o.ahead_tokens then
      case when f.requests + 1 > p.requests then greatest(1, (c.bucket + 1) * $2 - c.ms) else $2::float8 / 20 end
    when coalesce($9::float8 + f.requests + o.in_flight + 1 > $8::float8, false) then $2::float8 / 4
    else greatest(1, coalesce((fr.bucket + $3) * $2 - c.ms, $2::float8)) end as ms
  from cap k, room r, pace p, others o, fits f, head h, freeing fr, clock c
), granted as (
  insert into gate_grant as g (gate, bucket, requests, tokens)
  select $1, c.bucket, f.requests, f.tokens from clock c, fits f where f.requests > 0
  on conflict (gate, bucket) do update
  set requests = g.requests + excluded.requests, tokens = g.tokens + excluded.tokens
), told as (
  insert into gate_process as p (gate, process, in_flight, alive_until, head_tokens, waiting_until, served_at)
  select $1, $7::uuid, $9::float8 + f.requests, c.at + interval '15 seconds', h.tokens,
    c.at + coalesce(least(a.ms, $2) + 2000, 0) * interval '1 millisecond', case when f.requests > 0 then c.at end
  from clock c cross join fits f left join head h on true left join again a on true
  on conflict (gate, process) do update
  set in_flight = excluded.in_flight, alive_until = excluded.alive_until, head_tokens = excluded.head_tokens,
    waiting_until = excluded.waiting_until, served_at = coalesce(excluded.served_at, p.served_at)
)
select f.requests::int as granted, f.tokens as "grantedTokens", c.bucket, c.ms as now,
  u.requests + f.requests as "usedRequests", u.tokens + f.tokens as "usedTokens",
  k.requests as "limitRequests", k.tokens as "limitTokens",
  k.foreign_requests > 0 or k.foreign_tokens > 0 as foreign,
  k.blocked_ms as "blockedForMs", (o.waiting + (a.ms is not null)::int)::int as waiting,
  case when p.is_passed then r.tokens end as "reachTokens", coalesce(a.ms, case when p.is_passed then $2 end) as "againMs"
from clock c cross join cap k cross join used u cross join others o cross join fits f cross join reach r
cross join lateral (select cardinality($10) > (select count(*) from want) as is_passed) p left join again a on true`;
