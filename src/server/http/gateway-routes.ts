/**
 * How the model gateway does, for whoever is on call: the breakers, gates and times of this process, and how often the caches
 * hit in all of them. It answers while the store is away, too, but for the caches.
 */
import type { FastifyInstance } from "fastify";
import type { z } from "zod";
import { modelsOf } from "../../agent/route.ts";
import type * as wire from "../../client/wire.ts";
import type { CacheReport } from "../../gateway/cache/cache-lookups.ts";
import type { ModelStatus } from "../../gateway/model-gateway.ts";
import { HoldfastError, messageOf } from "../../platform/errors.ts";
import { routeOf } from "./agent-routes.ts";
import { documented } from "./documented.ts";
import { gatewayQuery, gatewayState } from "./gateway-schemas.ts";
import type { ServerDeps, Service } from "./server-deps.ts";
import { dollars, time, timeOrNull } from "./wire-values.ts";

const storeTimeoutMs = 2_000;

export function gatewayRoutes(app: FastifyInstance, deps: ServerDeps): void {
  const { service, clock, keysNeeded } = deps;
  const since = time(clock.now());
  app.get<{ Querystring: z.infer<typeof gatewayQuery> }>(
    "/gateway",
    {
      schema: documented({
        tag: "service",
        summary: "How the model gateway does: routes, breakers, gates, how fast models answer, how often caches hit",
        query: gatewayQuery,
        answers: { 200: { description: "As this process sees it; the caches, as all do.", schema: gatewayState } },
      }),
    },
    async ({ query: { hours } }): Promise<wire.GatewayState> => {
      // What all tenants use, and what their providers said last, is not for whoever reaches an open address.
      if (keysNeeded()) throw new HoldfastError("route_not_found", "It is shown on this machine alone.");
      const models = service.modelStatus().map(toWireModel);
      const { share, source, until } = service.experiments.drill.state();
      return {
        since,
        routes: routesOf(service, models),
        models,
        experiments: {
          drill: { share, source, ends_at: until === null ? null : time(Math.round(until)) },
          faults: service.experiments.faults.active.length,
        },
        caches: await cachesOf(deps, hours),
      };
    },
  );
}

function routesOf(service: Service, models: readonly wire.ModelState[]): wire.RouteState[] {
  const open = new Set(models.flatMap(({ model, breaker }) => (breaker.state === "open" ? model : [])));
  const named = [...service.models.routes].map(([name, route]) => ({ name, models: modelsOf(route) }));
  const ofAgents = [...service.engine.agents.values()].map((agent) => {
    return { name: `agent/${agent.name}`, models: routeOf(agent, service) };
  });
  return [...ofAgents, ...named].map((route) => {
    const candidates = [...new Set(route.models)];
    return { name: route.name, models: candidates, out: candidates.filter((model) => open.has(model)) };
  });
}

async function cachesOf({ service, clock }: ServerDeps, hours: number): Promise<wire.GatewayCaches | null> {
  const answered = new AbortController();
  const late = clock.sleep(storeTimeoutMs, answered.signal).then(
    () => null,
    () => null,
  );
  const report = service.caches.report(hours).catch((error: unknown) => {
    service.log.debug({ error: messageOf(error) }, "how often the caches hit is not known now");
    return null;
  });
  const found = await Promise.race([report, late]);
  answered.abort();
  return found === null
    ? null
    : { hours, answers: found.answers.map(toWireAnswers), prompts: found.prompts.map(toWirePrompts) };
}

function toWireAnswers(row: CacheReport["answers"][number]): wire.AnswerCaching {
  const { agent, model, hits, shared, stale, misses } = row;
  const lookups = hits + shared + stale + misses;
  return {
    agent: agent === "" ? null : agent,
    model,
    lookups,
    hits,
    shared,
    stale,
    misses,
    hit_share: (lookups - misses) / lookups,
    saved_tokens: row.savedTokens,
    saved_usd: dollars(row.savedMicros),
  };
}

function toWirePrompts({ model, calls, input, cached }: CacheReport["prompts"][number]): wire.PromptCaching {
  const hitShare = input === 0 ? 0 : cached / input;
  return { model, calls, input_tokens: input, cached_tokens: cached, hit_share: hitShare };
}

function toWireModel({ model, breaker, gate, attempts, retriesLeft, ttftMs, tpotMs }: ModelStatus): wire.ModelState {
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
