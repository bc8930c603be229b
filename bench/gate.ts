/**
 * Claim: four processes use a provider's limit of 600 requests and 60,000 tokens a minute to more than nine tenths, never
 * exceed it in any minute, and are hardly ever refused. The provider counts as the strictest of them; a minute is a minute.
 *
 *   npm run bench -- --gate
 */
import { type GateLoad, runGateLoad } from "../test/support/gate-load.ts";

const scale = { windowMs: 60_000, deliveryMs: 1_000 };
const limits = { requestsPerMinute: 600, tokensPerMinute: 60_000 };

const loads: readonly ({ readonly name: string } & GateLoad)[] = [
  { name: "configured, from the first call", ...scale, limits, headers: false, adaptWindows: 0, windows: 4 },
  { name: "learned from headers", ...scale, limits: {}, headers: true, adaptWindows: 2, windows: 3 },
  { name: "felt by refusals alone", ...scale, limits: {}, headers: false, adaptWindows: 3, windows: 3 },
];

export async function measureGate(): Promise<void> {
  const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;
  const rows: Record<string, unknown>[] = [];
  for (const { name, ...load } of loads) {
    const use = await runGateLoad(load);
    if (use === undefined) return console.log("PostgreSQL is not reachable: there is nothing to share.");
    rows.push({
      limit: name,
      "used of it": percent(use.used),
      "worst minute, requests": percent(use.worstRequests),
      "worst minute, tokens": percent(use.worstTokens),
      "refused with 429": percent(use.refused),
      calls: use.arrivals,
    });
    console.table(rows);
  }
}
