/**
 * Watching a task from any process: its entries without a gap, the text of the turn in flight, its end.
 *
 * What a reader is told comes from the feed that all readers of the task share; what it missed there, and what was before
 * it came, from the store, which is the truth. Memory for a reader is a place in the journal and one in the text.
 */
import type { Entry } from "../agent/journal.ts";
import { textOf } from "../agent/conversation.ts";
import type { Feeds } from "../events/feeds.ts";
import { endsTheTurn } from "../events/hub.ts";
import type { TaskFeed } from "../events/task-feed.ts";
import { TextCursor, type TextEvent } from "../events/text-cursor.ts";
import { createSignal } from "../platform/abort.ts";
import type { Clock } from "../platform/clock.ts";
import { NotFoundError } from "../platform/errors.ts";
import type { Store } from "../store/store.ts";
import type { TaskRow } from "../store/task-row.ts";
import { hasEnded, resultOf, type AgentResult } from "./agent-result.ts";

export type TaskEvent =
  | { readonly type: "entry"; readonly entry: Entry }
  | TextEvent
  /** The task has ended; nothing follows. */
  | { readonly type: "result"; readonly result: AgentResult };

export interface WatchDeps {
  readonly store: Store;
  readonly feeds: Feeds;
  readonly clock: Clock;
  /** Whether a task of this tenant runs in this process, so that news of it is sure to come. */
  readonly runsHere: (address: TaskAddress) => boolean;
}

export interface TaskAddress {
  readonly tenant: string;
  readonly taskId: string;
}

/**
 * @param watch.afterSeq entries after this number; 0: all
 * @throws NotFoundError `task_not_found`
 * @returns ends with a result when the task has ended, without one when the signal aborts
 */
export async function* watchTask(
  deps: WatchDeps,
  watch: TaskAddress & { afterSeq: number; signal: AbortSignal },
): AsyncGenerator<TaskEvent> {
  const endBefore = deps.feeds.get(watch.taskId)?.ended;
  const row = await findTask(deps, watch);
  if (hasEnded(row)) {
    for await (const entry of entriesAfter(deps, watch, watch.afterSeq)) yield { type: "entry", entry };
    return yield { type: "result", result: await resultOf(row, deps) };
  }
  const changed = createSignal();
  const { feed, close } = deps.feeds.open(watch, { interest: "events", onNews: () => changed.set() });
  feed.revive(endBefore);
  try {
    yield* tellFeed(deps, { ...watch, feed, changed });
  } finally {
    close();
  }
}

interface Telling extends TaskAddress {
  readonly afterSeq: number;
  readonly signal: AbortSignal;
  readonly feed: TaskFeed;
  readonly changed: ReturnType<typeof createSignal>;
}

async function* tellFeed(deps: WatchDeps, telling: Telling): AsyncGenerator<TaskEvent> {
  const { tenant, taskId, afterSeq, signal, feed, changed } = telling;
  const cursor = new TextCursor(feed.live);
  // The feed hears of what is durable from now on; the store knows of what was before.
  feed.addNews(await deps.store.taskNews({ tenant, id: taskId, afterSeq }));
  let seq = afterSeq;
  /** The text of a turn that goes on from before here is over, as far as is known. */
  let turnsOverBefore = afterSeq;
  let hasEndEntry = false;
  const tellEntry = function* (entry: Entry): Generator<TaskEvent> {
    seq = entry.seq;
    hasEndEntry = entry.kind === "end";
    if (endsTheTurn(entry)) turnsOverBefore = seq;
    if (entry.kind === "model") yield* cursor.endTurn(textOf(entry.parts));
    yield { type: "entry", entry };
  };

  while (!signal.aborted) {
    const { ended } = feed;
    if (seq < feed.lastSeq) {
      const entries = feed.entriesAfter(seq) ?? (await deps.store.entriesAfter({ tenant, id: taskId, afterSeq: seq }));
      for (const entry of entries) yield* tellEntry(entry);
      if (entries.length > 0) continue;
    }
    if (ended !== undefined) {
      // Whoever heard of the end alone has not heard of the entries before it.
      if (!hasEndEntry) for await (const entry of entriesAfter(deps, telling, seq)) yield* tellEntry(entry);
      return yield { type: "result", result: await resultOf(ended, deps) };
    }
    const { live } = feed;
    // Text may be ahead of the entries before it, which are on their way, and behind those after it.
    if (live !== undefined && live.turn.afterSeq >= turnsOverBefore && live.turn.afterSeq <= seq) {
      if (!(yield* cursor.read(live))) deps.feeds.lacksText(feed);
    }
    await changed.wait(signal);
  }
}

/**
 * Waits until the task has ended, at most `waitMs`; with a `messageId`, until the task has that was to hear the message: if
 * the one it was left for ended without having heard it, it is a task of its own.
 * @returns what it has come to by then
 * @throws NotFoundError `task_not_found`
 */
export async function awaitResult(
  deps: WatchDeps,
  { messageId = null, ...wait }: Wait & { messageId?: string | null },
): Promise<AgentResult> {
  const { clock, store } = deps;
  const startedAt = clock.monotonic();
  const result = await awaitEnd(deps, wait);
  if (messageId === null || !hasEnded(result)) return result;
  const own = await store.task({ tenant: wait.tenant, id: messageId });
  if (own === undefined) return result;
  const waitMs = Math.max(0, wait.waitMs - (clock.monotonic() - startedAt));
  return awaitEnd(deps, { ...wait, taskId: messageId, waitMs });
}

type Wait = TaskAddress & { readonly waitMs: number; readonly signal: AbortSignal };

async function awaitEnd(deps: WatchDeps, { waitMs, signal, ...address }: Wait): Promise<AgentResult> {
  const { clock, feeds } = deps;
  const endBefore = feeds.get(address.taskId)?.ended;
  // Of a task that runs in this process nothing needs to be read.
  const row = deps.runsHere(address) ? undefined : await findTask(deps, address);
  if (row !== undefined && hasEnded(row)) return resultOf(row, deps);
  const changed = createSignal();
  const { feed, close } = feeds.open(address, { interest: "end", onNews: () => changed.set() });
  feed.revive(endBefore);
  // Not the time is compared, but the timer is believed: it may come a moment before its time, and never again.
  let isOver = waitMs <= 0;
  const giveUp = (): void => {
    isOver = true;
    changed.set();
  };
  const cancelTimer = Number.isFinite(waitMs) ? clock.timer(waitMs, giveUp) : undefined;
  try {
    // It may have ended between the look at it and now.
    if (row !== undefined) feeds.stale(feed);
    while (feed.ended === undefined && !isOver && !signal.aborted) await changed.wait(signal);
    return await resultOf(feed.ended ?? (await findTask(deps, address)), deps);
  } finally {
    cancelTimer?.();
    close();
  }
}

/** @throws NotFoundError `task_not_found` */
export async function findTask({ store }: { store: Store }, { tenant, taskId }: TaskAddress): Promise<TaskRow> {
  const row = await store.task({ tenant, id: taskId });
  if (row === undefined) throw new NotFoundError("task_not_found", `There is no task ${taskId}.`);
  return row;
}

async function* entriesAfter(
  { store }: WatchDeps,
  { tenant, taskId }: TaskAddress,
  afterSeq: number,
): AsyncGenerator<Entry> {
  for (let seq = afterSeq; ;) {
    const page = await store.entriesAfter({ tenant, id: taskId, afterSeq: seq });
    if (page.length === 0) return;
    yield* page;
    seq = page.at(-1)!.seq;
  }
}
