/**
 * Every metric there is, by name. OpenTelemetry instruments, read by Prometheus at /metrics; the gen_ai names follow the
 * OpenTelemetry semantic conventions for generative AI.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Meter, ObservableCallback } from "@opentelemetry/api";
import { PrometheusExporter } from "@opentelemetry/exporter-prometheus";
import { MeterProvider } from "@opentelemetry/sdk-metrics";
import type { Usage } from "../agent/conversation.ts";
import { judgedCode } from "../agent/journal.ts";

export type Metrics = ReturnType<typeof createMetrics>;

const milliseconds = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000];
const seconds = milliseconds.map((ms) => ms / 1_000);
/** Of waiting in a queue, which may take hours. */
const waits = [...seconds, 300, 900, 3_600];

export function createMetrics() {
  const exporter = new PrometheusExporter({
    preventServerStart: true,
    withoutScopeInfo: true,
    withoutTargetInfo: true,
  });
  const provider = new MeterProvider({ readers: [exporter] });
  const meter = provider.getMeter("holdfast");
  return {
    ...taskMetrics(meter),
    ...brokerMetrics(meter),
    ...callMetrics(meter),
    ...gatewayMetrics(meter),
    ...gateMetrics(meter),
    ...cacheMetrics(meter),
    ...retentionMetrics(meter),
    ...streamMetrics(meter),
    ...processMetrics(meter),
    /** Answers a scrape in the Prometheus text format. */
    handle: (request: IncomingMessage, response: ServerResponse) =>
      exporter.getMetricsRequestHandler(request, response),
    close: () => provider.shutdown(),
  };
}

function taskMetrics(meter: Meter) {
  const submitted = meter.createCounter("holdfast.tasks.submitted", { description: "Tasks accepted." });
  const runs = meter.createCounter("holdfast.task.runs", { description: "Runs of tasks by how they ended." });
  const running = meter.createUpDownCounter("holdfast.tasks.running", {
    description: "Tasks in a slot of this process.",
  });
  const rejected = meter.createCounter("holdfast.tasks.rejected", {
    description: "Tasks refused because a queue is full or the process is overloaded.",
  });
  const waited = meter.createHistogram("holdfast.task.wait", {
    description: "From the submit of a task to its first run.",
    unit: "s",
    advice: { explicitBucketBoundaries: waits },
  });
  const compressions = meter.createCounter("holdfast.conversations.compressed", {
    description: "Conversations made shorter because no model of the route could take them, by who wrote the summary.",
  });
  return {
    compressed(agent: string, { summary, model }: { summary: string | null; model: string | null }): void {
      compressions.add(1, { agent, by: summary === null ? "cut" : model === null ? "rules" : "model" });
    },
    taskSubmitted: (agent: string) => submitted.add(1, { agent }),
    taskRejected: (code: string) => rejected.add(1, { code }),
    /** @param start.waitedMs how long the task waited, if this is its first run */
    taskStarted({ agent, waitedMs }: { agent: string; waitedMs: number | undefined }): void {
      running.add(1);
      if (waitedMs !== undefined) waited.record(Math.max(0, waitedMs) / 1_000, { agent });
    },
    taskRun(agent: string, outcome: string): void {
      running.add(-1);
      runs.add(1, { agent, outcome });
    },
  };
}

function brokerMetrics(meter: Meter) {
  const received = meter.createCounter("holdfast.messages.received", {
    description: "Tasks that came over a broker, by what became of them.",
  });
  const published = meter.createCounter("holdfast.results.published", {
    description: "Results brought to a broker.",
  });
  return {
    messageReceived: (agent: string, outcome: "accepted" | "repeated" | "refused" | "delayed") =>
      received.add(1, { agent, outcome }),
    resultsPublished: (count: number) => published.add(count),
  };
}

interface ModelCallSeen {
  readonly model: string;
  readonly usage: Usage;
  readonly ttftMs: number;
  readonly tpotMs: number;
  readonly finish: string;
  readonly whole?: true;
}

