/**
 * A worker's lease: one row that says until when this process may be trusted to run what it claimed.
 *
 * It is a value and never trusted longer than it really is: if no heartbeat succeeds for as long as the lease lasts, or the
 * row is gone, the lease is lost and everything that runs under it is abandoned. The worker then takes a new one, under
 * another id.
 *
 * The row also names the lock that the process holds while it lives. When the lock is lost or taken again the row is told at
 * once, so that nobody takes a cut connection for a death.
 */
import type { JsonObject } from "../agent/json.ts";
import { createSignal, type Signal } from "../platform/abort.ts";
import { createBackoff } from "../platform/backoff.ts";
import type { Background } from "../platform/background.ts";
import type { Clock } from "../platform/clock.ts";
import type { NewId } from "../platform/ids.ts";
import type { Random } from "../platform/random.ts";
import type { ProcessLock } from "../store/database.ts";
import type { Store } from "../store/store.ts";
import type { Wishes } from "../store/worker-writes.ts";
import type { Logger } from "../telemetry/log.ts";
import { logStoreTrouble } from "../telemetry/store-trouble.ts";

export interface LeaseDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly newId: NewId;
  readonly log: Logger;
  readonly background: Background;
  readonly lock: ProcessLock;
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
  const backoff = createBackoff(deps.random, { firstMs: leaseMs / 20, mostMs: leaseMs / 2 });
  while (!stopping.aborted) {
    const registeredAt = clock.monotonic();
    try {
      await store.registerWorker({ id: workerId, leaseMs, info: deps.info, lockKey: deps.lock.held?.key ?? null });
    } catch (error) {
      logStoreTrouble(log, error, "cannot register this worker; trying again");
      await clock.sleep(backoff.nextMs(), stopping).catch(() => undefined);
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
  const { store, clock, log, lock, leaseMs } = deps;
  const beat = createSignal();
  const stopListening = lock.onChange(() => beat.set());
  // It may have been taken while the row was written.
  beat.set();
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
    await untilDue(deps, beat, signal);
    const sentAt = clock.monotonic();
    try {
      const row = await store.heartbeat({ id: workerId, leaseMs, lockKey: lock.held?.key ?? null });
      if (row === undefined) lose("another process took it");
      unwatch();
      unwatch = watch(sentAt);
      if (row !== undefined) deps.onWishes(row);
    } catch (error) {
      logStoreTrouble(log, error, "a heartbeat failed");
    }
  }
  unwatch();
  stopListening();
}

/** Five heartbeats fit into a lease, so that four may fail; there is one more whenever the lock has changed. */
async function untilDue({ clock, leaseMs }: LeaseDeps, beat: Signal, signal: AbortSignal): Promise<void> {
  const cancel = clock.timer(leaseMs / 5, () => beat.set());
  await beat.wait(signal);
  cancel();
}
