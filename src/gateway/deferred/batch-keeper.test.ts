/** How the keeper treats the batch APIs; that it loses and doubles nothing is in test/fault and test/integration. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { APICallError } from "@ai-sdk/provider";
import { createPrices } from "../cost.ts";
import type { Gate } from "../gate/gate.ts";
import type { BatchApi } from "../providers/batches.ts";
import { createResilience } from "../resilience/resilience.ts";
import type { Clock } from "../../platform/clock.ts";
import { UnavailableError } from "../../platform/errors.ts";
import { silentLogger } from "../../telemetry/log.ts";
import { createVirtualClock } from "../../testing/virtual-clock.ts";
import { keepBatches, type BatchStore, type DueBatch } from "./batch-keeper.ts";

const [everyMs, requestMs] = [60_000, 30_000];
const fails = (statusCode: number, responseHeaders: Record<string, string> = {}) =>
  new APICallError({ message: `HTTP ${statusCode}`, url: "", requestBodyValues: {}, statusCode, responseHeaders });

interface Scene {
  /** Models of calls that wait to be sent, and batches that are looked after in every pass. */
  readonly waiting?: string[];
  readonly batches?: string[];
  readonly answer: (request: string) => unknown;
}

/** Keeps to what a refusal says. */
function restingGate(clock: Clock): Gate {
  const restUntil = new Map<string, number>();
  return {
    enter: ({ model }) => {
      const afterMs = (restUntil.get(model) ?? 0) - clock.monotonic();
      if (afterMs > 0) return Promise.reject(new UnavailableError("model_gate_full", "Full.", { afterMs }));
      const leave = ({ rateLimited }: { rateLimited: { retryAfterMs: number | null } | null }): void => {
        if (rateLimited !== null) restUntil.set(model, clock.monotonic() + (rateLimited.retryAfterMs ?? 0));
      };
      return Promise.resolve({ key: 0, leave });
    },
    status: () => [],
  };
}

/** A store in memory, APIs that answer as they are told, and a gate. */
function open({ waiting = [], batches = [], answer }: Scene) {
  const clock = createVirtualClock();
  const asked: string[] = [];
  const failed: string[] = [];
  const ended: string[] = [];
  const log = { putBack: 0, sent: 0 };
  const gate = restingGate(clock);
  const breaker = { consecutiveFailures: 2, openMs: 90_000 };
  const resilience = createResilience({ clock, random: () => 0, gate, breaker });
  const apiOf = (provider: string): BatchApi => {
    const ask = async (what: string): Promise<never> => {
      asked.push(`${provider} ${what}`);
      const said = await answer(`${provider} ${what}`);
      if (said instanceof Error) throw said;
      return said as never;
    };
    return {
      doStartBatch: () => ask("start"),
      doGetBatchStatus: ({ batchId }: { batchId: string }) => ask(`look ${batchId}`),
      doGetBatchResults: ({ batchId }: { batchId: string }) => ask(`results ${batchId}`),
    } as unknown as BatchApi;
  };
  const taken = new Map<string, string[]>();
  const store: BatchStore = {
    takeDeferred({ batchId, provider }) {
      const found = waiting.filter((model) => model.startsWith(provider));
      for (const model of found) waiting.splice(waiting.indexOf(model), 1);
      if (found.length > 0) taken.set(batchId, found);
      return Promise.resolve(found.map((model, index) => ({ id: `${index}`, model, request: {} })));
    },
    batchSent: () => Promise.resolve(void log.sent++),
    putBack: ({ batchId }) => {
      log.putBack++;
      return Promise.resolve(void waiting.push(...(taken.get(batchId) ?? [])));
    },
    dueBatches: () =>
      Promise.resolve(batches.map((id): DueBatch => ({ id, model: "openai/gpt-5", providerId: id, sentAt: 0 }))),
    knownBatches: () => Promise.resolve([]),
    openCalls: () => Promise.resolve([]),
    landDeferred: () => Promise.resolve([]),
    endBatch: ({ batchId }) => Promise.resolve(void ended.push(batchId)),
    wakeDeferred: () => Promise.resolve(0),
    recordUsage: () => Promise.resolve(),
  };
  const apis = new Map(["openai", "anthropic"].map((provider) => [provider, apiOf(provider)]));
  const stop = keepBatches({
    store,
    resilience,
    metrics: { attemptsFailed: (attempts) => void failed.push(...attempts.map(({ code }) => code)) },
    batches: { providers: [...apis.keys()], of: (model) => apis.get(model.split("/")[0]!) ?? null },
    prices: createPrices(),
    clock,
    random: () => 0,
    newId: () => `batch-${taken.size}`,
    log: silentLogger,
    everyMs,
    requestMs,
  });
  const pass = async (): Promise<string[]> => {
    asked.length = 0;
    await clock.advance(everyMs);
    return [...asked];
  };
  return { clock, pass, stop, log, failed, ended, status: () => resilience.status() };
}

