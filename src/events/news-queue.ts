/** The news of one task, buffered for a reader who takes them at its own pace. The buffer is bounded: what does not fit is lost. */
import { createSignal } from "../platform/abort.ts";
import type { Clock } from "../platform/clock.ts";
import type { Hub, TaskNews } from "./hub.ts";

/** Why there is no news to take: the reader was too slow, nothing came in time, or it was told to leave. */
export type NoNews = { readonly type: "lost" } | { readonly type: "timeout" } | { readonly type: "aborted" };

const mostBuffered = 1_000;

export class NewsQueue {
  readonly #clock: Clock;
  readonly #ready = createSignal();
  readonly #unsubscribe: () => void;
  #news: TaskNews[] = [];
  #lost = false;

  constructor({ hub, clock, taskId }: { hub: Hub; clock: Clock; taskId: string }) {
    this.#clock = clock;
    this.#unsubscribe = hub.onTask(taskId, (news) => this.#put(news));
  }

  /** The next news, waiting for it at most `timeoutMs`. */
  async take(timeoutMs: number, signal: AbortSignal): Promise<TaskNews | NoNews> {
    let late = false;
    const cancelTimer = this.#clock.timer(timeoutMs, () => {
      late = true;
      this.#ready.set();
    });
    try {
      for (;;) {
        if (signal.aborted) return { type: "aborted" };
        if (this.#lost) return { type: "lost" };
        const next = this.#news.shift();
        if (next !== undefined) return next;
        if (late) return { type: "timeout" };
        await this.#ready.wait(signal);
      }
    } finally {
      cancelTimer();
    }
  }

  /** Forgets what is buffered, for a reader who is about to read the truth. */
  clear(): void {
    this.#news = [];
    this.#lost = false;
  }

  /**
   * Forgets the deltas of the turn in flight: the reader has their text from elsewhere.
   * @returns false if the end of a turn is among the news: then such a text may be of a turn that is over, and the deltas
   *   after it, which begin another, are kept
   */
  dropDeltas(): boolean {
    const end = this.#news.findLastIndex(
      (news) => news.type === "entries" && news.entries.some(({ kind }) => kind === "model"),
    );
    this.#news = this.#news.filter(({ type }, index) => type !== "delta" || (end !== -1 && index > end));
    return end === -1;
  }

  close(): void {
    this.#unsubscribe();
  }

  #put(news: TaskNews): void {
    if (this.#news.length < mostBuffered) this.#news.push(news);
    else this.#lost = true;
    this.#ready.set();
  }
}
