/** What the end of a call tells of the limit, put together until the store is told. */
import type { GateNews } from "../../store/queries/gate.ts";
import type { CallEnd } from "./gate.ts";
import { saidLimits } from "./rate-limit-headers.ts";
import type { Use } from "./recent-use.ts";

/** A call that may begin, or has. */
export interface Grant {
  /** It counts there, with so many tokens. */
  readonly bucket: number;
  readonly tokens: number;
  /** By the database's clock. */
  readonly at: number;
  /** What the fleet had used then; null: that is not known. */
  readonly used: Use | null;
}

/** What is known already, so that it is not told again. */
export interface Known {
  /** What this process heard last of the limits in headers. */
  readonly requests: number | null;
  readonly tokens: number | null;
  /** The fleet keeps room for what others use. */
  readonly foreign: boolean;
}

/** How long a key is left alone that was refused without a word of how long. */
const shortRestMs = 1_000;
/** Of a limit: a smaller difference between what the provider counts and what we do is chance. */
const noise = 0.02;

/** @returns null: nothing new */
export function newsOf(grant: Grant, { headers, rateLimited }: CallEnd, known: Known): GateNews | null {
  const said = saidLimits(headers);
  const requests = said?.requests?.limit ?? null;
  const tokens = said?.tokens?.limit ?? null;
  const changed = {
    requests: requests === known.requests ? null : requests,
    tokens: tokens === known.tokens ? null : tokens,
  };
  const used = grant.used ?? { requests: 0, tokens: 0 };
  const counted = { requests: null as number | null, tokens: null as number | null };
  for (const what of ["requests", "tokens"] as const) {
    const { limit, remaining } = said?.[what] ?? { limit: 0, remaining: null };
    if (remaining === null || grant.used === null) continue;
    const excess = limit - remaining - used[what];
    if (known.foreign || excess > limit * noise) counted[what] = Math.max(0, limit - remaining);
  }
  const refused =
    rateLimited === null ? null : { grantedAt: grant.at, blockMs: rateLimited.retryAfterMs ?? shortRestMs };
  const facts = [changed.requests, changed.tokens, counted.requests, counted.tokens, refused];
  return facts.every((fact) => fact === null) ? null : { ...changed, counted, usedAtGrant: used, refused };
}

export function mergeNews(older: GateNews | null, newer: GateNews): GateNews {
  if (older === null) return newer;
  const counts = newer.counted.requests ?? newer.counted.tokens;
  const { counted, usedAtGrant } = counts === null ? older : newer;
  const refusals = [older.refused, newer.refused].filter((refusal) => refusal !== null);
  return {
    requests: newer.requests ?? older.requests,
    tokens: newer.tokens ?? older.tokens,
    counted,
    usedAtGrant,
    refused:
      refusals.length === 0
        ? null
        : {
            grantedAt: Math.max(...refusals.map(({ grantedAt }) => grantedAt)),
            blockMs: Math.max(...refusals.map(({ blockMs }) => blockMs)),
          },
  };
}
