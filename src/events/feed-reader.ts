/**
 * Reads in the store what this process does not hear of by itself: news of watched tasks that run elsewhere, when a hint
 * says that there are some, and from time to time in case no hint came. The reads of all tasks travel together.
 */
import type { Clock } from "../platform/clock.ts";
import { createBackground } from "../platform/background.ts";
import type { Store } from "../store/store.ts";
import { noEntries } from "../store/queries/task-news.ts";
import type { Logger } from "../telemetry/log.ts";
import { logStoreTrouble } from "../telemetry/store-trouble.ts";
import type { Feeds } from "./feeds.ts";
import type { TaskFeed } from "./task-feed.ts";

export interface FeedReaderDeps {
  readonly feeds: Feeds;
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  /** How often the store is asked about a task of which nothing is heard. */
  readonly pollMs: number;
  /** Whether a task runs in this process, so that news of it is sure to come. */
  readonly runsHere: (taskId: string) => boolean;
}

/** Of a task that runs in this process news does come: the store is asked that much less often. */
const patience = 10;
/** More tasks than this are not asked for in one round: what waiting costs has a bound. */
const mostPerRound = 2_000;
/** Text that was lost is in the store soon. */
const textPauseMs = 100;

/** @returns a function that stops it */
export function readFeeds(deps: FeedReaderDeps): () => Promise<void> {
  const { feeds, store, clock, log, pollMs, runsHere } = deps;
  const background = createBackground((_name, error) => logStoreTrouble(log, error, "cannot read tasks"));
  /** Feeds that are being read; true: once more. */
  const reading = new Map<TaskFeed, boolean>();
  const lackingText = new Map<TaskFeed, () => void>();
  let round = 1;
  let cancelTick: (() => void) | undefined;

  const read = (feed: TaskFeed): void => {
    const isBeingRead = reading.has(feed);
    reading.set(feed, isBeingRead);
    if (!isBeingRead) background.start("feed", () => readAll(feed).finally(() => reading.delete(feed)));
  };

  const readAll = async (feed: TaskFeed): Promise<void> => {
    do {
      reading.set(feed, false);
      try {
        await readOnce(store, feed);
      } finally {
        // A reader that still lacks text asks for it again, also if this read failed.
        if (lackingText.delete(feed)) feed.wake();
      }
    } while (reading.get(feed) === true && feed.isWatched);
  };

  const tick = (): void => {
    cancelTick = undefined;
    // Of very many tasks each round asks for a part.
    const parts = Math.ceil(feeds.size / mostPerRound);
    const asksAll = Math.floor(round / parts) % patience === 0;
    let number = round++;
    for (const feed of feeds.all()) {
      if (number++ % parts !== 0) continue;
      const isDue = !feed.isFresh && (asksAll || !runsHere(feed.taskId));
      feed.isFresh = false;
      if (isDue) read(feed);
    }
    arm();
  };
  const arm = (): void => {
    if (feeds.size > 0) cancelTick ??= clock.timer(pollMs, tick);
  };

  const fetchText = (feed: TaskFeed): void => {
    if (!lackingText.has(feed))
      lackingText.set(
        feed,
        clock.timer(textPauseMs, () => read(feed)),
      );
  };
  const forget = (feed: TaskFeed): void => {
    lackingText.get(feed)?.();
    lackingText.delete(feed);
  };

  const stopListening = feeds.listen({ opened: arm, stale: read, lacksText: fetchText, closed: forget });
  return async () => {
    stopListening();
    cancelTick?.();
    for (const cancel of lackingText.values()) cancel();
    await background.settled();
  };
}

async function readOnce(store: Store, feed: TaskFeed): Promise<void> {
  const { tenant, taskId: id, lastSeq, ended: endBefore } = feed;
  const news = await store.taskNews({ tenant, id, afterSeq: feed.readers > 0 ? lastSeq : noEntries });
  if (news.ended === undefined) feed.revive(endBefore);
  feed.addNews(news);
}
