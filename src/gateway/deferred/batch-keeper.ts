/**
 * Sends deferred calls in batches, looks after the batches until they are over, and wakes the tasks that wait for them.
 *
 *   waits ──take──► in a batch that is written down ──the provider takes it──► sent ──ended──► its results land
 *     ▲                     │ refused, or it never arrived                        │ pending: looked at again later
 *     └─────────────────────┘                                                     └─ …
 *
 * Any process does any step of it; what one has in hand is put off for the others (`due_at`). A process may die anywhere.
 * The one place that is not plain is between a request to the provider and its answer: the batch may be there or not. Then
 * nothing is sent again before that is known. Providers list batches, but not what is in them; so every batch that began
 * after ours and that nobody knows is waited for and its results are read: they carry our ids. Only when none of them has
 * ours, and the request cannot be under way any more, the calls go again.
 */
import { APICallError } from "@ai-sdk/provider";
import type { Usage } from "../../agent/conversation.ts";
import { withTimeLimit } from "../../platform/abort.ts";
import { createBackground } from "../../platform/background.ts";
import type { Clock } from "../../platform/clock.ts";
import { assert, HoldfastError, messageOf } from "../../platform/errors.ts";
import type { NewId } from "../../platform/ids.ts";
import type { Random } from "../../platform/random.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import { splitModelName } from "../model-name.ts";
import { batchName, type BatchApi, type ProviderBatches } from "../providers/batches.ts";
import type { Prices } from "../cost.ts";
import { admit, type Guards } from "../resilience/admission.ts";
import { outcomeOf, replyOf, type Outcome } from "./outcome.ts";

export interface DueBatch {
  readonly id: string;
  readonly model: string;
  readonly providerId: string | null;
  readonly sentAt: number;
}

interface Owner {
  readonly tenant: string;
  readonly agent: string;
  readonly sessionId: string;
  readonly userId: string | null;
}

/** What nobody waits for any more and was paid for all the same. */
export interface LateUsage extends Owner {
  readonly id: string;
  readonly keyId: null;
  readonly model: string;
  readonly code: string;
  readonly at: number;
  readonly usage: Usage;
  readonly costMicros: number | null;
}

export interface BatchStore {
  takeDeferred(take: {
    batchId: string;
    provider: string;
    most: number;
    settleMs: number;
  }): Promise<readonly { id: string; model: string; request: object }[]>;
  batchSent(sent: { batchId: string; providerId: string; pollMs: number }): Promise<unknown>;
  putBack(batch: { batchId: string; alone: boolean }): Promise<unknown>;
  dueBatches(take: { most: number; pollMs: number }): Promise<readonly DueBatch[]>;
  knownBatches(providerIds: readonly string[]): Promise<readonly string[]>;
  openCalls(batchId: string): Promise<readonly string[]>;
  landDeferred(landings: readonly { id: string; outcome: object }[]): Promise<readonly (Owner & { id: string })[]>;
  endBatch(end: { batchId: string; outcome: object }): Promise<unknown>;
  wakeDeferred(): Promise<number>;
  recordUsage(rows: readonly LateUsage[]): Promise<unknown>;
}

export interface BatchKeeperDeps {
  readonly store: BatchStore;
  readonly batches: ProviderBatches;
  readonly resilience: Guards;
  readonly metrics: Pick<Metrics, "attemptsFailed">;
  readonly prices: Prices;
  readonly clock: Clock;
  readonly random: Random;
  readonly newId: NewId;
  readonly log: Logger;
  /** How often calls are sent and batches are looked at. */
  readonly everyMs: number;
  /** How long a request to a provider may take. */
  readonly requestMs: number;
}

interface Keeper extends BatchKeeperDeps {
  readonly signal: AbortSignal;
}

/** Of requests that any of the providers takes in one batch. */
const mostCalls = 500;
const mostBatches = 50;
/** So many times what a request may take: from then on one that nobody heard the answer of is not under way any more. */
const settleFactor = 2;
/** Clocks differ. */
const skewMs = 60_000;
const perPage = 100;
const mostPages = 20;
const perLanding = 100;

/** @returns a function that stops it */
export function keepBatches(deps: BatchKeeperDeps): () => Promise<void> {
  const { log, clock, random, everyMs } = deps;
  const stopping = new AbortController();
  const keeper: Keeper = { ...deps, signal: stopping.signal };
  const background = createBackground((_name, error) =>
    log.error({ error: messageOf(error) }, "the batch keeper broke"),
  );
  background.start("batches", async () => {
    while (!stopping.signal.aborted) {
      await clock.sleep(everyMs * (1 + random() / 10), stopping.signal).catch(() => undefined);
      if (!stopping.signal.aborted) await attempt(keeper, "deferred calls stand still; later", () => keepPass(keeper));
    }
  });
  return async () => {
    stopping.abort(new Error("The process stops."));
    await background.settled();
  };
}

