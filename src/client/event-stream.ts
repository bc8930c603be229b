/**
 * The events of a task over any number of connections: one that breaks, falls silent or is ended by a server that shuts
 * down is followed by another, which resumes after the last entry. No entry is lost and none comes twice; deltas that fell
 * into a break are made up for by a `partial`.
 */
import { createParser, type EventSourceMessage } from "eventsource-parser";
import type { Clock } from "../platform/clock.ts";
import { HoldfastError, UnavailableError } from "../platform/errors.ts";
import type { Random } from "../platform/random.ts";
import type { Connection } from "./connection.ts";
import type { AgentResult, Delta, Entry, Task, TaskEvent } from "./wire.ts";

export interface EventStreamDeps {
  readonly connection: Connection;
  readonly clock: Clock;
  readonly random: Random;
}

export interface EventStreamOptions {
  readonly taskId: string;
  /** Only entries after this one. */
  readonly after: number;
  readonly signal: AbortSignal;
}

const shortestPauseMs = 500;
const longestPauseMs = 10_000;
/** A service that is too busy may ask for a longer pause, up to this. */
const longestAskedMs = 60_000;
/** In a row, without an event in between: some two minutes, unless the service asks for longer pauses. */
const mostFailures = 20;
/** The server gives a sign of life every 15 s. */
const silenceMs = 45_000;

/** Ends after the result, or when the signal aborts. @throws HoldfastError when it cannot connect, or not again */
export async function* streamEvents(deps: EventStreamDeps, options: EventStreamOptions): AsyncGenerator<TaskEvent> {
  const { signal } = options;
  let after = options.after;
  let connected = false;
  let failures = 0;
  let askedMs = 0;
  // No bound but the failures: a task may wait for a human for days, over any number of connections.
  while (!signal.aborted) {
    try {
      for await (const event of oneConnection(deps, { ...options, after })) {
        connected = true;
        if (event.type === "entry") {
          if (event.entry.seq <= after) continue;
          if (event.entry.seq !== after + 1) throw gap(after, event.entry.seq);
          after = event.entry.seq;
        }
        failures = 0;
        yield event;
        if (event.type === "result") return;
      }
      // The server ended the stream: it is there, and connecting again will do.
      failures = 0;
      askedMs = 0;
    } catch (error) {
      if (signal.aborted) return;
      if (!connected || !isPassing(error) || failures >= mostFailures) throw error;
      failures += 1;
      askedMs = askedPauseMs(error);
    }
    if (!(await pause(deps, { failures, askedMs, signal }))) return;
  }
}

/** Something between here and the service swallowed entries: they are asked for again. */
function gap(after: number, seq: number): HoldfastError {
  return new HoldfastError("event_gap", `Entry ${seq} came after entry ${after}.`, { retry: "now" });
}

/** The events of one connection. Ends without a result when the connection does. */
async function* oneConnection(
  { connection, clock }: EventStreamDeps,
  { taskId, after, signal }: EventStreamOptions,
): AsyncGenerator<TaskEvent> {
  const path = `/tasks/${encodeURIComponent(taskId)}`;
  const leave = new AbortController();
  const response = await connection.open({
    path: `${path}/events`,
    headers: { accept: "text/event-stream", ...(after > 0 && { "last-event-id": String(after) }) },
    signal: AbortSignal.any([signal, leave.signal]),
  });
  if (response.status === 204 || response.body === null) {
    // It has ended and every entry is here; only the result may have been missed.
    yield { type: "result", result: resultOf(await connection.send<Task>({ path, signal })) };
    return;
  }
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  const arrived: EventSourceMessage[] = [];
  const parser = createParser({ onEvent: (message) => arrived.push(message) });
  try {
    for (;;) {
      const chunk = await readUnlessSilent(reader, clock);
      if (chunk === undefined) return;
      parser.feed(decoder.decode(chunk, { stream: true }));
      for (const message of arrived.splice(0)) {
        const event = toTaskEvent(message);
        if (event !== undefined) yield event;
      }
    }
  } finally {
    leave.abort();
  }
}

/** The next piece; undefined at the end, and when nothing came for so long that the connection must be dead. */
async function readUnlessSilent(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  clock: Clock,
): Promise<Uint8Array | undefined> {
  const arrived = new AbortController();
  const silence = clock.sleep(silenceMs, arrived.signal).then(
    () => undefined,
    () => undefined,
  );
  try {
    return (await Promise.race([reader.read(), silence]))?.value;
  } finally {
    arrived.abort();
  }
}

/** A task as the service describes it is its result and more. */
export function resultOf(task: AgentResult): AgentResult {
  return {
    task_id: task.task_id,
    session_id: task.session_id,
    status: task.status,
    output: task.output,
    steps_used: task.steps_used,
    tokens_used: task.tokens_used,
    tool_calls: task.tool_calls,
    cost_usd: task.cost_usd,
    error: task.error,
    duration_ms: task.duration_ms,
  };
}

/** Undefined: a kind of event that this version does not know. */
function toTaskEvent({ event, data }: EventSourceMessage): TaskEvent | undefined {
  const value: unknown = JSON.parse(data);
  if (event === "entry") return { type: "entry", entry: value as Entry };
  if (event === "delta") return { type: "delta", delta: value as Delta };
  if (event === "partial") return { type: "partial", text: (value as { text: string }).text };
  return event === "result" ? { type: "result", result: value as AgentResult } : undefined;
}

/** Whether trying again may help. What is no HoldfastError is a connection that broke. */
function isPassing(error: unknown): boolean {
  return !(error instanceof HoldfastError) || error.retry !== "never";
}

/** How long a service that is there, but too busy, asked to be left alone. */
function askedPauseMs(error: unknown): number {
  if (!(error instanceof UnavailableError) || typeof error.retry !== "object") return 0;
  return Math.min(longestAskedMs, error.retry.afterMs);
}

interface Pause {
  readonly failures: number;
  readonly askedMs: number;
  readonly signal: AbortSignal;
}

/** @returns false when the signal aborted */
async function pause({ clock, random }: EventStreamDeps, { failures, askedMs, signal }: Pause): Promise<boolean> {
  const longest = Math.min(longestPauseMs, shortestPauseMs * 2 ** failures);
  return clock.sleep(Math.max(askedMs, longest * (0.5 + random() / 2)), signal).then(
    () => true,
    () => false,
  );
}
