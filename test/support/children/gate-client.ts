/**
 * A process that calls a limited provider through the gate, so many calls at a time, until it is told to stop. Prints a line
 * when it begins.
 *
 * Arguments: JSON of `GateClient`.
 */
import { createGate } from "../../../src/gateway/gate/create-gate.ts";
import type { CallEnd } from "../../../src/gateway/gate/gate.ts";
import type { ModelLimits } from "../../../src/gateway/gate/model-limits.ts";
import { systemClock } from "../../../src/platform/clock.ts";
import { systemId } from "../../../src/platform/ids.ts";
import { systemRandom } from "../../../src/platform/random.ts";
import { createGates } from "../../../src/store/gates.ts";
import { openPostgres } from "../../../src/store/postgres.ts";
import { silentLogger } from "../../../src/telemetry/log.ts";
import { createMetrics } from "../../../src/telemetry/metrics.ts";

export interface GateClient {
  readonly databaseUrl: string;
  readonly providerUrl: string;
  readonly windowMs: number;
  readonly deliveryMs: number;
  readonly limits: ModelLimits;
  readonly concurrency: number;
  /** What calls use is from half of it to one and a half; what they are estimated at is twice what they use. */
  readonly tokensPerCall: number;
}

const client = JSON.parse(process.argv[2] ?? "") as GateClient;
const database = await openPostgres({ url: client.databaseUrl });
const gate = createGate({
  store: createGates(database),
  clock: systemClock,
  random: systemRandom,
  log: silentLogger,
  metrics: createMetrics(),
  process: systemId(),
  limitsOf: () => client.limits,
  keysOf: () => ["key"],
  windowMs: client.windowMs,
  deliveryMs: client.deliveryMs,
});
const stopping = new AbortController();
process.on("SIGTERM", () => stopping.abort(new Error("stopped")));
console.log("ready");
await Promise.all(Array.from({ length: client.concurrency }, callAgainAndAgain));
await gate.close();
await database.close();

async function callAgainAndAgain(): Promise<void> {
  const { signal } = stopping;
  while (!signal.aborted) {
    const used = Math.round(client.tokensPerCall * (0.5 + Math.random()));
    try {
      const call = {
        model: "openai/gpt-5",
        tenant: "ada",
        tokens: used * 2,
        signal,
        longestWaitMs: 10 * client.windowMs,
      };
      const pass = await gate.enter(call);
      pass.leave(await callProvider(used, signal).catch(() => ({ usedTokens: null, headers: {}, rateLimited: null })));
    } catch (error) {
      if (!signal.aborted) await systemClock.sleep(200, signal).catch(() => error);
    }
  }
}

async function callProvider(tokens: number, signal: AbortSignal): Promise<CallEnd> {
  const reply = await fetch(client.providerUrl, { method: "POST", body: JSON.stringify({ tokens }), signal });
  await reply.arrayBuffer();
  const retryAfterMs = Number(reply.headers.get("retry-after-ms") ?? 0);
  const isRefused = reply.status === 429;
  return {
    usedTokens: isRefused ? 0 : tokens,
    headers: Object.fromEntries(reply.headers),
    rateLimited: isRefused ? { retryAfterMs } : null,
  };
}
