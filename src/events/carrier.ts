/**
 * What carries short messages from one process to the others: NOTIFY, Redis. It may lose and double them, and need not keep
 * their order; a process may hear its own.
 */
import type { Database } from "../store/database.ts";
import type { Redis } from "./redis.ts";

export interface Message {
  /** Those who listen to this name; absent: to none in particular. Lower-case letters, digits and dashes, at most 40. */
  readonly to?: string;
  /** Less than 8,000 bytes, which is all that NOTIFY takes. */
  readonly payload: string;
}

export interface Carrier {
  /** All in one go. Rejects where that is worth a line in the log. */
  send(messages: readonly Message[]): Promise<void>;
  /** Hears what is sent from now on, until the answered function is called. @param to a name; absent: none in particular */
  listen(onPayload: (payload: string) => void, to?: string): Promise<() => Promise<void>>;
}

export function notifyCarrier(database: Database): Carrier {
  const channelOf = (to: string | undefined): string =>
    to === undefined ? "holdfast" : `holdfast_${to.replaceAll("-", "_")}`;
  return {
    async send(messages) {
      await database.query({
        name: "notify",
        // It may be lost, so nobody waits for the disk on its account.
        text: `select set_config('synchronous_commit', 'off', true), pg_notify(channel, payload)
               from unnest($1::text[], $2::text[]) m(channel, payload)`,
        values: [messages.map(({ to }) => channelOf(to)), messages.map(({ payload }) => payload)],
      });
    },
    listen: (onPayload, to) => database.listen(channelOf(to), onPayload),
  };
}

/** @param prefix keeps installations apart that share a Redis */
export function redisCarrier(redis: Redis, prefix: string): Carrier {
  const channelOf = (to: string | undefined): string => `${prefix}:holdfast${to === undefined ? "" : `:${to}`}`;
  return {
    async send(messages) {
      const byChannel = Map.groupBy(messages, ({ to }) => channelOf(to));
      const all = [...byChannel].map(([channel, some]) =>
        redis.publish(
          channel,
          some.map(({ payload }) => payload),
        ),
      );
      await Promise.all(all);
    },
    listen: async (onPayload, to) => {
      const subscription = redis.subscribe(channelOf(to), onPayload);
      return async () => subscription.end();
    },
  };
}
