/**
 * Which agents some worker runs: a task is not given to one that nobody does. A worker that is being replaced is gone for a
 * moment, and a task can wait for it, so an agent counts for a while after it was last seen. Where no worker has been seen at
 * all, every agent of the configuration may come.
 */
import type { Clock } from "../../platform/clock.ts";

export interface HostedAgentDeps {
  readonly store: {
    /** The agents of each worker that lives; null: it does not say. */
    hostedAgents(): Promise<readonly (readonly string[] | null)[]>;
  };
  readonly clock: Clock;
}

const lookEveryMs = 5_000;
const rememberMs = 600_000;

/** @returns which of these agents are hosted, in their order */
export function createHostedAgents({ store, clock }: HostedAgentDeps, agents: readonly string[]) {
  const seenAt = new Map<string, number>();
  let looked: { readonly at: number; readonly done: Promise<void> } | undefined;

  async function look(): Promise<void> {
    const workers = await store.hostedAgents();
    const now = clock.monotonic();
    // A worker that does not say runs any of them.
    for (const hosted of workers) for (const agent of hosted ?? agents) seenAt.set(agent, now);
  }

  return async (): Promise<readonly string[]> => {
    const now = clock.monotonic();
    if (looked === undefined || now - looked.at >= lookEveryMs) {
      // What was seen before stands in while the store is away.
      looked = { at: now, done: look().catch(() => undefined) };
    }
    await looked.done;
    const hosted = agents.filter((agent) => clock.monotonic() - (seenAt.get(agent) ?? -Infinity) < rememberMs);
    return hosted.length === 0 ? agents : hosted;
  };
}
