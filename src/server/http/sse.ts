/**
 * Server-sent events, written no faster than they are read. Memory is bounded: nothing more is asked for while the reader
 * has not taken what was sent, and a reader that takes nothing for a while is dropped.
 */
import type { ServerResponse } from "node:http";
import type { Clock } from "../../platform/clock.ts";
import { repeat } from "../../platform/repeat.ts";
import type { StreamPace } from "./server-deps.ts";

export interface SseEvent {
  /** Absent: it has no name. */
  readonly event?: string;
  /** JSON text, which has no line breaks. */
  readonly data: string;
  /** Where the reader may go on after a break. */
  readonly id?: number;
}

export interface Sending extends StreamPace {
  readonly clock: Clock;
  /** How long a reader waits before it connects again; absent: it does not. */
  readonly retryMs?: number;
}

/** What a response begins with whose events are sent. */
export function streamHeaders(requestId: string): Record<string, string> {
  return {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    // nginx would hold events back.
    "x-accel-buffering": "no",
    "x-request-id": requestId,
  };
}

/** Sends the events and ends the response. @throws what `events` throws, after ending the response */
export async function sendEvents(
  response: ServerResponse,
  events: AsyncIterable<SseEvent>,
  { clock, heartbeatMs, stallMs, retryMs }: Sending,
): Promise<void> {
  const paced = watchPace(response, { clock, stallMs });
  const stopHeartbeat = repeat(clock, heartbeatMs, () => paced.write(": heartbeat\n\n"));
  try {
    if (retryMs !== undefined) paced.write(`retry: ${retryMs}\n\n`);
    for await (const event of events) {
      paced.write(toText(event));
      await paced.ready();
      if (response.destroyed) return;
    }
  } finally {
    stopHeartbeat();
    paced.end();
  }
}

function toText({ event, data, id }: SseEvent): string {
  return `${id === undefined ? "" : `id: ${id}\n`}${event === undefined ? "" : `event: ${event}\n`}data: ${data}\n\n`;
}

/** Writes to a response and destroys it when what was written is not taken in `stallMs`, its end included. */
function watchPace(response: ServerResponse, { clock, stallMs }: { clock: Clock; stallMs: number }) {
  let cancelStall: (() => void) | undefined;
  let waiting: (() => void) | undefined;
  const moved = (): void => {
    cancelStall?.();
    cancelStall = undefined;
    waiting?.();
    waiting = undefined;
  };
  const watch = (): void => {
    cancelStall ??= clock.timer(stallMs, () => response.destroy());
  };
  response.on("drain", moved).on("finish", moved).on("close", moved);
  return {
    write(text: string): void {
      if (!response.destroyed && !response.write(text)) watch();
    },
    end(): void {
      if (response.destroyed) return;
      watch();
      response.end();
    },
    /** Resolves when the reader has taken enough for more to be sent, or is gone. */
    ready(): Promise<void> {
      if (!response.writableNeedDrain || response.destroyed) return Promise.resolve();
      return new Promise((resolve) => (waiting = resolve));
    },
  };
}
