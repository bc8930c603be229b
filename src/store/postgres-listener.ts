/**
 * Notifications from a server, over one connection for all channels, which is opened with the first and closed with the
 * last. What is notified while it is lost is not heard, which the port allows.
 */
import type { Client } from "pg";
import { cut } from "./signs-of-life.ts";
import { createStandingConnection, type StandingConnectionDeps } from "./standing-connection.ts";
import { toStoreError } from "./store-error.ts";

/** Its `connect` opens a connection in pipeline mode. */
export type ListenerDeps = Omit<StandingConnectionDeps, "isWanted">;

export interface PostgresListener {
  /** @throws StoreError if there is no connection now */
  listen(channel: string, onPayload: (payload: string) => void): Promise<() => Promise<void>>;
  close(): Promise<void>;
}

type Listener = (payload: string) => void;

export function createPostgresListener(deps: ListenerDeps): PostgresListener {
  const channels = new Map<string, Set<Listener>>();
  const connection = createStandingConnection({ ...deps, connect: open, isWanted: () => channels.size > 0 });

  async function open(): Promise<Client> {
    const client = await deps.connect();
    client.on("notification", ({ channel, payload = "" }) => {
      for (const listener of channels.get(channel) ?? []) listener(payload);
    });
    try {
      await Promise.all([...channels.keys()].map((channel) => client.query(`listen "${channel}"`)));
    } catch (error) {
      cut(client, "it cannot listen");
      throw error;
    }
    return client;
  }

  async function listen(channel: string, onPayload: Listener): Promise<() => Promise<void>> {
    // Wrapped, so that the same function can listen twice and stop once.
    const listener: Listener = (payload) => onPayload(payload);
    const listeners = channels.get(channel) ?? new Set();
    channels.set(channel, listeners.add(listener));
    try {
      const client = await connection.current();
      await client.query(`listen "${channel}"`);
    } catch (error) {
      remove(channel, listener);
      throw toStoreError(error);
    }
    return () => stop(channel, listener);
  }

  async function stop(channel: string, listener: Listener): Promise<void> {
    if (!remove(channel, listener)) return;
    try {
      if (channels.size === 0) await (await connection.take())?.end();
      else await (await connection.current()).query(`unlisten "${channel}"`);
    } catch {
      // The connection is gone, and with it what it listened to.
    }
  }

  /** True: it was the last one of its channel. */
  function remove(channel: string, listener: Listener): boolean {
    const listeners = channels.get(channel);
    listeners?.delete(listener);
    if (listeners === undefined || listeners.size > 0) return false;
    return channels.delete(channel);
  }

  async function close(): Promise<void> {
    channels.clear();
    await connection.close();
  }

  return { listen, close };
}
