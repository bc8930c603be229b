/**
 * Every metric there is, by name. OpenTelemetry instruments, read by Prometheus at /metrics; the gen_ai names follow the
 * OpenTelemetry semantic conventions for generative AI.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Meter } from "@opentelemetry/api";
import { PrometheusExporter } from "@opentelemetry/exporter-prometheus";
import { MeterProvider } from "@opentelemetry/sdk-metrics";
import type { Usage } from "../agent/conversation.ts";

export type Metrics = ReturnType<typeof createMetrics>;

const milliseconds = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000];
const seconds = milliseconds.map((ms) => ms / 1_000);

export function createMetrics() {
  const exporter = new PrometheusExporter({
    preventServerStart: true,
    withoutScopeInfo: true,
    withoutTargetInfo: true,
  });
  const provider = new MeterProvider({ readers: [exporter] });
  const {
    submitted,
    runs,
    running,
    rejected,
    received,
    published,
    toolDuration,
    attemptsFailed,
    tokens,
    firstChunk,
    perChunk,
    httpDuration,
    pruned,
    prunePages,
    deltasDropped,
    streams,
  } = createInstruments(provider.getMeter("holdfast"));

  return {
    taskSubmitted: (agent: string) => submitted.add(1, { agent }),
    taskRejected: () => rejected.add(1),
    messageReceived: (agent: string, outcome: "accepted" | "repeated" | "refused" | "delayed") =>
      received.add(1, { agent, outcome }),
    resultsPublished: (count: number) => published.add(count),
    taskStarted: () => running.add(1),
    taskRun(agent: string, outcome: string): void {
      running.add(-1);
      runs.add(1, { agent, outcome });
    },
    toolCall: (call: { tool: string; outcome: string; ms: number }) =>
      toolDuration.record(call.ms, { tool: call.tool, outcome: call.outcome }),
    attemptsFailed(attempts: readonly { model: string; code: string }[]): void {
      for (const { model, code } of attempts) attemptsFailed.add(1, { model, code });
    },
    modelCall(call: { model: string; usage: Usage; ttftMs: number; tpotMs: number }): void {
      const labels = { "gen_ai.request.model": call.model };
      tokens.add(call.usage.input, { ...labels, "gen_ai.token.type": "input" });
      tokens.add(call.usage.output, { ...labels, "gen_ai.token.type": "output" });
      firstChunk.record(call.ttftMs / 1_000, labels);
      perChunk.record(call.tpotMs / 1_000, labels);
    },
    httpRequest: (request: { method: string; route: string; status: number; ms: number }) =>
      httpDuration.record(request.ms / 1_000, {
        "http.request.method": request.method,
        "http.route": request.route,
        "http.response.status_code": request.status,
      }),
    /** What was deleted because it was past its retention. */
    pruned(counts: Readonly<Record<string, number>>): void {
      for (const [kind, count] of Object.entries(counts)) if (count > 0) pruned.add(count, { kind });
    },
    prunePage: (ms: number) => prunePages.record(ms),
    deltaDropped: () => deltasDropped.add(1),
    streamOpened: () => streams.add(1),
    streamClosed: () => streams.add(-1),
    /** Answers a scrape in the Prometheus text format. */
    handle: (request: IncomingMessage, response: ServerResponse) =>
      exporter.getMetricsRequestHandler(request, response),
    close: () => provider.shutdown(),
  };
}

function createInstruments(meter: Meter) {
  const submitted = meter.createCounter("holdfast.tasks.submitted", { description: "Tasks accepted." });
  const runs = meter.createCounter("holdfast.task.runs", { description: "Runs of tasks by how they ended." });
  const running = meter.createUpDownCounter("holdfast.tasks.running", {
    description: "Tasks in a slot of this process.",
  });
  const rejected = meter.createCounter("holdfast.tasks.rejected", {
    description: "Tasks refused because the queue is full.",
  });
  const received = meter.createCounter("holdfast.messages.received", {
    description: "Tasks that came over a broker, by what became of them.",
  });
  const published = meter.createCounter("holdfast.results.published", {
    description: "Results brought to a broker.",
  });
  const toolDuration = meter.createHistogram("holdfast.tool.duration", {
    description: "Tool calls.",
    unit: "ms",
    advice: { explicitBucketBoundaries: milliseconds },
  });
  const attemptsFailed = meter.createCounter("holdfast.model.attempts.failed", {
    description: "Attempts at a model call that came to nothing, by the class of error.",
  });
  const tokens = meter.createCounter("gen_ai.client.token.usage", { description: "Tokens by type.", unit: "{token}" });
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
  const pruned = meter.createCounter("holdfast.retention.pruned", {
    description: "What was deleted because it was past its retention.",
  });
  const prunePages = meter.createHistogram("holdfast.retention.page.duration", {
    description: "Statements that delete what is past its retention.",
    unit: "ms",
    advice: { explicitBucketBoundaries: milliseconds },
  });
  const deltasDropped = meter.createCounter("holdfast.deltas.dropped", {
    description: "Pieces of answers not sent to the processes that watch them, because too many waited to be.",
  });
  const streams = meter.createUpDownCounter("holdfast.streams.open", { description: "Event streams that are open." });
  return {
    submitted,
    runs,
    running,
    deltasDropped,
    streams,
    rejected,
    received,
    published,
    toolDuration,
    attemptsFailed,
    tokens,
    firstChunk,
    perChunk,
    httpDuration,
    pruned,
    prunePages,
  };
}
