/**
 * A worker's lease: one row that says until when this process may be trusted to run what it claimed.
 *
 * It is a value and never trusted longer than it really is: if no heartbeat succeeds for as long as the lease lasts, or the
 * row is gone, the lease is lost and everything that runs under it is abandoned. The worker then takes a new one, under
 * another id.
 */
import type { JsonObject } from "../agent/json.ts";
import type { Background } from "../platform/background.ts";
import type { Clock } from "../platform/clock.ts";
import { messageOf } from "../platform/errors.ts";
import type { NewId } from "../platform/ids.ts";
import type { Store } from "../store/store.ts";
import type { Wishes } from "../store/worker-writes.ts";
import type { Logger } from "../telemetry/log.ts";

export interface LeaseDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly newId: NewId;
  readonly log: Logger;
  readonly background: Background;
  readonly leaseMs: number;
  readonly info: JsonObject;
  /** Called at each heartbeat with what somebody wants of the tasks of this worker. */
  readonly onWishes: (wishes: Wishes) => void;
}

export interface Lease {
  readonly workerId: string;
  readonly lost: AbortSignal;
}

export interface LeaseTerms {
  /** No lease is taken after this aborts. */
  readonly stopping: AbortSignal;
  /** A lease taken is kept until this aborts, so that a stopping worker's tasks stay its own to the end. */
  readonly drained: AbortSignal;
}

/** Takes a lease and keeps it. Undefined: `stopping` aborted before the store could be reached. */
export async function takeLease(deps: LeaseDeps, { stopping, drained }: LeaseTerms): Promise<Lease | undefined> {
  const { store, clock, log, background, leaseMs } = deps;
  const workerId = deps.newId();
  while (!stopping.aborted) {
    const registeredAt = clock.monotonic();
    try {
      await store.registerWorker({ id: workerId, leaseMs, info: deps.info });
    } catch (error) {
      log.warn({ error: messageOf(error) }, "cannot register this worker; trying again");
      await pause(deps, stopping);
      continue;
    }
    const lost = new AbortController();
    background.start("heartbeat", () => keepLease(deps, { workerId, registeredAt, lost, signal: drained }));
    return { workerId, lost: lost.signal };
  }
  return undefined;
}

interface Held {
  readonly workerId: string;
  readonly registeredAt: number;
  readonly lost: AbortController;
  readonly signal: AbortSignal;
}

async function keepLease(deps: LeaseDeps, { workerId, registeredAt, lost, signal }: Held): Promise<void> {
  const { store, clock, log, leaseMs } = deps;
  const lose = (why: string): void => {
    if (lost.signal.aborted || signal.aborted) return;
    log.warn({ worker: workerId, why }, "the lease is lost: its tasks are abandoned");
    lost.abort();
  };
  // A heartbeat that hangs must not keep the lease alive: the watch runs on its own.
  const watch = (sentAt: number) =>
    clock.timer(sentAt + leaseMs - clock.monotonic(), () => lose("no heartbeat succeeded in time"));
  let unwatch = watch(registeredAt);
  while (!signal.aborted && !lost.signal.aborted) {
    await pause(deps, signal);
    const sentAt = clock.monotonic();
    try {
      const row = await store.heartbeat({ id: workerId, leaseMs });
      if (row === undefined) lose("another process took it");
      unwatch();
      unwatch = watch(sentAt);
      if (row !== undefined) deps.onWishes(row);
    } catch (error) {
      log.warn({ error: messageOf(error) }, "a heartbeat failed");
    }
  }
  unwatch();
}

/** Five heartbeats fit into a lease: four may fail. */
async function pause({ clock, leaseMs }: LeaseDeps, signal: AbortSignal): Promise<void> {
  await clock.sleep(leaseMs / 5, signal).catch(() => undefined);
}
