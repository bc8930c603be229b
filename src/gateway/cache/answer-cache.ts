/**
 * Gives the answer to an equal call again, for callers that allow it: a model gateway around a model gateway.
 *
 *   an equal call is under way here    → wait for it, and take its answer
 *   a fresh answer is in the store     → give it
 *   otherwise                          → ask a model; keep what it answers
 *     …and no model could be reached   → give a stale answer, if the caller allows and there is one
 *
 * Of equal calls in one process only one goes out. What it brings counts for all of them: its answer, and also that no
 * model could be reached. If it was cut off, the next one goes; if its answer is not to be given again, all go at once.
 *
 * Only whole answers are kept: nothing cut short or withheld, nothing that the rules in this process made up, and nothing
 * that the caller says would do harm (`mayRepeat`, asked again before an answer is given, as it may have changed). What the
 * store cannot do costs a model call, never the caller's task.
 */
import type { AssistantPart, Usage } from "../../agent/conversation.ts";
import type { FailedAttempt, FinishReason, Saved } from "../../agent/journal.ts";
import { messageOf } from "../../platform/errors.ts";
import {
  ModelCallError,
  type AnswerCaching,
  type CacheOutcome,
  type ModelErrorCode,
  type ModelGateway,
  type ModelReply,
  type ModelRequest,
} from "../model-gateway.ts";
import { splitModelName } from "../model-name.ts";
import { answerKey } from "./answer-key.ts";

/** An answer as it is kept. */
export interface Answer extends Saved {
  readonly parts: readonly AssistantPart[];
  readonly finish: FinishReason;
  readonly model: string;
}

export interface AnswerStore {
  findAnswer(lookup: { tenant: string; key: string }): Promise<{ answer: object; ageMs: number } | undefined>;
  keepAnswer(kept: { tenant: string; key: string; answer: object; keepMs: number }): Promise<void>;
}

/** What became of a call that allows an answer to be given again. */
export interface CacheLookup {
  readonly outcome: CacheOutcome;
  /** Null: an outside program. */
  readonly agent: string | null;
  /** Which answered, now or when the answer was made. */
  readonly model: string;
  /** What the answer took when a model gave it; null: a model was asked now. */
  readonly saved: Saved | null;
}

export interface AnswerCacheDeps {
  readonly store: AnswerStore;
  readonly onLookup: (lookup: CacheLookup) => void;
  /** The store did not answer. */
  readonly onTrouble: (message: string) => void;
}

interface Found {
  readonly answer: Answer;
  readonly ageMs: number;
}

/** What became of a call that others wait for. */
type Landing =
  | { readonly type: "answer"; readonly found: Found }
  | { readonly type: "failure"; readonly error: ModelCallError }
  /** Its answer is for nobody else. */
  | { readonly type: "own" }
  | { readonly type: "cut_off" };

interface Cache extends AnswerCacheDeps {
  readonly gateway: ModelGateway;
  /** Calls under way, by key. Not more than there are callers. */
  readonly flights: Map<string, Promise<Landing>>;
}

interface CachedCall {
  readonly request: ModelRequest;
  readonly rule: AnswerCaching;
  readonly lookup: { readonly tenant: string; readonly key: string };
}

export function cacheAnswers(gateway: ModelGateway, deps: AnswerCacheDeps): ModelGateway {
  const cache: Cache = { ...deps, gateway, flights: new Map() };
  return {
    ...gateway,
    call(request) {
      const { cache: rule, caller } = request;
      if (rule === undefined) return gateway.call(request);
      return callCached(cache, { request, rule, lookup: { tenant: caller.tenant, key: answerKey(request) } });
    },
  };
}

async function callCached(cache: Cache, call: CachedCall): Promise<ModelReply> {
  // Each round waits for another caller, who is gone when the round is over.
  for (;;) {
    const flight = cache.flights.get(call.lookup.key);
    if (flight === undefined) return lead(cache, call);
    const landing = await unlessAborted(flight, call.request);
    if (landing === null) return askAlone(cache, call);
    switch (landing.type) {
      case "answer":
        if (!isUsable(landing.found, call)) return askAlone(cache, call);
        return give(cache, call, { ...landing.found, outcome: "shared", attempts: [] });
      case "failure":
        throw sharedFailure(landing.error);
      case "own":
        return askAlone(cache, call);
      case "cut_off":
    }
  }
}

function askAlone({ gateway }: Cache, { request, rule }: CachedCall): Promise<ModelReply> {
  rule.onOutcome?.("miss");
  return gateway.call(request);
}

/** The attempts are left out: whoever made them pays for them. */
function sharedFailure(error: ModelCallError): ModelCallError {
  const code = error.code as ModelErrorCode;
  return new ModelCallError(code, error.message, { retry: error.retry, attempts: [], cause: error });
}

async function lead(cache: Cache, call: CachedCall): Promise<ModelReply> {
  const { flights } = cache;
  const { key } = call.lookup;
  const flight = Promise.withResolvers<Landing>();
  flights.set(key, flight.promise);
  let landing: Landing = { type: "cut_off" };
  try {
    const known = await find(cache, call);
    call.request.signal.throwIfAborted();
    if (known !== undefined && known.ageMs <= call.rule.ttlMs) {
      landing = { type: "answer", found: known };
      return give(cache, call, { ...known, outcome: "hit", attempts: [] });
    }
    const { reply, found } = await ask(cache, call, known);
    if (found !== null) landing = { type: "answer", found };
    else if (reply.finish !== "interrupted") landing = { type: "own" };
    return reply;
  } catch (thrown) {
    if (thrown instanceof ModelCallError) landing = { type: "failure", error: thrown };
    throw thrown;
  } finally {
    flights.delete(key);
    flight.resolve(landing);
  }
}

