/**
 * Watching a task from any process: its entries without a gap, the text of the turn in flight, its end.
 *
 * News from the hub is fast and may be lost; the store is the truth. It is read at the start, when news was lost, and from
 * time to time, for tasks that run in another process.
 */
import type { Delta } from "../agent/conversation.ts";
import type { Entry } from "../agent/journal.ts";
import type { Hub } from "../events/hub.ts";
import { NewsQueue } from "../events/news-queue.ts";
import { createSignal } from "../platform/abort.ts";
import type { Clock } from "../platform/clock.ts";
import { NotFoundError } from "../platform/errors.ts";
import type { Store } from "../store/store.ts";
import type { EndedTask, TaskRow } from "../store/task-row.ts";
import { hasEnded, resultOf, type AgentResult } from "./agent-result.ts";

export type TaskEvent =
  | { readonly type: "entry"; readonly entry: Entry }
  | { readonly type: "delta"; readonly delta: Delta }
  /** The whole text so far of the turn in flight; replaces what deltas brought. */
  | { readonly type: "partial"; readonly text: string }
  /** The task has ended; nothing follows. */
  | { readonly type: "result"; readonly result: AgentResult };

export interface WatchDeps {
  readonly store: Store;
  readonly hub: Hub;
  readonly clock: Clock;
  /** How often the store is asked about a task of which no news comes, because it runs elsewhere. */
  readonly pollMs: number;
  /** Whether a task runs in this process, so that news of it is sure to come. */
  readonly runsHere: (taskId: string) => boolean;
}

export interface TaskAddress {
  readonly tenant: string;
  readonly taskId: string;
}

const entriesPerRead = 200;
/** Of a task that runs in this process news does come: the store is asked that much less often. */
const patience = 10;

/**
 * @param watch.afterSeq entries after this number; 0: all
 * @throws NotFoundError `task_not_found`
 * @returns ends with a result when the task has ended, without one when the signal aborts
 */
export async function* watchTask(
  deps: WatchDeps,
  watch: TaskAddress & { afterSeq: number; signal: AbortSignal },
): AsyncGenerator<TaskEvent> {
  const { taskId, signal } = watch;
  const queue = new NewsQueue({ ...deps, taskId });
  let seq = watch.afterSeq;
  let inSync = false;
  let runsHere = false;
  let shown = "";
  /** The reader has text of the turn in flight; and if the turn is cut off, deltas from here do not go on with it. */
  let hasText = false;
  let isCutOff = false;
  const entryEvent = (entry: Entry): TaskEvent => {
    seq = entry.seq;
    if (entry.kind === "model") hasText = isCutOff = false;
    return { type: "entry", entry };
  };
  try {
    for (;;) {
      if (!inSync) {
        queue.clear();
        const row = await findTask(deps, watch);
        for await (const entry of readEntries(deps, { ...watch, afterSeq: seq })) yield entryEvent(entry);
        if (hasEnded(row)) return yield { type: "result", result: await resultOf(row, deps) };
        const { text, isHere } = await partialText(deps, taskId, queue);
        hasText ||= text !== "";
        // It was in flight in another process, or in a run that this one lost.
        isCutOff = hasText && !isHere;
        if (text !== shown && text !== "") yield { type: "partial", text };
        shown = text;
        inSync = true;
      }
      const news = await queue.take(runsHere ? deps.pollMs * patience : deps.pollMs, signal);
      if (news.type === "aborted") return;
      if (news.type === "delta") {
        if (isCutOff && news.delta.type !== "restart") yield { type: "delta", delta: { type: "restart" } };
        isCutOff = false;
        hasText = news.delta.type === "text" || (hasText && news.delta.type !== "restart");
        yield news;
      } else if (news.type === "entries") {
        for (const entry of news.entries) if (entry.seq === seq + 1) yield entryEvent(entry);
        inSync = (news.entries.at(-1)?.seq ?? 0) <= seq;
      } else inSync = false;
      runsHere = news.type === "delta" || news.type === "entries" || (runsHere && news.type !== "timeout");
    }
  } finally {
    queue.close();
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
  const { clock, hub, pollMs } = deps;
  const giveUpAt = clock.monotonic() + waitMs;
  const changed = createSignal();
  // Of a task that ends in this process nothing needs to be read.
  let ended: EndedTask | undefined;
  const stopListening = hub.onTask(address.taskId, (news) => {
    if (news.type === "ended") ended = news.task;
    if (news.type === "ended" || news.type === "changed") changed.set();
  });
  const wait = async (): Promise<void> => {
    const mostMs = Math.max(0, Math.min(giveUpAt - clock.monotonic(), pollMs * patience));
    const cancelTimer = clock.timer(mostMs, () => changed.set());
    await changed.wait(signal);
    cancelTimer();
  };
  try {
    if (deps.runsHere(address.taskId)) await wait();
    for (;;) {
      const task = ended ?? (await findTask(deps, address));
      if (hasEnded(task) || giveUpAt <= clock.monotonic() || signal.aborted) return await resultOf(task, deps);
      await wait();
    }
  } finally {
    stopListening();
  }
}

/** @throws NotFoundError `task_not_found` */
export async function findTask({ store }: { store: Store }, { tenant, taskId }: TaskAddress): Promise<TaskRow> {
  const row = await store.task({ tenant, id: taskId });
  if (row === undefined) throw new NotFoundError("task_not_found", `There is no task ${taskId}.`);
  return row;
}

async function* readEntries(
  { store }: WatchDeps,
  { tenant, taskId, afterSeq }: TaskAddress & { afterSeq: number },
): AsyncGenerator<Entry> {
  for (let after = afterSeq; ;) {
    const page = await store.journal({ tenant, taskId, afterSeq: after, limit: entriesPerRead });
    yield* page;
    if (page.length < entriesPerRead) return;
    after = page.at(-1)?.seq ?? after;
  }
}

/** The text of the turn in flight; `isHere`: in this process, so that deltas go on with it. */
async function partialText(
  { hub, store }: WatchDeps,
  taskId: string,
  queue: NewsQueue,
): Promise<{ text: string; isHere: boolean }> {
  const kept = await store.partial(taskId);
  const isCurrent = queue.dropDeltas();
  const here = hub.partial(taskId);
  return { text: isCurrent ? here || kept : "", isHere: here !== "" };
}