async function keepPass(keeper: Keeper): Promise<void> {
  const { store, everyMs, requestMs } = keeper;
  for (const batch of await store.dueBatches({ most: mostBatches, pollMs: Math.max(everyMs, requestMs) })) {
    await attempt(keeper, "a batch of deferred calls cannot be looked after; later", () => lookAfter(keeper, batch));
  }
  for (const provider of keeper.batches.providers) {
    // Bounded by the calls that wait; what is refused for now waits for the next pass.
    while (!keeper.signal.aborted && (await sendNext(keeper, provider)));
  }
  await store.wakeDeferred();
}

async function attempt({ log, signal }: Keeper, trouble: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!signal.aborted) log.warn({ error: messageOf(error) }, trouble);
  }
}

/** @returns whether there may be more to send */
async function sendNext(keeper: Keeper, provider: string): Promise<boolean> {
  const { store, newId, everyMs, log } = keeper;
  const batchId = newId();
  const settleMs = settleFactor * keeper.requestMs;
  const calls = await store.takeDeferred({ batchId, provider, most: mostCalls, settleMs });
  const [first] = calls;
  if (first === undefined) return false;
  const api = keeper.batches.of(first.model);
  assert(api !== null, "a provider that is listed has a batch API");
  try {
    const modelId = splitModelName(first.model).id;
    const requests = calls.map(({ id, request }) => ({
      type: "text" as const,
      id,
      modelId,
      options: request as never,
    }));
    const start = (abortSignal: AbortSignal) => api.doStartBatch({ requests, abortSignal });
    const { batchId: providerId } = await ask(keeper, first.model, start);
    await store.batchSent({ batchId, providerId, pollMs: everyMs });
    return true;
  } catch (error) {
    log.warn({ model: first.model, calls: calls.length, error: messageOf(error) }, "a batch was not taken");
    return afterRefusal(keeper, { batchId, calls: calls.length, error });
  }
}

/** Only an answer that says so means that the provider has not taken it. Whatever else it was is found out later. */
async function afterRefusal(
  { store }: Keeper,
  { batchId, calls, error }: { batchId: string; calls: number; error: unknown },
): Promise<boolean> {
  if (error instanceof NotAsked) return store.putBack({ batchId, alone: false }).then(() => false);
  const status = APICallError.isInstance(error) ? (error.statusCode ?? null) : null;
  if (status === null || status < 400 || status >= 500 || status === 408) return false;
  const isTheirs = status === 400 || status === 413 || status === 422;
  if (!isTheirs) return store.putBack({ batchId, alone: false }).then(() => false);
  await refuse(store, { batchId, calls, error: { message: messageOf(error), statusCode: status } });
  return true;
}

/** A batch is refused as a whole. Each of its calls goes alone, so that one that is wrong does not stop the others. */
async function refuse(
  store: BatchStore,
  { batchId, calls, error }: { batchId: string; calls: number; error: { message: string; statusCode: number } },
): Promise<void> {
  if (calls > 1) await store.putBack({ batchId, alone: true });
  else await store.endBatch({ batchId, outcome: { status: "failed", error } satisfies Outcome });
}

async function lookAfter(keeper: Keeper, batch: DueBatch): Promise<void> {
  const api = keeper.batches.of(batch.model);
  if (api === null) return;
  if (batch.providerId === null) await findLost(keeper, batch, api);
  else await collect(keeper, { ...batch, providerId: batch.providerId }, api);
}

async function collect(keeper: Keeper, batch: DueBatch & { providerId: string }, api: BatchApi): Promise<void> {
  const { store } = keeper;
  const { id: batchId, providerId } = batch;
  const look = (abortSignal: AbortSignal) => api.doGetBatchStatus({ batchId: providerId, abortSignal });
  const { status, error } = await ask(keeper, batch.model, look);
  if (status === "pending")
    return store.batchSent({ batchId, providerId, pollMs: keeper.everyMs }).then(() => undefined);
  let landed = 0;
  for await (const landings of resultsOf(keeper, api, batch)) {
    landed += landings.length;
    await land(keeper, batch, landings);
  }
  if (status === "failed" && landed === 0 && error !== undefined) {
    const calls = (await store.openCalls(batchId)).length;
    return refuse(store, { batchId, calls, error: { message: error.message, statusCode: 400 } });
  }
  await store.endBatch({ batchId, outcome: { status: "expired" } satisfies Outcome });
}

type Landings = { id: string; outcome: Outcome }[];

/** A few at a time, since results may be large; each of them in its time. */
async function* resultsOf(
  keeper: Keeper,
  api: BatchApi,
  { model, providerId }: { model: string; providerId: string },
): AsyncIterable<Landings> {
  const stop = new AbortController();
  let landings: Landings = [];
  try {
    const open = () => api.doGetBatchResults({ batchId: providerId, abortSignal: stop.signal });
    const results = (await ask(keeper, model, open))[Symbol.asyncIterator]();
    for (;;) {
      const { done, value: item } = await timely(keeper, () => results.next());
      if (done === true) break;
      landings.push({ id: item.id, outcome: outcomeOf(item) });
      if (landings.length < perLanding) continue;
      yield landings;
      landings = [];
    }
    if (landings.length > 0) yield landings;
  } finally {
    stop.abort();
  }
}