/** @param known an answer that is too old to be given as long as a model can be reached */
async function ask(
  cache: Cache,
  call: CachedCall,
  known: Found | undefined,
): Promise<{ reply: ModelReply; found: Found | null }> {
  const { request, rule } = call;
  if (known === undefined) rule.onOutcome?.("miss");
  const reply = await (known === undefined ? cache.gateway.call(request) : askOrGiveStale(cache, call, known));
  if (reply.hit === "cache") return { reply, found: known ?? null };
  cache.onLookup({ outcome: "miss", agent: request.caller.agent, model: reply.model, saved: null });
  if (!isToKeep(reply, rule)) return { reply, found: null };
  const { parts, finish, model, usage, costMicros } = reply;
  const answer: Answer = { parts, finish, model, usage, costMicros };
  const keepMs = rule.ttlMs + rule.staleMs;
  await cache.store
    .keepAnswer({ ...call.lookup, answer, keepMs })
    .catch((error: unknown) => cache.onTrouble(`an answer is not kept: ${messageOf(error)}`));
  return { reply, found: { answer, ageMs: 0 } };
}

/** An old answer of a model is better than one of the rules in this process: they are not asked. */
async function askOrGiveStale(cache: Cache, call: CachedCall, known: Found): Promise<ModelReply> {
  const { request } = call;
  const candidates = request.route.candidates.filter(({ model }) => !isOfRules(model));
  if (candidates.length === 0) return cache.gateway.call(request);
  let said = false;
  const onDelta: ModelRequest["onDelta"] = (delta) => {
    said = delta.type !== "restart";
    request.onDelta(delta);
  };
  try {
    return await cache.gateway.call({ ...request, route: { ...request.route, candidates }, onDelta });
  } catch (thrown) {
    if (!(thrown instanceof ModelCallError) || !leavesNoModel(thrown)) throw thrown;
    if (said) request.onDelta({ type: "restart" });
    return give(cache, call, { ...known, outcome: "stale", attempts: thrown.attempts });
  }
}

/** Not only an outage, which passes by itself: a key that is refused is mended by somebody, and an old answer is better. */
function leavesNoModel({ code }: ModelCallError): boolean {
  return code === "model_unavailable" || code === "model_rate_limited" || code === "model_auth";
}

function isToKeep({ finish, model, parts }: ModelReply, rule: AnswerCaching): boolean {
  return (finish === "stop" || finish === "calls") && parts.length > 0 && !isOfRules(model) && rule.mayRepeat(parts);
}

function isOfRules(model: string): boolean {
  return splitModelName(model).provider === "rules";
}

async function find(cache: Cache, call: CachedCall): Promise<Found | undefined> {
  try {
    const found = (await cache.store.findAnswer(call.lookup)) as Found | undefined;
    return found !== undefined && isUsable(found, call) ? found : undefined;
  } catch (error) {
    cache.onTrouble(`answers are not looked up: ${messageOf(error)}`);
    return undefined;
  }
}

function isUsable({ answer, ageMs }: Found, { request, rule }: CachedCall): boolean {
  const isTooLong = request.settings?.openEnded !== true && answer.usage.output > request.maxOutputTokens;
  if (ageMs > rule.ttlMs + rule.staleMs || isTooLong) return false;
  return rule.mayRepeat(answer.parts);
}

const nothing: Usage = { input: 0, cached: 0, output: 0, reasoning: 0, estimated: false };

function give(
  cache: Cache,
  { request, rule }: CachedCall,
  given: Found & { outcome: CacheOutcome; attempts: readonly FailedAttempt[] },
): ModelReply {
  const { answer, ageMs, outcome, attempts } = given;
  const { parts, finish, model, usage, costMicros } = answer;
  cache.onLookup({ outcome, agent: request.caller.agent, model, saved: { usage, costMicros } });
  rule.onOutcome?.(outcome);
  for (const part of parts) {
    if (part.type !== "call" && part.text !== "") request.onDelta({ type: part.type, text: part.text });
  }
  return {
    parts,
    finish,
    model,
    usage: nothing,
    costMicros: 0,
    ttftMs: 0,
    tpotMs: 0,
    attempts,
    choice: { strategy: "cache", reason: reasonOf(outcome, ageMs) },
    hit: "cache",
    saved: { usage, costMicros },
  };
}

function reasonOf(outcome: CacheOutcome, ageMs: number): string {
  const age = `${Math.max(0, Math.round(ageMs / 1_000))} s`;
  if (outcome === "shared") return "an equal call was under way";
  if (outcome === "stale") return `no model could be reached, and an equal call was answered ${age} ago`;
  return `an equal call was answered ${age} ago`;
}

/** @returns null when the request is interrupted @throws the reason of its signal */
async function unlessAborted<T>(wait: Promise<T>, { signal, interruption }: ModelRequest): Promise<T | null> {
  const either = interruption === undefined ? signal : AbortSignal.any([signal, interruption]);
  const aborted = Promise.withResolvers<null>();
  const onAbort = (): void => aborted.resolve(null);
  if (either.aborted) onAbort();
  either.addEventListener("abort", onAbort, { once: true });
  try {
    const first = await Promise.race([aborted.promise, wait]);
    signal.throwIfAborted();
    return first;
  } finally {
    either.removeEventListener("abort", onAbort);
  }
}
