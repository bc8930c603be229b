/** Failed tasks that wait for a decision: set going again, or let go. */
import type { Hub } from "../events/hub.ts";
import type { Clock } from "../platform/clock.ts";
import { ConflictError } from "../platform/errors.ts";
import type { Store } from "../store/store.ts";
import { resultOf, type AgentResult } from "./agent-result.ts";
import { findTask, type TaskAddress } from "./watch.ts";

export interface DeadLettersDeps {
  readonly store: Store;
  readonly hub: Hub;
  readonly clock: Clock;
}

export function createDeadLetters(deps: DeadLettersDeps) {
  const { store, hub } = deps;

  /** @throws NotFoundError `task_not_found`; ConflictError `not_a_dead_letter` */
  const refuse = async (address: TaskAddress, what: string): Promise<never> => {
    const { status } = await findTask(deps, address);
    const message = `Task ${address.taskId} is ${status} and no dead letter; only dead letters can be ${what}.`;
    throw new ConflictError("not_a_dead_letter", message);
  };

  return {
    /** Sets a dead letter going again: from where it stopped, or with another prompt from the start. */
    async replay(address: TaskAddress, replay: { prompt: string | null; by: string }): Promise<AgentResult> {
      const { tenant, taskId } = address;
      if (!(await store.replay({ tenant, id: taskId, ...replay }))) await refuse(address, "replayed");
      hub.changed(taskId);
      hub.hint({ type: "work" });
      return resultOf(await findTask(deps, address), deps);
    },

    /** A dead letter stays failed and leaves the queue. */
    async discard(address: TaskAddress): Promise<void> {
      const discarded = await store.discard({ tenant: address.tenant, id: address.taskId });
      if (!discarded) await refuse(address, "discarded");
    },
  };
}
