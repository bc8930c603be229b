/**
 * The bounds of the queue: of all, of a tenant, of an agent. What counts is what could run and waits for a worker; a task
 * behind another one of its session is bounded by the session instead, by the statement that stores it.
 */
import { UnavailableError } from "../platform/errors.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { QueueCount, type QueueCountDeps } from "./queue-count.ts";
import type { QueueRules } from "./queue-rules.ts";

export interface Backlog {
  /**
   * Lets a task in that is about to be submitted.
   * @returns what to call if it does not wait after all
   * @throws UnavailableError `queue_full`, `tenant_queue_full`, `agent_queue_full`
   */
  admit(task: { tenant: string; agent: string }): Promise<() => void>;
  /** The error for a task whose session is full: UnavailableError `session_queue_full` */
  sessionIsFull(task: { tenant: string; sessionId: string }): UnavailableError;
}

export interface BacklogDeps extends QueueCountDeps {
  readonly metrics: Metrics;
  readonly rules: QueueRules;
}

/** More submits between two counts are not told apart. */
const mostCounted = 100_000;

export function createBacklog(deps: BacklogDeps): Backlog {
  const { metrics, rules } = deps;
  const queue = new QueueCount(deps, Math.max(rules.maxWaiting, mostCounted));

  /** What forbids another task of theirs to wait. */
  const fullQueue = (tenant: string, agent: string): UnavailableError | undefined => {
    const ofTenant = rules.maxWaitingOfTenant(tenant) ?? Number.POSITIVE_INFINITY;
    const ofAgent = rules.maxWaitingOfAgent(agent) ?? Number.POSITIVE_INFINITY;
    if (queue.waiting("all") >= rules.maxWaiting) {
      const message = `${rules.maxWaiting} tasks are waiting for a worker, which is the most allowed.`;
      return new UnavailableError("queue_full", message, { afterMs: queue.retryAfterMs("all") });
    }
    if (queue.waiting(`tenant ${tenant}`) >= ofTenant) {
      const message = `${ofTenant} tasks of this tenant are waiting for a worker, which is the most it may have.`;
      return new UnavailableError("tenant_queue_full", message, { afterMs: queue.retryAfterMs(`tenant ${tenant}`) });
    }
    if (queue.waiting(`agent ${agent}`) >= ofAgent) {
      const message = `${ofAgent} tasks of agent "${agent}" are waiting for a worker, which is the most it may have.`;
      return new UnavailableError("agent_queue_full", message, { afterMs: queue.retryAfterMs(`agent ${agent}`) });
    }
    return undefined;
  };

  return {
    async admit({ tenant, agent }) {
      await queue.refresh();
      const full = fullQueue(tenant, agent);
      if (full === undefined) return queue.add(["all", `tenant ${tenant}`, `agent ${agent}`]);
      metrics.taskRejected(full.code);
      throw full;
    },
    sessionIsFull({ sessionId, tenant }) {
      const message = `Session ${JSON.stringify(sessionId)} has ${rules.maxPerSession} tasks that have not ended, which is the most allowed.`;
      metrics.taskRejected("session_queue_full");
      return new UnavailableError("session_queue_full", message, { afterMs: queue.retryAfterMs(`tenant ${tenant}`) });
    },
  };
}
