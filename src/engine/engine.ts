/**
 * The engine as the outside uses it: submit, watch, control. Every door (HTTP, the command, the library) comes in here, and
 * every query names a tenant.
 */
import { createHash } from "node:crypto";
import type { AgentDefinition } from "../agent/definition.ts";
import { canonicalJson, type Json } from "../agent/json.ts";
import type { Hub } from "../events/hub.ts";
import type { Clock } from "../platform/clock.ts";
import { ConflictError, InvalidInputError, NotFoundError } from "../platform/errors.ts";
import type { NewId } from "../platform/ids.ts";
import type { Store } from "../store/store.ts";
import type { TaskRow } from "../store/task-row.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { ToolRunner } from "../tools/tool-runner.ts";
import { resultOf, type AgentResult } from "./agent-result.ts";
import { createApprovals } from "./approvals.ts";
import type { Backlog } from "./backlog.ts";
import { readExchanges } from "./conversations.ts";
import { forkTask } from "./fork.ts";
import { toNewTask, type TaskRequest } from "./task-request.ts";
import type { Worker } from "./worker.ts";
import { awaitEnd, findTask, watchTask, type TaskAddress, type TaskEvent } from "./watch.ts";

export interface EngineDeps {
  readonly store: Store;
  readonly hub: Hub;
  readonly clock: Clock;
  readonly newId: NewId;
  readonly metrics: Metrics;
  readonly tools: ToolRunner;
  /** The agents that may be asked for. */
  readonly agents: ReadonlyMap<string, AgentDefinition>;
  readonly backlog: Backlog;
  readonly pollMs: number;
  /** The worker in this process, if there is one: what it can run at once does not wait to be claimed. */
  readonly worker: Pick<Worker, "reserve" | "runs"> | undefined;
}

export type Engine = ReturnType<typeof createEngine>;

export function createEngine(deps: EngineDeps) {
  const { store, hub } = deps;
  const watchDeps = { ...deps, runsHere: (taskId: string) => deps.worker?.runs(taskId) === true };
  return {
    agents: deps.agents,
    approvals: createApprovals(deps),

    /**
     * Accepts a task. What is answered is durable.
     * @throws InvalidInputError, NotFoundError `unknown_agent`, ConflictError `idempotency_key_reused`,
     *   UnavailableError `queue_full`
     */
    submit: (tenant: string, request: TaskRequest) => submit(deps, tenant, request),

    /** @throws NotFoundError `task_not_found` */
    task: (address: TaskAddress): Promise<TaskRow> => findTask(deps, address),
    tasks: store.tasks,
    result: async (address: TaskAddress): Promise<AgentResult> => resultOf(await findTask(deps, address), deps),
    /** The result as it is when the task has ended, or after `waitMs`. */
    awaitResult: async (wait: TaskAddress & { waitMs: number; signal: AbortSignal }): Promise<AgentResult> =>
      resultOf(await awaitEnd(watchDeps, wait), deps),
    /** A page of the journal. @throws NotFoundError */
    async journal(page: TaskAddress & { afterSeq: number; limit: number }) {
      await findTask(deps, page);
      return store.journal(page);
    },
    watch: (watch: TaskAddress & { afterSeq: number; signal: AbortSignal }): AsyncGenerator<TaskEvent> =>
      watchTask(watchDeps, watch),

    /** @throws NotFoundError; ConflictError `task_ended` */
    async cancel(address: TaskAddress, by: string): Promise<AgentResult> {
      const { tenant, taskId } = address;
      const before = await store.cancel({ tenant, id: taskId, by });
      if (before === undefined) throw new NotFoundError("task_not_found", `There is no task ${taskId}.`);
      if (before === "completed" || before === "failed" || before === "cancelled") {
        throw new ConflictError("task_ended", `Task ${taskId} is ${before}; there is nothing to cancel.`);
      }
      hub.hint({ type: "cancel", taskId, by });
      hub.hint({ type: "changed", taskId });
      hub.hint({ type: "work" });
      return resultOf(await findTask(deps, address), deps);
    },

    /** Sets a dead letter going again: from where it stopped, or with another prompt from the start. */
    async replay(address: TaskAddress, replay: { prompt: string | null; by: string }): Promise<AgentResult> {
      const { tenant, taskId } = address;
      if (!(await store.replay({ tenant, id: taskId, ...replay }))) await refuse(deps, address, "replayed");
      hub.hint({ type: "changed", taskId });
      hub.hint({ type: "work" });
      return resultOf(await findTask(deps, address), deps);
    },

    /** A dead letter stays failed and leaves the queue. */
    async discard(address: TaskAddress): Promise<void> {
      if (!(await store.discard({ tenant: address.tenant, id: address.taskId }))) await refuse(deps, address, "discarded");
    },

    fork: (address: TaskAddress, fork: { step: number | null; prompt: string | null; model: readonly string[] | null }) =>
      forkTask(deps, address, fork),

    /** @throws NotFoundError `session_not_found` */
    async session(tenant: string, id: string) {
      const row = await store.session(tenant, id);
      if (row === undefined) throw new NotFoundError("session_not_found", `There is no session ${JSON.stringify(id)}.`);
      return row;
    },
    /** A page of a conversation, by completed tasks: the last `limit` before a position, oldest first. */
    exchanges: (page: { tenant: string; sessionId: string; before: number | null; limit: number }) =>
      readExchanges(store, page),
    /** @throws NotFoundError; ConflictError `session_busy` */
    async deleteSession(tenant: string, id: string): Promise<void> {
      const deleted = await store.deleteSession(tenant, id);
      if (deleted === undefined) throw new NotFoundError("session_not_found", `There is no session ${JSON.stringify(id)}.`);
      if (deleted) return;
      throw new ConflictError("session_busy", `Session ${JSON.stringify(id)} has an open task; cancel it first.`);
    },
    /** The whole of a value that the journal keeps only the beginning of. */
    largeValue: async (tenant: string, hash: string): Promise<Json> =>
      JSON.parse(await store.largeValue(tenant, hash)) as Json,
  };
}

