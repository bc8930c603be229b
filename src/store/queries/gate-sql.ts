/**
 * What is done under a gate's lock, as SQL: to learn from what the provider said, and to grant. The parameters are those of the
 * statements in gate.ts.
 */

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
const clock = `
clock as materialized (
  select n.at, n.ms, floor(n.ms / $2::float8)::bigint as bucket
  from (select t.at, (extract(epoch from t.at) * 1000)::float8 as ms from (select holdfast_now() as at) t) n
)`;
/** Of the buckets behind the one that `oldest` names. */
const useBehind = (oldest: string, tables: string): string => `
spent as materialized (
  select g.bucket, g.requests, g.tokens from ${tables}, gate_grant g where g.gate = $1 and g.bucket > ${oldest}
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
export const learnSql = `
with ${clock}, ${useBehind("c.bucket - $3::int", "clock c")}, seen as materialized (
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

/** A process that has not told anything for so long is dead. */
const aliveFor = "interval '15 seconds'";
/**
 * Nobody has asked for so long: the store may have been away, and processes that went on without it, which use no more than
 * they had at the last ask, need a moment to see that it is back and to tell what they did. For that moment what counted at
 * the last ask goes on counting. (src/gateway/gate/key-gate.ts has the other side of these times.)
 */
const silence = { after: "interval '1500 milliseconds'", countsFor: "interval '2500 milliseconds'" };

// What others use is taken to age as evenly as it came. `fits` is a prefix, as the sums only grow. The pace is one of calls:
// tokens are asked for as the most that a call may use, mostly given back, and a pace of them would be far too slow; so what
// is left of them is taken for as many calls as it is at the price that calls came to of late.
export const grantSql = `
with ${clock}, heard as materialized (
  select max(p.alive_until) - ${aliveFor} as at, min(p.counts_from) filter (where p.counts_until > c.at) as counts_from,
    max(p.counts_until) as counts_until
  from clock c, gate_process p where p.gate = $1
), horizon as materialized (
  select o.is_back,
    case when o.is_back then floor(extract(epoch from h.at) * 1000 / $2::float8)::bigint - $3::int + 1 else h.counts_from end
      as counts_from,
    case when o.is_back then c.at + ${silence.countsFor} else h.counts_until end as counts_until
  from clock c, heard h cross join lateral (select coalesce(h.at < c.at - ${silence.after}, false) as is_back) o
), oldest as materialized (
  select least(c.bucket - $3::int, h.counts_from - 1) as bucket from clock c, horizon h
), ${useBehind("o.bucket", "oldest o")}, forgotten as (
  delete from gate_grant g using oldest o where g.gate = $1 and g.bucket < o.bucket
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
    else greatest(1, coalesce((fr.bucket + $3) * $2 - c.ms, $2::float8),
      extract(epoch from hz.counts_until - c.at)::float8 * 1000) end as ms
  from cap k, room r, pace p, others o, fits f, head h, freeing fr, clock c, horizon hz
), granted as (
  insert into gate_grant as g (gate, bucket, requests, tokens)
  select $1, c.bucket, f.requests, f.tokens from clock c, fits f where f.requests > 0
  on conflict (gate, bucket) do update
  set requests = g.requests + excluded.requests, tokens = g.tokens + excluded.tokens
), told as (
  insert into gate_process as p
    (gate, process, in_flight, alive_until, head_tokens, waiting_until, served_at, counts_from, counts_until)
  select $1, $7::uuid, $9::float8 + f.requests, c.at + ${aliveFor}, h.tokens,
    c.at + coalesce(least(a.ms, $2) + 2000, 0) * interval '1 millisecond', case when f.requests > 0 then c.at end,
    hz.counts_from, hz.counts_until
  from clock c cross join horizon hz cross join fits f left join head h on true left join again a on true
  on conflict (gate, process) do update
  set in_flight = excluded.in_flight, alive_until = excluded.alive_until, head_tokens = excluded.head_tokens,
    waiting_until = excluded.waiting_until, served_at = coalesce(excluded.served_at, p.served_at),
    counts_from = excluded.counts_from, counts_until = excluded.counts_until
)
select f.requests::int as granted, f.tokens as "grantedTokens", c.bucket, c.ms as now,
  u.requests + f.requests as "usedRequests", u.tokens + f.tokens as "usedTokens",
  k.requests as "limitRequests", k.tokens as "limitTokens",
  k.foreign_requests > 0 or k.foreign_tokens > 0 as foreign,
  k.blocked_ms as "blockedForMs", (o.waiting + (a.ms is not null)::int)::int as waiting,
  case when p.is_passed then r.tokens end as "reachTokens", coalesce(a.ms, case when p.is_passed then $2 end) as "againMs"
from clock c cross join cap k cross join used u cross join others o cross join fits f cross join reach r
cross join lateral (select cardinality($10) > (select count(*) from want) as is_passed) p left join again a on true`;