describe("Requests to a batch API", () => {
  test("rest for as long as the provider asks, and what was not taken waits", async () => {
    let refusals = 1;
    const { pass, stop, log, failed } = open({
      waiting: ["openai/gpt-5"],
      answer: () => (refusals-- > 0 ? fails(429, { "retry-after": "150" }) : { batchId: "b" }),
    });
    assert.deepEqual([await pass(), await pass(), await pass()], [["openai start"], [], []]);
    assert.deepEqual(await pass(), ["openai start"]);
    assert.deepEqual([log, failed[0]], [{ putBack: 3, sent: 1 }, "model_rate_limited"]);
    await stop();
  });

  test("are not made while its breaker is open, neither to look nor to send; then one finds out", async () => {
    let isOut = true;
    const { pass, stop, log, status } = open({
      batches: ["b1", "b2", "b3"],
      waiting: ["openai/gpt-5"],
      answer: (what) => (isOut ? fails(503) : { status: "pending", batchId: what }),
    });
    assert.deepEqual(await pass(), ["openai look b1", "openai look b2"]);
    assert.deepEqual([await pass(), log.putBack], [[], 2]);
    const [seen] = status();
    assert.deepEqual([seen?.model, seen?.breaker.state, seen?.attempts.failed], ["openai/batches", "open", 2]);
    isOut = false;
    assert.deepEqual(await pass(), ["openai look b1", "openai look b2", "openai look b3", "openai start"]);
    await stop();
  });

  test("of one provider wait for no other's", async () => {
    const { pass, stop, log } = open({
      waiting: ["openai/gpt-5", "anthropic/claude-sonnet-4-6"],
      answer: (what) => (what.startsWith("openai") ? fails(429, { "retry-after": "9" }) : { batchId: "b" }),
    });
    assert.deepEqual(await pass(), ["openai start", "anthropic start"]);
    assert.deepEqual(log, { putBack: 1, sent: 1 });
    await stop();
  });

  test("for a batch that is gone say nothing of the API", async () => {
    const { pass, stop, status } = open({ batches: ["b1", "b2", "b3"], answer: () => fails(404) });
    assert.equal((await pass()).length, 3);
    assert.equal(status()[0]?.breaker.state, "closed");
    await stop();
  });

  test("are given up after their time, a result that stays away too, and the others go on", async () => {
    const { clock, pass, stop, failed, ended } = open({
      batches: ["hangs", "silent", "ends"],
      answer: (what) => {
        if (what.endsWith("look hangs")) return new Promise(() => {});
        if (what.includes("look")) return { status: "completed" };
        return what.endsWith("silent") ? new ReadableStream({}) : ReadableStream.from([]);
      },
    });
    await pass();
    await clock.advance(requestMs);
    assert.deepEqual([failed, ended], [["model_timeout"], []]);
    await clock.advance(requestMs);
    assert.deepEqual(ended, ["ends"]);
    await stop();
  });
});