/** Of models, of tools, and of this service. */
function callMetrics(meter: Meter) {
  const toolDuration = meter.createHistogram("holdfast.tool.duration", {
    description: "Tool calls.",
    unit: "ms",
    advice: { explicitBucketBoundaries: milliseconds },
  });
  const attemptsFailed = meter.createCounter("holdfast.model.attempts.failed", {
    description: "Attempts at a model call that came to nothing, by the class of error.",
  });
  const assignments = meter.createCounter("holdfast.tasks.assigned", {
    description: "Tasks that named no agent, by how theirs was chosen.",
  });
  const faultsInjected = meter.createCounter("holdfast.model.faults.injected", {
    description: "Faults of a game day that struck attempts at model calls.",
  });
  const tokens = meter.createCounter("gen_ai.client.token.usage", { description: "Tokens by type.", unit: "{token}" });
  const cachedTokens = meter.createCounter("holdfast.model.tokens.cached", {
    description: "Input tokens that the provider had in its own cache of prompts.",
    unit: "{token}",
  });
  const firstChunk = meter.createHistogram("gen_ai.client.operation.time_to_first_chunk", {
    description: "Time to the first token of an answer.",
    unit: "s",
    advice: { explicitBucketBoundaries: seconds },
  });
  const perChunk = meter.createHistogram("gen_ai.client.operation.time_per_output_chunk", {
    description: "Time per output token after the first.",
    unit: "s",
    advice: { explicitBucketBoundaries: seconds.map((bound) => bound / 10) },
  });
  const httpDuration = meter.createHistogram("http.server.request.duration", {
    description: "HTTP requests by route.",
    unit: "s",
    advice: { explicitBucketBoundaries: seconds },
  });
  const tokensUsed = ({ model, usage }: { model: string; usage: Usage }): void => {
    const labels = { "gen_ai.request.model": model };
    tokens.add(usage.input, { ...labels, "gen_ai.token.type": "input" });
    tokens.add(usage.output, { ...labels, "gen_ai.token.type": "output" });
    cachedTokens.add(usage.cached, labels);
  };
  return {
    toolCall: (call: { tool: string; outcome: string; ms: number }) =>
      toolDuration.record(call.ms, { tool: call.tool, outcome: call.outcome }),
    attemptsFailed(attempts: readonly { model: string; code: string }[]): void {
      for (const { model, code } of attempts) if (code !== judgedCode) attemptsFailed.add(1, { model, code });
    },
    taskAssigned: (method: string) => assignments.add(1, { method }),
    faultInjected: (fault: { model: string; kind: string }) => faultsInjected.add(1, fault),
    tokensUsed,
    /**
     * A model was asked. What was cut off has no time per token, and none to the first if it had not come; of a reply that
     * came whole nobody knows either.
     */
    modelCall(call: ModelCallSeen): void {
      tokensUsed(call);
      if (call.whole === true) return;
      const labels = { "gen_ai.request.model": call.model };
      const isFinished = call.finish !== "interrupted";
      if (isFinished || call.ttftMs > 0) firstChunk.record(call.ttftMs / 1_000, labels);
      if (isFinished) perChunk.record(call.tpotMs / 1_000, labels);
    },
    httpRequest: (request: { method: string; route: string; status: number; ms: number }) =>
      httpDuration.record(request.ms / 1_000, {
        "http.request.method": request.method,
        "http.route": request.route,
        "http.response.status_code": request.status,
      }),
  };
}

/** Of the gateway itself, and of what it does about models that fail. */
function gatewayMetrics(meter: Meter) {
  const overhead = meter.createHistogram("holdfast.gateway.overhead", {
    description: "What a model call took that was neither the provider's time nor a wait.",
    unit: "s",
    advice: { explicitBucketBoundaries: [0.00005, 0.0001, 0.00025, 0.0005, ...seconds.slice(0, 9)] },
  });
  const transitions = meter.createCounter("holdfast.breaker.transitions", {
    description: "Changes of the breakers of models, by the new state.",
  });
  const open = meter.createUpDownCounter("holdfast.breaker.open", { description: "Models that are not called now." });
  const retries = meter.createCounter("holdfast.model.retries", {
    description: "Attempts at a model that repeated one that had failed.",
  });
  const hedges = meter.createCounter("holdfast.model.hedges", {
    description: "Second requests because the first token was late, by who answered.",
  });
  const drilled = meter.createCounter("holdfast.drill.calls", {
    description: "Calls measured in drills, by the path they took and what came of it.",
  });
  return {
    drilled: (call: { path: string; outcome: string }) => drilled.add(1, call),
    gatewayOverhead: (ms: number) => overhead.record(ms / 1_000),
    breakerChanged(model: string, state: "closed" | "open" | "half_open"): void {
      transitions.add(1, { model, state });
      if (state !== "closed") open.add(state === "open" ? 1 : -1, { model });
    },
    modelRetried: (model: string) => retries.add(1, { model }),
    modelHedged: (model: string, winner: string) => hedges.add(1, { model, winner }),
  };
}

/** How a gate of a model stands in this process. */
interface GateLook {
  readonly model: string;
  readonly key: number;
  readonly waiting: number;
  readonly inFlight: number;
  readonly requestsPerMinute: number | null;
  readonly tokensPerMinute: number | null;
  readonly blockedForMs: number;
}

