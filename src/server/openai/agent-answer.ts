/**
 * An agent answers: the call becomes a durable task, whose events are told as an answer.
 *
 * The last message of the user is the prompt, what stands before it the task's history, and instructions of the caller are
 * shown to the agent as context: its own stand above them. What the agent says in all its turns is the text of the answer;
 * what it does in between is told as reasoning.
 *
 * The task carries the key that it was submitted with: the ledger's rows of its turns name the key, and the task's end
 * charges the key with what it came to, wherever and whenever that is.
 */
import type { AgentDefinition } from "../../agent/definition.ts";
import type { Message } from "../../agent/conversation.ts";
import type { AgentResult } from "../../engine/agent-result.ts";
import type { TaskAddress } from "../../engine/watch.ts";
import type { CallCost, Reservation } from "../../governance/virtual-keys.ts";
import { HoldfastError, messageOf, NotFoundError } from "../../platform/errors.ts";
import { isUnavailable } from "../../store/store-error.ts";
import { routeOf } from "../http/agent-routes.ts";
import { hasStatus } from "../http/problem.ts";
import type { ServerDeps } from "../http/server-deps.ts";
import { writeAccount } from "./account.ts";
import { AgentTelling } from "./agent-telling.ts";
import type { Answer, Asked } from "./asked.ts";
import type { Call, Reply, ReplyEvent } from "./call.ts";
import { reserve } from "./caller.ts";
import { mostCost } from "./most-cost.ts";
import { unsupported, wrong } from "./refusals.ts";

/** How long the last numbers of a task are waited for that nobody waits for any more. */
const settleMs = 10_000;

/** @throws InvalidInputError; what `reserve` and `Engine.submit` throw */
export async function askAgent(deps: ServerDeps, asked: Asked, agent: AgentDefinition): Promise<Answer> {
  const { engine, overload } = deps.service;
  const { call, caller, idempotencyKey } = asked;
  const { prompt, history } = conversationOf(call);
  const sessionId = await sessionOf(deps, asked, history);
  overload.admit();
  const reservation = await reserve(deps, caller, () => mostOf(deps, agent));
  try {
    const { task, created } = await engine.submit(caller.tenant, {
      agent: agent.name,
      prompt,
      history,
      sessionId,
      userId: call.userId ?? undefined,
      context: call.system === "" ? undefined : { instructions: call.system },
      metadata: call.metadata,
      idempotencyKey,
      key: caller.key === null ? undefined : { id: caller.key.id, chargedMicros: reservation.micros },
    });
    // The call that came first pays for the task.
    if (!created) await writeAccount(deps, { rows: [], reservation, micros: 0, tokens: 0 });
    const address = { tenant: caller.tenant, taskId: task.taskId };
    return {
      id: task.taskId,
      events: events(deps, asked, { address, reservation: created ? reservation : undefined }),
    };
  } catch (error) {
    // Nobody knows whether the task is stored: the key stays charged, as with a process that dies.
    if (isUnavailable(error)) throw error;
    await writeAccount(deps, { rows: [], reservation, micros: 0, tokens: 0 });
    throw error;
  }
}

/** @throws InvalidInputError for what an agent cannot follow */
function conversationOf({ model, messages, onlyForModels }: Call): { prompt: string; history: readonly Message[] } {
  const [field] = onlyForModels;
  if (field !== undefined) {
    throw unsupported(`/${field}`, `${field} cannot be set for ${model}: an agent has its own. Leave it out.`);
  }
  const last = messages.at(-1);
  if (last?.role !== "user" || last.text === "") {
    throw wrong("/messages", `The last message to ${model} must be one of the user, and say something.`);
  }
  return { prompt: last.text, history: messages.slice(0, -1) };
}

/** @throws NotFoundError; InvalidInputError */
async function sessionOf(deps: ServerDeps, { call, caller }: Asked, history: readonly Message[]) {
  if (call.previousTaskId === null) return undefined;
  if (history.length > 0) {
    throw wrong("/input", "What was said before is known by previous_response_id: send the new message alone.");
  }
  const { previousTaskId: taskId } = call;
  if (taskId === "") throw new NotFoundError("task_not_found", "There is no such response.");
  return (await deps.service.engine.task({ tenant: caller.tenant, taskId })).sessionId;
}

/** By its ceilings; what it may cost, if it has none of its own, by its tokens at the dearest of its models. */
function mostOf({ service, clock }: ServerDeps, agent: AgentDefinition): CallCost {
  const { tokens, costMicros } = agent.limits;
  if (costMicros !== null) return { micros: costMicros, tokens };
  return mostCost(service.models.prices, routeOf(agent, service), { input: 0, output: tokens, at: clock.now() });
}

interface Running {
  readonly address: TaskAddress;
  /** Undefined: another call's pays for the task. */
  readonly reservation: Reservation | undefined;
}

async function* events(deps: ServerDeps, { gone }: Asked, running: Running): AsyncGenerator<ReplyEvent> {
  const { engine } = deps.service;
  const telling = new AgentTelling();
  let result: AgentResult | undefined;
  try {
    for await (const event of engine.watch({ ...running.address, afterSeq: 0, signal: gone })) {
      if (event.type === "result") result = event.result;
      else yield* telling.tell(event);
    }
    if (result === undefined)
      throw new HoldfastError("request_aborted", "The client has gone, and its task was ended.");
    await settle(deps, running, result);
    yield { type: "end", reply: await replyOf(deps, running.address, { result, telling }) };
  } finally {
    // A process that shuts down leaves the task to others: whoever asks again with the same key finds it.
    if (result === undefined && !deps.closing.aborted) await giveUp(deps, running);
  }
}

async function giveUp(deps: ServerDeps, running: Running): Promise<void> {
  const { engine, log } = deps.service;
  const { address } = running;
  try {
    await engine.cancel(address, "the client, which has gone");
  } catch (error) {
    if (!(error instanceof HoldfastError) || error.code !== "task_ended") {
      return log.error({ task: address.taskId, error: messageOf(error) }, "a task that nobody waits for goes on");
    }
  }
  const result = await engine.awaitResult({ ...address, waitMs: settleMs, signal: deps.closing });
  await settle(deps, running, result);
}

/** What counts against the minute. The money is the task's own to settle, when it ends. */
async function settle(deps: ServerDeps, { reservation }: Running, { tokensUsed }: AgentResult): Promise<void> {
  if (reservation === undefined) return;
  await writeAccount(deps, { rows: [], reservation, micros: null, tokens: tokensUsed });
}

/** A ceiling ends an agent's answer as it ends a model's. */
const cutShort = /_exceeded$|_reached$/;

async function replyOf(
  { service: { engine } }: ServerDeps,
  address: TaskAddress,
  { result, telling }: { result: AgentResult; telling: AgentTelling },
): Promise<Reply> {
  const { status, error } = result;
  if (status === "completed") {
    const finish = error !== null && cutShort.test(error) ? "length" : telling.finish;
    return { parts: telling.parts, finish, usage: telling.usage };
  }
  const { errorMessage } = await engine.task(address);
  const code = error ?? status;
  // What a model refused is the caller's to mend; whatever else stopped the agent is not.
  if (hasStatus(code)) throw new HoldfastError(code, errorMessage ?? code);
  throw new HoldfastError("agent_failed", `The agent did not finish: ${code}. ${errorMessage ?? ""}`.trim());
}
