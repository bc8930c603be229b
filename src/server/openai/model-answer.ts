/** A model answers: one call of the gateway, accounted for however it ends. */
import type { Charge } from "../../agent/charges.ts";
import { textOf, type Delta } from "../../agent/conversation.ts";
import { estimateTokens } from "../../agent/limits.ts";
import { modelsOf, type ModelRoute } from "../../agent/route.ts";
import { defaultLimits } from "../../agent/definition.ts";
import { chargesOfAttempts, chargesOfReply } from "../../gateway/call-charges.ts";
import { ModelCallError, type CacheOutcome, type ModelReply } from "../../gateway/model-gateway.ts";
import { hasBudget, type CallCost, type Reservation } from "../../governance/virtual-keys.ts";
import { eitherOf, neverAborts } from "../../platform/abort.ts";
import { HoldfastError } from "../../platform/errors.ts";
import type { ServerDeps } from "../http/server-deps.ts";
import { totalOf, writeAccount } from "./account.ts";
import type { Answer, Asked } from "./asked.ts";
import type { Call, Reply, ReplyEvent } from "./call.ts";
import { reserve, type Caller } from "./caller.ts";
import { DeltaQueue } from "./delta-queue.ts";
import { mostCost } from "./most-cost.ts";
import { wrong } from "./refusals.ts";

/** What an answer is taken to need where nobody bounds it. */
const likelyOutputTokens = defaultLimits.tokens;

/** @throws InvalidInputError; what `reserve` throws */
export async function askModel(deps: ServerDeps, asked: Asked, route: ModelRoute): Promise<Answer> {
  const { call, caller } = asked;
  if (call.previousTaskId !== null) {
    throw wrong("/previous_response_id", "Answers of models are not kept: send what was said before as input.");
  }
  if (call.messages.length === 0) throw wrong("/messages", "There must be a message of the user.");
  const reservation = await reserve(deps, caller, () => mostOf(deps, call, route));
  let outcome: CacheOutcome | null = null;
  const caching = asked.caching && { ...asked.caching, onOutcome: (known: CacheOutcome) => void (outcome = known) };
  const events = asked.whole ? wholeAnswer : answerInPieces;
  return {
    id: deps.newId(),
    events: events(deps, { ...asked, caching }, { route, reservation }),
    cacheOutcome: () => outcome,
  };
}

function mostOf({ service, clock }: ServerDeps, call: Call, route: ModelRoute): CallCost {
  const { system, messages, tools } = call;
  const input = estimateTokens(JSON.stringify({ system, messages, tools }));
  const output = call.maxOutputTokens ?? likelyOutputTokens;
  return mostCost(service.models.prices, modelsOf(route), { input, output, at: clock.now() });
}

interface Charged {
  readonly route: ModelRoute;
  readonly reservation: Reservation;
}

type Outcome = { readonly reply: ModelReply } | { readonly error: unknown };

async function* wholeAnswer(deps: ServerDeps, asked: Asked, charged: Charged): AsyncGenerator<ReplyEvent> {
  const calling = { ...charged, onDelta: () => {}, interruption: asked.gone };
  const ended = await callGateway(deps, asked, calling);
  await accountFor(deps, asked, { ...charged, ended });
  yield { type: "end", reply: replyOf(ended) };
}

async function* answerInPieces(deps: ServerDeps, asked: Asked, charged: Charged): AsyncGenerator<ReplyEvent> {
  const left = new AbortController();
  const leaving = eitherOf(asked.gone, left.signal);
  const queue = new DeltaQueue();
  const calling = { ...charged, onDelta: (delta: Delta) => queue.push(delta), interruption: leaving.signal };
  const outcome = callGateway(deps, asked, calling).finally(() => queue.close());
  let accounted = false;
  const account = async (): Promise<Outcome> => {
    const ended = await outcome;
    if (!accounted) await accountFor(deps, asked, { ...charged, ended });
    accounted = true;
    return ended;
  };
  const said = { text: "", reasoning: "" };
  try {
    for await (const delta of queue.read()) {
      if (delta.type === "restart") said.text = said.reasoning = "";
      else said[delta.type] += delta.text;
      yield delta;
    }
    const reply = replyOf(await account());
    // An answer that was at hand comes without deltas.
    for (const type of ["reasoning", "text"] as const) {
      const rest = textOf(reply.parts, type).slice(said[type].length);
      if (rest !== "") yield { type, text: rest };
    }
    yield { type: "end", reply };
  } finally {
    if (!accounted) left.abort();
    await account();
    leaving.release();
  }
}

/** @throws why there is none */
function replyOf(ended: Outcome): Reply {
  if ("error" in ended) throw ended.error;
  const { parts, finish, saved } = ended.reply;
  // An answer that is given again says of itself what it said the first time; that it costs nothing is said in the ledger.
  const { usage } = saved ?? ended.reply;
  if (finish === "interrupted") throw clientGone();
  return { parts, finish, usage };
}

interface Calling extends Charged {
  readonly onDelta: (delta: Delta) => void;
  readonly interruption: AbortSignal;
}

/** Never rejects. A reader that leaves interrupts the call, and does not abort it: so it is known what was used. */
async function callGateway(
  deps: ServerDeps,
  { call, caller, whole, caching }: Asked,
  calling: Calling,
): Promise<Outcome> {
  const { gateway } = deps.service.models;
  const { route, onDelta, interruption } = calling;
  const openEnded = call.maxOutputTokens === null && !(caller.key !== null && hasBudget(caller.key));
  try {
    const reply = await gateway.call({
      route,
      system: call.system,
      messages: call.messages,
      tools: call.tools,
      maxOutputTokens: call.maxOutputTokens ?? likelyOutputTokens,
      settings: { ...call.settings, ...(openEnded && { openEnded }) },
      cache: caching ?? undefined,
      caller: ownerOf(caller, call),
      signal: neverAborts(),
      interruption,
      whole,
      onDelta,
    });
    return { reply };
  } catch (error) {
    return { error };
  }
}

function ownerOf({ tenant, key }: Caller, { userId }: Call) {
  return { tenant, agent: null, taskId: null, sessionId: null, userId, keyId: key?.id ?? null };
}

async function accountFor(
  deps: ServerDeps,
  { call, caller }: Asked,
  { reservation, ended }: { reservation: Reservation; ended: Outcome },
): Promise<void> {
  const { metrics } = deps.service;
  const { keyId, ...owner } = ownerOf(caller, call);
  const rows = chargesOfCall(ended, deps.clock.now()).map((charge) => ({
    ...charge,
    ...owner,
    id: deps.newId(),
    keyId,
  }));
  if ("reply" in ended) {
    metrics.attemptsFailed(ended.reply.attempts);
    if (ended.reply.hit === undefined) metrics.modelCall(ended.reply);
  } else if (ended.error instanceof ModelCallError) metrics.attemptsFailed(ended.error.attempts);
  // The next call with a key must find its budget put right. Where there is none, nobody waits for the ledger.
  if (caller.key === null) deps.lateLedger.add(rows);
  else await writeAccount(deps, { rows, reservation, ...totalOf(rows) });
}

function chargesOfCall(ended: Outcome, at: number): readonly Charge[] {
  if ("reply" in ended) return chargesOfReply(ended.reply, at);
  return ended.error instanceof ModelCallError ? chargesOfAttempts(ended.error.attempts, at) : [];
}

function clientGone(): HoldfastError {
  return new HoldfastError("request_aborted", "The client has gone, and its call was ended.");
}