async function submit(deps: EngineDeps, tenant: string, request: TaskRequest): Promise<{ task: AgentResult; created: boolean }> {
  const { store, hub, newId, backlog, metrics } = deps;
  const agent = findAgent(deps.agents, request.agent);
  const id = newId();
  const requestHash = request.idempotencyKey === undefined ? null : hashRequest(request);
  const task = toNewTask(request, agent, { id, tenant, sessionId: request.sessionId ?? id, requestHash });
  await backlog.admit();
  const reservation = deps.worker?.reserve(agent.name);
  const submitted = await store.submit({ task, worker: reservation?.workerId ?? null }).catch((error: unknown) => {
    reservation?.cancel();
    throw error;
  });
  const claimed = submitted.created && submitted.claimed;
  if (claimed) reservation?.launch({ ...task, ...submitted, epoch: 1, isNew: true, cancelRequestedBy: null });
  else reservation?.cancel();
  if (!submitted.created) {
    if (submitted.requestHash === requestHash) {
      return { task: await resultOf(await findTask(deps, { tenant, taskId: submitted.id }), deps), created: false };
    }
    const message = `The idempotency key was used by task ${submitted.id} with another request. Use a new key.`;
    throw new ConflictError("idempotency_key_reused", message);
  }
  metrics.taskSubmitted(agent.name);
  if (!claimed) hub.hint({ type: "work" });
  return { task: acceptedResult(task), created: true };
}

/** @throws NotFoundError `unknown_agent`; InvalidInputError `agent_required` */
function findAgent(agents: ReadonlyMap<string, AgentDefinition>, name: string | undefined): AgentDefinition {
  const names = [...agents.keys()].join(", ");
  if (name === undefined) {
    const [only] = agents.values();
    if (only !== undefined && agents.size === 1) return only;
    throw new InvalidInputError("agent_required", `Several agents run here; name one of: ${names}.`, "/agent");
  }
  const agent = agents.get(name);
  if (agent !== undefined) return agent;
  throw new InvalidInputError("unknown_agent", `There is no agent ${JSON.stringify(name)} here, only: ${names}.`, "/agent");
}

function acceptedResult({ id, sessionId }: { id: string; sessionId: string }): AgentResult {
  return {
    taskId: id,
    sessionId,
    status: "pending",
    output: "",
    stepsUsed: 0,
    tokensUsed: 0,
    toolCalls: 0,
    costUsd: 0,
    error: null,
    durationMs: 0,
  };
}

function hashRequest({ idempotencyKey: _, ...request }: TaskRequest): string {
  const asked = JSON.parse(JSON.stringify(request)) as Json;
  return createHash("sha256").update(canonicalJson(asked)).digest("hex");
}

async function refuse(deps: EngineDeps, address: TaskAddress, what: string): Promise<never> {
  const { status } = await findTask(deps, address);
  const message = `Task ${address.taskId} is ${status} and no dead letter; only dead letters can be ${what}.`;
  throw new ConflictError("not_a_dead_letter", message);
}
