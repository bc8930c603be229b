/**
 * Locks that say that a process lives: advisory locks of a session that does nothing else. When the process dies the kernel
 * closes its connections, the server ends the session, and the lock is free, all within milliseconds.
 */
import type { Client } from "pg";
import type { HeldLock, ProcessLock } from "./database.ts";
import { cut } from "./signs-of-life.ts";
import { createStandingConnection, type StandingConnectionDeps } from "./standing-connection.ts";

/** Its `connect` opens a connection. */
export type LocksDeps = Omit<StandingConnectionDeps, "isWanted">;

/** So long after an outage every process that lives has taken its lock again. */
const settleMs = 2_000;

export function createPostgresLocks(deps: LocksDeps) {
  const locks = new Set<ProcessLock>();
  return {
    hold(): ProcessLock {
      const lock = holdLock(deps, () => locks.delete(lock));
      locks.add(lock);
      return lock;
    },
    close: async (): Promise<void> => {
      await Promise.all([...locks].map((lock) => lock.release()));
    },
  };
}

function holdLock(deps: LocksDeps, onRelease: () => void): ProcessLock {
  const { clock } = deps;
  const listeners = new Set<() => void>();
  const connection = createStandingConnection({ ...deps, connect: take, isWanted: () => !released });
  let held: HeldLock | null = null;
  let wasHeld = false;
  let released = false;

  async function take(): Promise<Client> {
    const client = await deps.connect();
    try {
      const { rows } = await client.query<{ key: string; serverAgeMs: number }>(takeSql);
      const [{ key, serverAgeMs }] = rows as [(typeof rows)[number]];
      client.on("end", () => become(null));
      // A server that has just started has lost everybody's locks; a lock that was lost may not be the only one.
      const isCalm = !wasHeld && serverAgeMs > settleMs;
      wasHeld = true;
      become({ key, settledAt: clock.monotonic() + (isCalm ? 0 : settleMs) });
      return client;
    } catch (error) {
      cut(client, "it cannot take a lock");
      throw error;
    }
  }

  function become(next: HeldLock | null): void {
    held = next;
    for (const listener of listeners) listener();
  }

  async function release(): Promise<void> {
    released = true;
    onRelease();
    await connection.close();
  }

  connection.open();
  return {
    get held() {
      return held;
    },
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    release,
  };
}

const takeSql = `
with fresh as materialized (select hashtextextended(gen_random_uuid()::text, 0) as key)
select key::text, pg_advisory_lock(key),
       extract(epoch from clock_timestamp() - pg_postmaster_start_time())::float8 * 1000 as "serverAgeMs"
from fresh`;
