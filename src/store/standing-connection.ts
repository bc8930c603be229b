/**
 * One connection to a server that is wanted for as long as somebody has a use for it: when it is lost it is opened again,
 * at once and then with growing pauses between the attempts.
 *
 * Nothing may run on it for hours, so it is asked for a sign of life from time to time: that is how one is noticed whose
 * other end is gone without a word, or has become a standby.
 */
import type { Client } from "pg";
import { createBackoff } from "../platform/backoff.ts";
import { createBackground } from "../platform/background.ts";
import type { Clock } from "../platform/clock.ts";
import type { Random } from "../platform/random.ts";
import type { OutageLog } from "./outage-log.ts";
import { askForSigns } from "./signs-of-life.ts";

export interface StandingConnectionDeps {
  /** Opens a connection and makes it ready for use. */
  readonly connect: () => Promise<Client>;
  readonly isWanted: () => boolean;
  readonly clock: Clock;
  readonly random: Random;
  readonly outage: OutageLog;
}

export interface StandingConnection {
  /** The connection, opened if there is none. */
  current(): Promise<Client>;
  /** Opens it in the background, now or as soon as it can be. */
  open(): void;
  /** The connection if there is one or one is being opened, which is then no longer the current one. */
  take(): Promise<Client> | undefined;
  /** Ends it for good. */
  close(): Promise<void>;
}

const shortestPauseMs = 100;
const longestPauseMs = 1_000;

export function createStandingConnection(deps: StandingConnectionDeps): StandingConnection {
  const { connect, isWanted, clock, random, outage } = deps;
  const closed = new AbortController();
  const background = createBackground((_name, error) => outage.failed(error));
  let opening: Promise<Client> | undefined;
  let isReopening = false;

  function current(): Promise<Client> {
    if (opening !== undefined) return opening;
    const attempt: Promise<Client> = connect().then((client) => {
      const stopAsking = askForSigns(client, { clock, background });
      client.on("end", () => {
        stopAsking();
        forget(attempt);
        open();
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

  function open(): void {
    if (isReopening || closed.signal.aborted || !isWanted()) return;
    isReopening = true;
    background.start("a standing connection", async () => {
      try {
        await reopen();
      } finally {
        isReopening = false;
      }
    });
  }

  /** Tries until there is a connection, or it is not wanted any more. */
  async function reopen(): Promise<void> {
    const backoff = createBackoff(random, { firstMs: shortestPauseMs, mostMs: longestPauseMs });
    while (isWanted()) {
      try {
        await current();
        outage.answered();
        return;
      } catch (error) {
        outage.failed(error);
      }
      await clock.sleep(backoff.nextMs(), closed.signal).catch(() => undefined);
      if (closed.signal.aborted) return;
    }
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
    await background.settled();
  }

  return { current, open, take, close };
}