function gateMetrics(meter: Meter) {
  const waited = meter.createHistogram("holdfast.gate.wait", {
    description: "How long model calls waited for the limits of their provider.",
    unit: "s",
    advice: { explicitBucketBoundaries: seconds },
  });
  const refused = meter.createCounter("holdfast.gate.refused", {
    description: "Model calls that were not let through, by the reason.",
  });
  const waiting = meter.createObservableGauge("holdfast.gate.waiting", { description: "Model calls that wait now." });
  const inFlight = meter.createObservableGauge("holdfast.gate.in_flight", { description: "Model calls under way." });
  const limit = meter.createObservableGauge("holdfast.gate.limit", {
    description: "Limits per minute as they stand: configured, learned, and adapted to refusals.",
  });
  const blocked = meter.createObservableGauge("holdfast.gate.blocked", {
    description: "For how long the provider asked to be left alone.",
    unit: "s",
  });
  return {
    gatePassed: ({ model, waitedMs }: { model: string; waitedMs: number }) =>
      waited.record(waitedMs / 1_000, { model }),
    gateRefused: ({ model, reason }: { model: string; reason: string }) => refused.add(1, { model, reason }),
    /** How the gates stand, asked at each scrape. @returns a function that ends it */
    observeGates(look: () => readonly GateLook[]): () => void {
      const tells: [typeof waiting, ObservableCallback][] = [
        [waiting, (result) => byModel(look(), (model, gates) => result.observe(gates[0]?.waiting ?? 0, { model }))],
        [
          inFlight,
          (result) => look().forEach(({ model, key, inFlight: count }) => result.observe(count, { model, key })),
        ],
        [
          limit,
          (result) =>
            look().forEach(({ model, key, requestsPerMinute, tokensPerMinute }) => {
              if (requestsPerMinute !== null) result.observe(requestsPerMinute, { model, key, of: "requests" });
              if (tokensPerMinute !== null) result.observe(tokensPerMinute, { model, key, of: "tokens" });
            }),
        ],
        [
          blocked,
          (result) =>
            look().forEach(({ model, key, blockedForMs }) => result.observe(blockedForMs / 1_000, { model, key })),
        ],
      ];
      for (const [gauge, tell] of tells) gauge.addCallback(tell);
      return () => {
        for (const [gauge, tell] of tells) gauge.removeCallback(tell);
      };
    },
  };
}

function byModel(gates: readonly GateLook[], tell: (model: string, gates: readonly GateLook[]) => void): void {
  for (const [model, of] of Map.groupBy(gates, (gate) => gate.model)) tell(model, of);
}

/** A call that allows an answer to be given again. */
interface CacheLook {
  readonly outcome: string;
  /** Null: an outside program. */
  readonly agent: string | null;
  readonly model: string;
  readonly saved: { readonly usage: Usage; readonly costMicros: number | null } | null;
}

/** Of the cache of answers. */
function cacheMetrics(meter: Meter) {
  const lookups = meter.createCounter("holdfast.cache.lookups", {
    description: "Model calls that allow an answer to be given again, by what became of them.",
  });
  const savedTokens = meter.createCounter("holdfast.cache.saved.tokens", {
    description: "Tokens that answers took when a model gave them, each time they were given again.",
    unit: "{token}",
  });
  const savedCost = meter.createCounter("holdfast.cache.saved.cost", {
    description: "What these answers would have cost again, in micro-dollars, as far as the price is known.",
  });
  return {
    cacheLookup({ outcome, agent, model, saved }: CacheLook): void {
      const labels = { agent: agent ?? "", model };
      lookups.add(1, { outcome, ...labels });
      if (saved === null) return;
      savedTokens.add(saved.usage.input + saved.usage.output, labels);
      savedCost.add(saved.costMicros ?? 0, labels);
    },
  };
}

function retentionMetrics(meter: Meter) {
  const pruned = meter.createCounter("holdfast.retention.pruned", {
    description: "What was deleted because it was past its retention.",
  });
  const prunePages = meter.createHistogram("holdfast.retention.page.duration", {
    description: "Statements that delete what is past its retention.",
    unit: "ms",
    advice: { explicitBucketBoundaries: milliseconds },
  });
  return {
    /** What was deleted because it was past its retention. */
    pruned(counts: Readonly<Record<string, number>>): void {
      for (const [kind, count] of Object.entries(counts)) if (count > 0) pruned.add(count, { kind });
    },
    prunePage: (ms: number) => prunePages.record(ms),
  };
}

function streamMetrics(meter: Meter) {
  const deltasDropped = meter.createCounter("holdfast.deltas.dropped", {
    description: "Pieces of answers not sent to the processes that watch them, because too many waited to be.",
  });
  const streams = meter.createUpDownCounter("holdfast.streams.open", { description: "Event streams that are open." });
  return {
    deltaDropped: () => deltasDropped.add(1),
    streamOpened: () => streams.add(1),
    streamClosed: () => streams.add(-1),
  };
}

function processMetrics(meter: Meter) {
  const lag = meter.createObservableGauge("holdfast.process.lag", {
    description: "By how much the event loop was late in the last second, in the mean.",
    unit: "ms",
  });
  const shedding = meter.createObservableGauge("holdfast.process.shedding", {
    description: "Whether new tasks are refused because the process is overloaded.",
  });
  return {
    /** How this process does, asked at each scrape. @returns a function that ends it */
    observeProcess(look: () => { lagMs: number; isShedding: boolean }): () => void {
      const tellLag: ObservableCallback = (result) => result.observe(look().lagMs);
      const tellShedding: ObservableCallback = (result) => result.observe(look().isShedding ? 1 : 0);
      lag.addCallback(tellLag);
      shedding.addCallback(tellShedding);
      return () => {
        lag.removeCallback(tellLag);
        shedding.removeCallback(tellShedding);
      };
    },
  };
}
