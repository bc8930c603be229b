/** Experiments with model calls: faults of a game day, and drills of the fallback. */
import type { FastifyInstance } from "fastify";
import type { z } from "zod";
import type * as wire from "../../client/wire.ts";
import type { DrillResult } from "../../gateway/experiments/drill-tally.ts";
import type { Experiments } from "../../gateway/experiments/experiments.ts";
import type { FaultOptions } from "../../gateway/experiments/fault-rules.ts";
import type { ActiveFault } from "../../gateway/experiments/faults.ts";
import { percentileOf, type Histogram } from "../../gateway/experiments/histogram.ts";
import { documented } from "./documented.ts";
import { drill, drillBody, drillQuery, faults, faultsBody } from "./experiment-schemas.ts";
import type { ServerDeps } from "./server-deps.ts";
import { time } from "./wire-values.ts";

export function experimentRoutes(app: FastifyInstance, { service: { experiments } }: ServerDeps): void {
  faultRoutes(app, experiments);
  drillRoutes(app, experiments);
}

function faultRoutes(app: FastifyInstance, experiments: Experiments): void {
  app.get(
    "/gateway/faults",
    {
      schema: documented({
        tag: "gateway",
        summary: "The faults that are injected into model calls now",
        answers: { 200: { description: "Those that have not ended.", schema: faults } },
      }),
    },
    async () => toWireFaults(experiments),
  );

  app.put<{ Body: z.infer<typeof faultsBody> }>(
    "/gateway/faults",
    {
      schema: documented({
        tag: "gateway",
        summary: "Inject faults into model calls, in all processes, for a while",
        description:
          "Only where the environment says HOLDFAST_GAME_DAY=on. They take the place of those asked for before.",
        body: faultsBody,
        answers: { 200: { description: "The faults, as they are injected.", schema: faults } },
        problems: [403],
      }),
    },
    async ({ body }) => {
      await experiments.orderFaults(body.faults.map(fromWireFault), body.for_ms);
      return toWireFaults(experiments);
    },
  );

  app.delete(
    "/gateway/faults",
    {
      schema: documented({
        tag: "gateway",
        summary: "End the faults that were asked for; those of the configuration end by themselves",
        answers: { 204: { description: "They are ended." } },
      }),
    },
    async (_request, reply) => {
      await experiments.end("faults");
      return reply.code(204).send();
    },
  );
}

function drillRoutes(app: FastifyInstance, experiments: Experiments): void {
  app.get<{ Querystring: z.infer<typeof drillQuery> }>(
    "/gateway/drill",
    {
      schema: documented({
        tag: "gateway",
        summary: "Whether there is a drill, and how fallbacks did in drills beside what comes first",
        query: drillQuery,
        answers: { 200: { description: "The drill.", schema: drill } },
      }),
    },
    async ({ query: { hours } }) => toWireDrill(experiments, hours),
  );

  app.put<{ Body: z.infer<typeof drillBody> }>(
    "/gateway/drill",
    {
      schema: documented({
        tag: "gateway",
        summary: "Send a share of the calls through their fallback, in all processes, for a while",
        body: drillBody,
        answers: { 200: { description: "The drill.", schema: drill } },
      }),
    },
    async ({ body }) => {
      await experiments.orderDrill(body.share, body.for_ms);
      return toWireDrill(experiments, 1);
    },
  );

  app.delete(
    "/gateway/drill",
    {
      schema: documented({
        tag: "gateway",
        summary: "End the drill that was asked for; that of the configuration goes on",
        answers: { 204: { description: "It is ended." } },
      }),
    },
    async (_request, reply) => {
      await experiments.end("drill");
      return reply.code(204).send();
    },
  );
}

function fromWireFault({ jitter_ms: jitterMs, retry_after_ms: retryAfterMs, ...fault }: wire.Fault): FaultOptions {
  return {
    ...fault,
    ...(jitterMs !== undefined && { jitterMs }),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  };
}

function toWireFaults({ gameDay, faults: { active } }: Experiments): wire.Faults {
  return { game_day: gameDay, items: active.map(toWireFault) };
}

function toWireFault(fault: ActiveFault): wire.Faults["items"][number] {
  const { model, share, until } = fault;
  const common = { model, share, ends_at: time(Math.round(until)) };
  switch (fault.kind) {
    case "latency":
      return { ...common, kind: fault.kind, ms: fault.ms, jitter_ms: fault.jitterMs };
    case "error": {
      const { kind, error, retryAfterMs } = fault;
      return { ...common, kind, error, ...(retryAfterMs !== null && { retry_after_ms: retryAfterMs }) };
    }
    case "cut":
    case "hang":
      return { ...common, kind: fault.kind, after: fault.after };
  }
}

async function toWireDrill(experiments: Experiments, hours: number): Promise<wire.Drill> {
  const { share, source, until } = experiments.drill.state();
  const results = await experiments.drillResults(hours);
  const routes = Map.groupBy(results, ({ first, fallback }) => JSON.stringify([first, fallback]));
  return {
    share,
    source,
    ends_at: until === null ? null : time(Math.round(until)),
    routes: [...routes.values()].map(toWireRoute),
  };
}

/** @param paths the two results of a route, or the one that there is */
function toWireRoute(paths: readonly DrillResult[]): wire.Drill["routes"][number] {
  const { first = "", fallback = "" } = paths[0] ?? {};
  const resultOf = (path: DrillResult["path"]): DrillResult | undefined => paths.find((each) => each.path === path);
  return {
    primary: toWirePath(first.split(","), resultOf("primary")),
    fallback: toWirePath(fallback.split(","), resultOf("fallback")),
  };
}

function toWirePath(models: string[], result: DrillResult | undefined): wire.DrillPath {
  const { calls = 0, answered = 0, tokens = 0, costMicros = 0, unpriced = 0, ms = [], ttftMs = [] } = result ?? {};
  const costUsd = unpriced > 0 ? null : costMicros / 1e6;
  return {
    models,
    calls,
    answered,
    success_share: calls === 0 ? null : answered / calls,
    latency_ms: percentiles(ms),
    ttft_ms: percentiles(ttftMs),
    tokens,
    cost_usd: costUsd,
    cost_per_call_usd: costUsd === null || calls === 0 ? null : costUsd / calls,
  };
}

function percentiles(histogram: Histogram): { p50: number | null; p95: number | null } {
  return { p50: percentileOf(histogram, 0.5), p95: percentileOf(histogram, 0.95) };
}
