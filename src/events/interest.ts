/**
 * Which other processes watch which tasks, by what they say. It is said again and again for as long as it holds, so what
 * was not heard is heard later, and who is gone is forgotten.
 */
import type { Clock } from "../platform/clock.ts";
import type { Interest } from "./feeds.ts";

/** Who does not repeat it for so long is taken for gone; it is said every 10 seconds. */
const holdsForMs = 35_000;
/** More tasks than this are not remembered: who watches others hears of them by asking the store. */
const mostTasks = 100_000;

interface Watcher {
  interest: Interest;
  until: number;
}

export class InterestTable {
  readonly #clock: Clock;
  readonly #tasks = new Map<string, Map<string, Watcher>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @returns whether this is news */
  add(watch: { process: string; taskId: string; interest: Interest }): boolean {
    const { process, taskId, interest } = watch;
    const watchers = this.#tasks.get(taskId) ?? new Map<string, Watcher>();
    if (watchers.size === 0 && this.#tasks.size >= mostTasks) return false;
    const before = watchers.get(process);
    const isNew = before === undefined || before.interest !== interest || before.until < this.#clock.monotonic();
    watchers.set(process, { interest, until: this.#clock.monotonic() + holdsForMs });
    this.#tasks.set(taskId, watchers);
    return isNew;
  }

  remove({ process, taskId }: { process: string; taskId: string }): void {
    const watchers = this.#tasks.get(taskId);
    watchers?.delete(process);
    if (watchers?.size === 0) this.#tasks.delete(taskId);
  }

  /** Nobody will want to know more of this task. */
  forget(taskId: string): void {
    this.#tasks.delete(taskId);
  }

  isWatched(taskId: string): boolean {
    return this.#tasks.has(taskId);
  }

  /** The processes that watch a task for its events, or for whatever it is. */
  watchersOf(taskId: string, interest?: "events"): string[] {
    const watchers = this.#tasks.get(taskId) ?? [];
    return [...watchers].flatMap(([process, watcher]) =>
      interest === undefined || watcher.interest === interest ? process : [],
    );
  }

  readsEvents(taskId: string): boolean {
    const watchers = this.#tasks.get(taskId);
    if (watchers === undefined) return false;
    for (const { interest } of watchers.values()) if (interest === "events") return true;
    return false;
  }

  /** Forgets those who have not said for long that they still watch. */
  prune(): void {
    const now = this.#clock.monotonic();
    for (const [taskId, watchers] of this.#tasks) {
      for (const [process, { until }] of watchers) if (until < now) watchers.delete(process);
      if (watchers.size === 0) this.#tasks.delete(taskId);
    }
  }
}
