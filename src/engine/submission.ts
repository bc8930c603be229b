/** The one way in: whichever door a task comes by, it is checked, bounded and stored here. */
import { createHash } from "node:crypto";
import type { AgentDefinition } from "../agent/definition.ts";
import type { Assignment } from "../agent/journal.ts";
import { canonicalJson, type Json } from "../agent/json.ts";
import type { Hub } from "../events/hub.ts";
import type { Clock } from "../platform/clock.ts";
import { ConflictError, InvalidInputError } from "../platform/errors.ts";
import type { NewId } from "../platform/ids.ts";
import type { Submit } from "../store/queries/submit.ts";
import type { Store } from "../store/store.ts";
import type { NewTask, TaskStatus } from "../store/task-row.ts";
import type { Delivered, Repeat } from "../store/worker-writes.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { resultOf, type AgentResult } from "./agent-result.ts";
import type { Assigner } from "./assignment/assigner.ts";
import type { Backlog } from "./backlog.ts";
import type { QueueRules } from "./queue-rules.ts";
import { checkBounds, toNewTask, whileBusyOf, type SubmitRequest, type WhileBusy } from "./task-request.ts";
import { findTask } from "./watch.ts";
import type { Worker } from "./worker.ts";

export interface SubmissionDeps {
  readonly store: Store;
  readonly hub: Hub;
  readonly clock: Clock;
  readonly newId: NewId;
  readonly metrics: Metrics;
  /** The agents that may be asked for. */
  readonly agents: ReadonlyMap<string, AgentDefinition>;
  /** Chooses the agent of tasks that name none; absent: they must name one. */
  readonly assigner?: Assigner | undefined;
  readonly backlog: Backlog;
  readonly rules: Pick<QueueRules, "maxPerSession">;
  /** The worker in this process, if there is one: what it can run at once does not wait to be claimed. */
  readonly worker: Pick<Worker, "reserve" | "tenantOf"> | undefined;
}

/**
 * Accepts a task, or a message to the task that is at work in its session. What is answered is durable.
 * @throws InvalidInputError `invalid_request`, `unknown_agent`, `agent_required`, `no_agent_fits`; ConflictError `idempotency_key_reused`;
 *   UnavailableError `queue_full`, `tenant_queue_full`, `agent_queue_full`, `session_queue_full`, `inbox_full`
 */
export async function submitTask(deps: SubmissionDeps, tenant: string, request: SubmitRequest): Promise<Accepted> {
  const { store, hub, newId, backlog, metrics } = deps;
  const requestHash = request.idempotencyKey === undefined ? null : hashRequest(request);
  const whose = await agentOf(deps, tenant, request);
  if ("earlier" in whose) return acceptedBefore(deps, { task: { tenant, requestHash }, request }, whose.earlier);
  const { agent, assignment } = whose;
  const id = newId();
  const identity = { id, tenant, sessionId: request.sessionId ?? id, requestHash, assignment };
  const task = { ...toNewTask(request, agent, identity), resultTo: request.resultTo, key: request.key };
  const whileBusy = whileBusyOf(request);
  const admitted = await backlog.admit(task).catch(async (refusal: unknown) => {
    // What was accepted before is no new task, however full the queue is now.
    const earlier = await store.taskOfKey(task);
    if (earlier === undefined) throw refusal;
    return earlier;
  });
  if (typeof admitted !== "function") return acceptedBefore(deps, { task, request }, admitted);
  const doesNotWait = admitted;
  const reservation = deps.worker?.reserve(task);
  const submit = { task, worker: reservation?.workerId ?? null, mostOpen: deps.rules.maxPerSession };
  const submitted = await deliver(store, submit, whileBusy).catch((error: unknown) => {
    reservation?.cancel();
    doesNotWait();
    throw error;
  });
  const claimed = submitted.created && submitted.leftFor === undefined && submitted.claimed;
  if (claimed || !submitted.created || submitted.leftFor !== undefined) doesNotWait();
  if (claimed) reservation?.launch({ ...task, ...submitted, ...firstLease });
  else reservation?.cancel();
  if (!submitted.created) {
    if (submitted.sessionIsFull) throw backlog.sessionIsFull(task);
    return acceptedBefore(deps, { task, request }, submitted);
  }
  if (submitted.leftFor !== undefined) {
    const { taskId, status } = submitted.leftFor;
    if (whileBusy === "interrupt") hub.hint({ type: "interrupt", taskId });
    return { task: acceptedResult({ ...task, id: taskId, status }), messageId: id, created: true };
  }
  metrics.taskSubmitted(agent.name);
  if (!claimed) hub.hint({ type: "work" });
  return { task: acceptedResult({ ...task, status: "pending" }), messageId: null, created: true };
}

