/**
 * The connections of this process to Redis. Nothing durable lives there: whatever goes over it may be lost or doubled with
 * no harm, so an outage is a warning when it begins, a line when it ends, and latency in between; never an error of a task,
 * and never the end of the process.
 */
import type { Redis as RedisClient, RedisOptions } from "ioredis";
import { createBackground, type Background } from "../platform/background.ts";
import { messageOf } from "../platform/errors.ts";
import type { Logger } from "../telemetry/log.ts";

export interface Redis {
  /**
   * Says something to whoever subscribes now. Never rejects: while Redis is away it is dropped, at once. A Redis that does
   * not answer is waited for a few seconds, so a caller sends one after the other or bounds what is in flight.
   */
  publish(channel: string, messages: readonly string[]): Promise<void>;
  /** Hears a channel, in the order of what is said there, and again by itself after an outage; what was said meanwhile is lost. */
  subscribe(channel: string, onMessage: (message: string) => void): Subscription;
  /** For a library that speaks to Redis itself. Whoever opens it ends it. */
  connect(name: string): RedisLink;
  close(): Promise<void>;
}

/** A connection of one's own, and those that a library makes of it. Its commands wait for Redis as long as it takes. */
export interface RedisLink {
  readonly client: RedisClient;
  /** Ends them all, whatever state they are in: a command that waits is refused. */
  end(): void;
}

export interface Subscription {
  /** Resolves when Redis has confirmed it, or when it ended without. Never rejects. */
  readonly confirmed: Promise<void>;
  end(): void;
}

// Answers have the shapes that they have in every version of the protocol.
type Options = Omit<RedisOptions, "replyMapping">;

const answerWithinMs = 2_000;
const longestPauseMs = 2_000;

/** Does not wait for the first connection: a process starts without Redis, too. */
export async function openRedis({ url, log }: { url: string; log: Logger }): Promise<Redis> {
  // It takes its time to load, and most processes have no use for it.
  const { Redis: Client } = await import("ioredis");
  const background = createBackground((_name, error) => log.warn({ error: messageOf(error) }, "Redis"));
  const outage = createOutage(log);
  const watch = (client: RedisClient): RedisClient => {
    client.on("error", (error) => outage.begin(client, messageOf(error)));
    client.on("close", () => outage.begin(client, "the connection is closed"));
    client.on("ready", () => outage.end(client));
    client.on("end", () => outage.forget(client));
    return client;
  };
  const open = (name: string, options: Options): RedisClient => {
    const all: Options = { ...connectionOptions, connectionName: `holdfast-${name}`, ...options };
    return watch(new Client(url, all));
  };
  const speaker = open("publish", { enableOfflineQueue: false, commandTimeout: answerWithinMs });
  const hearing = createHearing(() => open("subscribe", {}), background);

  return {
    async publish(channel, messages) {
      if (speaker.status !== "ready") return;
      try {
        await Promise.all(messages.map((message) => speaker.publish(channel, message)));
        outage.end(speaker);
      } catch (error) {
        outage.begin(speaker, messageOf(error));
      }
    },
    subscribe: (channel, onMessage) => hearing.subscribe(channel, onMessage),
    connect(name) {
      const client = open(name, {});
      const clients = [client];
      client.duplicate = (override) => {
        const copy = watch(Client.prototype.duplicate.call(client, override));
        clients.push(copy);
        return copy;
      };
      return { client, end: () => clients.forEach(endForGood) };
    },
    async close() {
      outage.close();
      hearing.close();
      endForGood(speaker);
      await background.settled();
    },
  };
}

const connectionOptions: Options = {
  // Commands of a connection that waits are sent when Redis is back, however long that takes.
  maxRetriesPerRequest: null,
  retryStrategy: (attempt) => Math.min(50 * 2 ** Math.min(attempt, 10), longestPauseMs),
  // After a failover the name may lead to a replica that was the master.
  reconnectOnError: ({ message }) => message.startsWith("READONLY"),
  connectTimeout: 5_000,
  // An address that is gone without a word is noticed by this alone.
  keepAlive: 10_000,
};

/** Of however many connections: says once that they are lost, and once that all are back. */
function createOutage(log: Logger) {
  const lost = new Set<RedisClient>();
  let closed = false;
  return {
    begin(client: RedisClient, reason: string): void {
      if (closed || client.status === "end") return;
      if (lost.size === 0) log.warn({ error: reason }, "Redis is away; work goes on without it");
      lost.add(client);
    },
    end(client: RedisClient): void {
      if (lost.delete(client) && lost.size === 0) log.info("Redis is back");
    },
    /** It was closed on purpose. */
    forget: (client: RedisClient): void => void lost.delete(client),
    close: (): void => void (closed = true),
  };
}

type Listener = (message: string) => void;

/** One connection for all channels, opened for the first. */
function createHearing(open: () => RedisClient, background: Background) {
  const listeners = new Map<string, Set<Listener>>();
  let client: RedisClient | undefined;

  const connect = (): RedisClient => {
    const opened = open();
    opened.on("message", (channel, message) => {
      for (const listener of listeners.get(channel) ?? []) listener(message);
    });
    return opened;
  };

  return {
    subscribe(channel: string, onMessage: Listener): Subscription {
      client ??= connect();
      const hearing = client;
      // A function of its own for each: two may listen with the same one.
      const listener: Listener = (message) => onMessage(message);
      const those = listeners.get(channel) ?? new Set();
      listeners.set(channel, those.add(listener));
      const confirmed = hearing.subscribe(channel).then(ignore, ignore);
      return {
        confirmed,
        end(): void {
          if (!those.delete(listener) || those.size > 0) return;
          listeners.delete(channel);
          // Said at once: it must not overtake a subscription that follows.
          const unsubscribed = hearing.unsubscribe(channel).then(ignore, ignore);
          background.start("unsubscribe", () => unsubscribed);
        },
      };
    },
    close(): void {
      if (client !== undefined) endForGood(client);
    },
  };
}

/**
 * A connection that waits for its next attempt takes no notice of `disconnect`, and whoever waits for its end, or for an
 * answer, waits for ever. So it is sent into one more attempt, which is the last.
 */
function endForGood(client: RedisClient): void {
  client.options.retryStrategy = () => null;
  if (client.status === "reconnecting") client.connect().then(() => client.disconnect(), ignore);
  else client.disconnect();
}

/** A connection that is closed refuses what still waits for it. */
function ignore(): void {}
