/**
 * One connection to a server that is wanted for as long as somebody has a use for it: when it is lost it is opened again,
 * with growing pauses between the attempts.
 */
import type { Client } from "pg";
import type { Clock } from "../platform/clock.ts";
import { toStoreError } from "./store-error.ts";

export interface StandingConnectionDeps {
  /** Opens a connection and makes it ready for use. */
  readonly connect: () => Promise<Client>;
  readonly isWanted: () => boolean;
  readonly clock: Clock;
  readonly log: (message: string) => void;
}

export interface StandingConnection {
  /** The connection, opened if there is none. */
  current(): Promise<Client>;
  /** The connection if there is one or one is being opened, which is then no longer the current one. */
  take(): Promise<Client> | undefined;
  /** Ends it for good. */
  close(): Promise<void>;
}

const shortestPauseMs = 100;
const longestPauseMs = 10_000;

export function createStandingConnection(deps: StandingConnectionDeps): StandingConnection {
  const { connect, isWanted, clock, log } = deps;
  const closed = new AbortController();
  let opening: Promise<Client> | undefined;
  let reconnecting: Promise<void> | undefined;

  function current(): Promise<Client> {
    if (opening !== undefined) return opening;
    const attempt: Promise<Client> = connect().then((client) => {
      client.on("end", () => {
        forget(attempt);
        if (isWanted()) reconnecting ??= reconnect();
      });
      return client;
    });
    attempt.catch(() => forget(attempt));
    opening = attempt;
    return attempt;
  }

  function forget(attempt: Promise<Client>): void {
    if (opening === attempt) opening = undefined;
  }

  /** Tries until there is a connection, or it is not wanted any more; never rejects. */
  async function reconnect(): Promise<void> {
    for (let pauseMs = shortestPauseMs; isWanted(); pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
      if (!(await slept(pauseMs))) break;
      try {
        await current();
        log("Connected again.");
        break;
      } catch (error) {
        log(toStoreError(error).message);
      }
    }
    reconnecting = undefined;
  }

  /** False: it was closed meanwhile. */
  function slept(pauseMs: number): Promise<boolean> {
    return clock.sleep(pauseMs, closed.signal).then(
      () => true,
      () => false,
    );
  }

  function take(): Promise<Client> | undefined {
    const taken = opening;
    opening = undefined;
    return taken;
  }

  async function close(): Promise<void> {
    closed.abort();
    const client = await take()?.catch(() => undefined);
    await client?.end();
    await reconnecting;
  }

  return { current, take, close };
}
