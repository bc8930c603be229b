import assert from "node:assert/strict";
import { test } from "node:test";
import type { GatewayState, ModelState } from "../client/wire.ts";
import { renderGateway } from "./gateway.ts";
import { plain } from "./terminal.ts";

const now = Date.parse("2026-11-21T12:00:00Z");
const [gpt, claude] = ["openai/gpt-5", "anthropic/claude-sonnet-4-6"];

function modelOf(model: string, more: Partial<ModelState> = {}): ModelState {
  return {
    model,
    breaker: { state: "closed", open_until: null, consecutive_failures: 0, calls: 9, failures: 0, last_failure: null },
    gate: [],
    attempts: { answered: 1_204, failed: 3, skipped: 0, hedged: 0 },
    retries_left: 20,
    ttft_ms: { p50: 300, p95: 812, p99: 900, count: 100 },
    tpot_ms: null,
    ...more,
  };
}

const key = {
  key: 0,
  waiting: 2,
  in_flight: 7,
  max_concurrent: null,
  requests_per_minute: 500,
  tokens_per_minute: null,
};

const state: GatewayState = {
  since: "2026-11-21T09:00:00Z",
  routes: [
    { name: "agent/support", models: [gpt, claude], out: [gpt] },
    { name: "agent/desk", models: [gpt], out: [gpt] },
  ],
  models: [
    modelOf(gpt, {
      breaker: {
        state: "open",
        open_until: "2026-11-21T12:00:12Z",
        consecutive_failures: 5,
        calls: 9,
        failures: 5,
        last_failure: { at: "2026-11-21T11:59:57Z", code: "model_unavailable", message: "HTTP 503" },
      },
      gate: [
        { ...key, blocked_for_ms: 0 },
        { ...key, key: 1, blocked_for_ms: 4_000 },
      ],
      ttft_ms: null,
    }),
    modelOf(claude),
  ],
  experiments: { drill: { share: 0.1, source: "request", ends_at: null }, faults: 1 },
  caches: {
    hours: 24,
    answers: [
      {
        agent: null,
        model: gpt,
        lookups: 3,
        hits: 2,
        shared: 0,
        stale: 0,
        misses: 1,
        hit_share: 2 / 3,
        saved_tokens: 10,
        saved_usd: 1.5,
      },
    ],
    prompts: [{ model: gpt, calls: 1_000, input_tokens: 2_000_000, cached_tokens: 1_500_000, hit_share: 0.75 }],
  },
};

test("what is wrong with the gateway stands first, then routes, models and both caches", () => {
  assert.deepEqual(renderGateway(state, { width: undefined, paint: plain, now }), [
    "All models are out, and work waits: agent/desk",
    "openai/gpt-5 last failed 3 s ago: HTTP 503 (model_unavailable)",
    "A game day: 1 fault injected into model calls on purpose.",
    "A drill sends 10 % of the calls to the fallback.",
    "",
    "ROUTE          STATE      MODELS",
    "agent/support  1 of 2 up  openai/gpt-5 (out), anthropic/claude-sonnet-4-6",
    "agent/desk     out        openai/gpt-5 (out)",
    "",
    "MODEL                        BREAKER            ANSWERED  FAILED  SKIPPED  IN FLIGHT  WAITING  TTFT P95  LIMIT",
    "openai/gpt-5                 open, 12.0 s left     1,204       3        0         14        4         -  1,000 requests/min",
    "anthropic/claude-sonnet-4-6  closed                1,204       3        0          0        0    812 ms  none known",
    "",
    "Answers given again, in 24 hours, all processes:",
    "AGENT       MODEL         CALLS    HITS  STALE  SAVED",
    "(programs)  openai/gpt-5      3  66.6 %      0  $1.50",
    "",
    "Prompts that providers had cached, in 24 hours, all processes:",
    "MODEL         CALLS      INPUT     CACHED  HITS",
    "openai/gpt-5  1,000  2,000,000  1,500,000  75 %",
  ]);
});

test("where nothing is known yet, that is said", () => {
  const fresh = { ...state, routes: [{ name: "agent/desk", models: [gpt], out: [] }], models: [] };
  const calm = { ...fresh, experiments: { drill: { share: 0, source: null, ends_at: null }, faults: 0 } };
  assert.deepEqual(renderGateway({ ...calm, caches: null }, { width: 80, paint: plain, now }), [
    "ROUTE       STATE  MODELS",
    "agent/desk  up     openai/gpt-5",
    "",
    "No model was called by this process, which began 3 h ago.",
    "",
    "How often the caches hit is not known: the store does not answer.",
  ]);
  const empty = { hours: 1, answers: [], prompts: [] };
  assert.deepEqual(renderGateway({ ...calm, caches: empty }, { width: 80, paint: plain, now }).slice(-3), [
    "No call allowed an answer to be given again in 1 hour.",
    "",
    "No provider reported tokens in 1 hour.",
  ]);
});

test("in a narrow terminal no line is wider than it", () => {
  for (const line of renderGateway(state, { width: 100, paint: plain, now }).slice(5))
    assert.ok(line.length <= 100, line);
});