async function land({ store, prices, clock }: Keeper, { model }: DueBatch, landings: Landings): Promise<void> {
  const late = await store.landDeferred(landings);
  const rows = late.flatMap(({ id, ...owner }): LateUsage[] => {
    const outcome = landings.find((landing) => landing.id === id)?.outcome;
    if (outcome?.status !== "succeeded") return [];
    const at = clock.now();
    const request = { system: "", messages: [], tools: [] };
    const { usage, costMicros } = replyOf(outcome.result, { model, request, prices, at });
    return [{ ...owner, id, keyId: null, model, code: "deferred_late", at, usage, costMicros }];
  });
  if (rows.length > 0) await store.recordUsage(rows);
}

/** Whether a batch that nobody heard the answer of has arrived. */
async function findLost(keeper: Keeper, batch: DueBatch, api: BatchApi): Promise<void> {
  const { store } = keeper;
  const batchId = batch.id;
  const ours = new Set(await store.openCalls(batchId));
  if (ours.size === 0) return store.endBatch({ batchId, outcome: { status: "expired" } }).then(() => undefined);
  let undecided = false;
  for (const { providerId, pending } of await strangers(keeper, batch, api)) {
    if (pending) undecided = true;
    else if (await holds(keeper, api, { model: batch.model, providerId, ours })) {
      await store.batchSent({ batchId, providerId, pollMs: 0 });
      return collect(keeper, { ...batch, providerId }, api);
    }
  }
  // Where that is open it is due again by itself: taking it has moved it on.
  if (!undecided) await store.putBack({ batchId, alone: false });
}

async function holds(
  keeper: Keeper,
  api: BatchApi,
  { ours, ...batch }: { model: string; providerId: string; ours: ReadonlySet<string> },
): Promise<boolean> {
  for await (const landings of resultsOf(keeper, api, batch)) {
    if (landings.some(({ id }) => ours.has(id))) return true;
  }
  return false;
}

/** The batches that began when ours was sent or later, and that are none we know. */
async function strangers(
  keeper: Keeper,
  { model, sentAt }: DueBatch,
  api: BatchApi,
): Promise<{ providerId: string; pending: boolean }[]> {
  const list = api.doListBatches?.bind(api);
  assert(list !== undefined, "a batch API that cannot list its batches is not used");
  const found: { providerId: string; pending: boolean }[] = [];
  let cursor: string | undefined;
  // The newest come first. Beyond the last page nothing is known, so it must not be read as if nothing were there.
  for (let page = 1; ; page++) {
    assert(page <= mostPages, "too many batches have been made since to find the one that was lost");
    const { batches, nextCursor } = await ask(keeper, model, (abortSignal) =>
      list({ limit: perPage, abortSignal, ...(cursor !== undefined && { cursor }) }),
    );
    for (const { batchId: providerId, status, createdAt } of batches) {
      if (createdAt !== undefined && Date.parse(createdAt) < sentAt - skewMs) continue;
      found.push({ providerId, pending: status === "pending" });
    }
    const oldest = batches.at(-1)?.createdAt;
    const isPast = oldest !== undefined && Date.parse(oldest) < sentAt - skewMs;
    if (nextCursor === undefined || isPast) break;
    cursor = nextCursor;
  }
  const known = new Set(await keeper.store.knownBatches(found.map(({ providerId }) => providerId)));
  return found.filter(({ providerId }) => !known.has(providerId));
}

/** It was not sent: its API is out, or wants no more for a while. */
class NotAsked extends HoldfastError {}

/**
 * A request to a batch API, with what stands around every request to a provider.
 * @throws NotAsked; or what the request does
 */
async function ask<T>(keeper: Keeper, model: string, work: (signal: AbortSignal) => PromiseLike<T>): Promise<T> {
  const { resilience, metrics, signal } = keeper;
  const name = batchName(model);
  // What is in a batch counts against no limit per minute. Nobody waits: the next pass comes again.
  const request = { model: name, tenant: name, tokens: 1, signal, longestWaitMs: 0 };
  const admission = await admit(resilience, request);
  if ("failure" in admission) {
    metrics.attemptsFailed([{ model: name, code: admission.code }]);
    throw new NotAsked(admission.code, admission.failure.message);
  }
  try {
    const answer = await timely(keeper, work);
    admission.answered({ usedTokens: 1, headers: {} });
    return answer;
  } catch (thrown) {
    // A batch that is gone says nothing of the API that the others are asked of.
    if (signal.aborted || (APICallError.isInstance(thrown) && thrown.statusCode === 404)) admission.givenUp();
    else metrics.attemptsFailed([{ model: name, code: admission.failed(thrown).code }]);
    throw thrown;
  }
}

function timely<T>(
  { clock, signal, requestMs: ms }: Keeper,
  work: (signal: AbortSignal) => PromiseLike<T>,
): Promise<T> {
  const late = () =>
    new HoldfastError("model_timeout", `The batch API gave no answer within ${ms} ms.`, { retry: "now" });
  return withTimeLimit({ clock, ms, signal, late }, work);
}
