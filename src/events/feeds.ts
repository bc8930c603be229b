/** The tasks that are watched in this process, by as many as like, and who wants to know when that changes. */
import type { Hub, News } from "./hub.ts";
import { TaskFeed } from "./task-feed.ts";

/** What somebody watches a task for: its events, or only its end. */
export type Interest = "events" | "end";

export interface FeedsListener {
  /** A task is watched for more than it was. */
  opened?(feed: TaskFeed): void;
  /** Nobody watches it any more. */
  closed?(feed: TaskFeed): unknown;
  /** The store knows more of it than this process. */
  stale?(feed: TaskFeed): void;
  /** A reader lacks text that was lost on its way here: the store has it, or will have it soon. */
  lacksText?(feed: TaskFeed): void;
}

export class Feeds {
  readonly #hub: Hub;
  readonly #feeds = new Map<string, TaskFeed>();
  readonly #listeners = new Set<FeedsListener>();

  constructor(hub: Hub) {
    this.#hub = hub;
    hub.onNews((news) => this.#take(news));
  }

  /**
   * Watches a task, which the caller has seen to be of this tenant.
   * @param onNews is called at every change; it must neither throw nor block
   */
  open(
    { tenant, taskId }: { tenant: string; taskId: string },
    { interest, onNews }: { interest: Interest; onNews: () => void },
  ): { readonly feed: TaskFeed; readonly close: () => void } {
    const feed = this.#feeds.get(taskId) ?? new TaskFeed({ tenant, taskId });
    this.#feeds.set(taskId, feed);
    const isMore = !feed.isWatched || (interest === "events" && feed.readers === 0);
    const live = this.#hub.live(taskId);
    if (live !== undefined) feed.follow(live);
    if (interest === "events") feed.readers += 1;
    const stopListening = feed.onNews(onNews);
    if (isMore) for (const listener of this.#listeners) listener.opened?.(feed);
    return {
      feed,
      close: () => {
        stopListening();
        if (interest === "events") feed.readers -= 1;
        if (feed.isWatched || this.#feeds.get(taskId) !== feed) return;
        this.#feeds.delete(taskId);
        for (const listener of this.#listeners) listener.closed?.(feed);
      },
    };
  }

  get(taskId: string): TaskFeed | undefined {
    return this.#feeds.get(taskId);
  }

  all(): Iterable<TaskFeed> {
    return this.#feeds.values();
  }

  get size(): number {
    return this.#feeds.size;
  }

  /** The store knows more of this task. */
  stale(feed: TaskFeed): void {
    for (const listener of this.#listeners) listener.stale?.(feed);
  }

  lacksText(feed: TaskFeed): void {
    for (const listener of this.#listeners) listener.lacksText?.(feed);
  }

  listen(listener: FeedsListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #take(news: News): void {
    const feed = this.#feeds.get(news.taskId);
    if (feed === undefined) return;
    feed.isFresh = true;
    switch (news.type) {
      case "entries":
        return feed.addEntries(news.entries);
      case "piece": {
        const live = this.#hub.live(news.taskId);
        return live && feed.follow(live);
      }
      case "ended":
        return feed.end(news.task);
      case "changed":
        // What is heard after the end of a run says nothing that its end did not say.
        return feed.ended === undefined ? this.stale(feed) : undefined;
    }
  }
}
