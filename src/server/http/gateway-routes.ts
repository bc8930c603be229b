/** How the models do, as this process sees them: what its breakers and gates say, and how fast the answers are. */
import type { FastifyInstance } from "fastify";
import { z } from "zod";
import type { ModelStatus } from "../../gateway/model-gateway.ts";
import { documented } from "./documented.ts";
import type { ServerDeps } from "./server-deps.ts";
import { time, timeOrNull } from "./wire-values.ts";

const count = z.int().min(0);
const moment = z.iso.datetime();
const percentiles = z.object({ p50: z.number(), p95: z.number(), p99: z.number(), count }).nullable();

const gatewayState = z
  .object({
    models: z.array(
      z.object({
        model: z.string(),
        breaker: z.object({
          state: z.enum(["closed", "open", "half_open"]),
          open_until: moment.nullable(),
          consecutive_failures: count,
          calls: count,
          failures: count,
          last_failure: z.object({ at: moment, code: z.string(), message: z.string() }).nullable(),
        }),
        gate: z.array(
          z.object({
            key: count,
            waiting: count,
            in_flight: count,
            max_concurrent: z.number().nullable(),
            requests_per_minute: z.number().nullable(),
            tokens_per_minute: z.number().nullable(),
            blocked_for_ms: z.number(),
          }),
        ),
        attempts: z.object({ answered: count, failed: count, skipped: count, hedged: count }),
        retries_left: count,
        ttft_ms: percentiles,
        tpot_ms: percentiles,
      }),
    ),
  })
  .meta({ title: "GatewayState" });

type GatewayState = z.infer<typeof gatewayState>;
type ModelState = GatewayState["models"][number];

export function gatewayRoutes(app: FastifyInstance, { service }: ServerDeps): void {
  app.get(
    "/gateway",
    {
      schema: documented({
        tag: "service",
        summary: "The models this process called: breakers, gates, how fast they answer",
        answers: { 200: { description: "Each model that was called since the process began.", schema: gatewayState } },
      }),
    },
    async (): Promise<GatewayState> => ({ models: service.modelStatus().map(toWireModel) }),
  );
}

function toWireModel({ model, breaker, gate, attempts, retriesLeft, ttftMs, tpotMs }: ModelStatus): ModelState {
  const { lastFailure } = breaker;
  return {
    model,
    breaker: {
      state: breaker.state,
      open_until: timeOrNull(breaker.openUntil),
      consecutive_failures: breaker.consecutiveFailures,
      calls: breaker.calls,
      failures: breaker.failures,
      last_failure: lastFailure === null ? null : { ...lastFailure, at: time(lastFailure.at) },
    },
    gate: gate.map((each) => ({
      key: each.key,
      waiting: each.waiting,
      in_flight: each.inFlight,
      max_concurrent: each.maxConcurrent,
      requests_per_minute: each.requestsPerMinute,
      tokens_per_minute: each.tokensPerMinute,
      blocked_for_ms: each.blockedForMs,
    })),
    attempts,
    retries_left: retriesLeft,
    ttft_ms: ttftMs,
    tpot_ms: tpotMs,
  };
}
