/**
 * What carries short messages from one process to the others: NOTIFY, Redis. It may lose and double them, and need not keep
 * their order; a process may hear its own.
 */
import type { Database } from "../store/database.ts";
import type { Redis } from "./redis.ts";

export interface Carrier {
  /** Payloads of less than 8,000 bytes, which is all that NOTIFY takes. Rejects where that is worth a line in the log. */
  send(payloads: readonly string[]): Promise<void>;
  /** Hears what is sent from now on, until the answered function is called. */
  listen(onPayload: (payload: string) => void): Promise<() => Promise<void>>;
}

const channel = "holdfast";

export function notifyCarrier(database: Database): Carrier {
  return {
    async send(payloads) {
      await database.query({
        name: "notify",
        // It may be lost, so nobody waits for the disk on its account.
        text: `select set_config('synchronous_commit', 'off', true), pg_notify($1, payload)
               from unnest($2::text[]) payload`,
        values: [channel, payloads],
      });
    },
    listen: (onPayload) => database.listen(channel, onPayload),
  };
}

/** @param prefix keeps installations apart that share a Redis */
export function redisCarrier(redis: Redis, prefix: string): Carrier {
  const prefixed = `${prefix}:${channel}`;
  return {
    send: (payloads) => redis.publish(prefixed, payloads),
    listen: async (onPayload) => {
      const subscription = redis.subscribe(prefixed, onPayload);
      return async () => subscription.end();
    },
  };
}