/** @throws ConflictError `idempotency_key_reused` */
async function acceptedBefore(
  deps: SubmissionDeps,
  { task: { tenant, requestHash }, request }: { task: Pick<NewTask, "tenant" | "requestHash">; request: SubmitRequest },
  earlier: Repeat,
): Promise<Accepted> {
  const { id, messageId } = earlier;
  if (earlier.requestHash !== requestHash) {
    const message = `The idempotency key was used by task ${id} with another request. Use a new key.`;
    throw new ConflictError("idempotency_key_reused", message);
  }
  // It may have come in by another door the first time.
  if (request.resultTo !== undefined) await deps.store.wantResult({ tenant, id, carrier: request.resultTo });
  const row = await findTask(deps, { tenant, taskId: id });
  return { task: await resultOf(row, deps), messageId, created: false };
}

export interface Accepted {
  /** The new task; or the one at work, which a message was left for. */
  readonly task: AgentResult;
  /** Of that message; null: it is a task of its own. */
  readonly messageId: string | null;
  /** False: it repeats an idempotency key. */
  readonly created: boolean;
}

const firstLease = { epoch: 1, takeovers: 0, callMayBeLost: false, isNew: true, cancelRequestedBy: null, unheard: 0 };

async function deliver(store: Store, submit: Submit, whileBusy: WhileBusy): Promise<Delivered> {
  if (whileBusy === "queue") return store.submit(submit);
  return store.deliver({ ...submit, interrupts: whileBusy === "interrupt" });
}

type Whose = { agent: AgentDefinition; assignment?: Assignment | undefined } | { earlier: Repeat };

/** A request that was accepted before is its task's, whoever would be chosen now. @throws as `findAgent`, `Assigner.assign` */
async function agentOf(deps: SubmissionDeps, tenant: string, request: SubmitRequest): Promise<Whose> {
  const { agents, assigner, store } = deps;
  if (request.agent !== undefined || assigner === undefined) return { agent: findAgent(agents, request.agent) };
  checkBounds(request);
  const { idempotencyKey = null, prompt, sessionId } = request;
  const earlier = await store.taskOfKey({ tenant, idempotencyKey });
  if (earlier !== undefined) return { earlier };
  const assignment = await assigner.assign({ tenant, prompt, sessionId });
  return { agent: findAgent(agents, assignment.agent), assignment };
}

/** @throws InvalidInputError `unknown_agent`, `agent_required` */
function findAgent(agents: ReadonlyMap<string, AgentDefinition>, name: string | undefined): AgentDefinition {
  const names = [...agents.keys()].join(", ");
  if (name === undefined) {
    const [only] = agents.values();
    if (only !== undefined && agents.size === 1) return only;
    throw new InvalidInputError("agent_required", `Several agents run here; name one of: ${names}.`, "/agent");
  }
  const agent = agents.get(name);
  if (agent !== undefined) return agent;
  throw new InvalidInputError(
    "unknown_agent",
    `There is no agent ${JSON.stringify(name)} here, only: ${names}.`,
    "/agent",
  );
}

function acceptedResult({ id, sessionId, status }: { id: string; sessionId: string; status: TaskStatus }): AgentResult {
  return {
    taskId: id,
    sessionId,
    status,
    output: "",
    stepsUsed: 0,
    tokensUsed: 0,
    toolCalls: 0,
    costUsd: 0,
    error: null,
    durationMs: 0,
  };
}

function hashRequest(request: SubmitRequest): string {
  // What is the default is no other request than one that does not say it.
  const whileBusy = request.whileBusy === "queue" ? undefined : request.whileBusy;
  const left = { whileBusy, idempotencyKey: undefined, resultTo: undefined, key: undefined };
  const asked = JSON.parse(JSON.stringify({ ...request, ...left })) as Json;
  return createHash("sha256").update(canonicalJson(asked)).digest("hex");
}
