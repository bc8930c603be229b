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
import { grantSql, learnSql } from "./gate-sql.ts";

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
