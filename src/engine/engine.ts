/**
 * The engine as the outside uses it: submit, watch, control. Every door (HTTP, the command, the library) comes in here, and
 * every query names a tenant.
 */
import type { Json } from "../agent/json.ts";
import { ConflictError, NotFoundError } from "../platform/errors.ts";
import type { Feeds } from "../events/feeds.ts";
import type { TaskRow } from "../store/task-row.ts";
import type { ToolRunner } from "../tools/tool-runner.ts";
import { resultOf, type AgentResult } from "./agent-result.ts";
import { createApprovals } from "./approvals.ts";
import { createDeadLetters } from "./dead-letters.ts";
import { forkTask, type Fork } from "./fork.ts";
import { createSessions } from "./sessions.ts";
import { submitTask, type SubmissionDeps } from "./submission.ts";
import type { SubmitRequest } from "./task-request.ts";
import { awaitResult, findTask, watchTask, type TaskAddress, type TaskEvent } from "./watch.ts";

export interface EngineDeps extends SubmissionDeps {
  readonly tools: ToolRunner;
  readonly feeds: Feeds;
}

export type Engine = ReturnType<typeof createEngine>;

export function createEngine(deps: EngineDeps) {
  const { store, hub } = deps;
  const runsHere = ({ tenant, taskId }: TaskAddress): boolean => deps.worker?.tenantOf(taskId) === tenant;
  const watchDeps = { ...deps, runsHere };
  return {
    agents: deps.agents,
    /** A task need not name its agent. */
    assigns: deps.agents.size === 1 || deps.assigner !== undefined,
    approvals: createApprovals(deps),
    ...createDeadLetters(deps),
    ...createSessions(store),

    /** Accepts a task; see {@link submitTask}. */
    submit: (tenant: string, request: SubmitRequest) => submitTask(deps, tenant, request),

    /** @throws NotFoundError `task_not_found` */
    task: (address: TaskAddress): Promise<TaskRow> => findTask(deps, address),
    tasks: store.tasks,
    result: async (address: TaskAddress): Promise<AgentResult> => resultOf(await findTask(deps, address), deps),
    /** The result as it is when the task has ended, or after `waitMs`. */
    awaitResult: (wait: Parameters<typeof awaitResult>[1]): Promise<AgentResult> => awaitResult(watchDeps, wait),
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
      hub.changed(taskId);
      hub.hint({ type: "work" });
      return resultOf(await findTask(deps, address), deps);
    },

    /** A new task from a step of an old one; see {@link forkTask}. */
    fork: (address: TaskAddress, fork: Fork) => forkTask(deps, address, fork),

    /** The whole of a value that the journal keeps only the beginning of. */
    largeValue: async (tenant: string, hash: string): Promise<Json> =>
      JSON.parse(await store.largeValue(tenant, hash)) as Json,
  };
}
