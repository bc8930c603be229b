/**
 * How much waits, as this process knows it. The queue is counted at most once a second and only while tasks are submitted;
 * in between, what this process accepts is added. What the others accept within that second is not known here.
 */
import type { Clock } from "../platform/clock.ts";
import type { NewId } from "../platform/ids.ts";
import type { Random } from "../platform/random.ts";
import type { Store } from "../store/store.ts";
import { censusOf, drainRate, flowBetween, slide, waitFor, type Census, type Flow, type Scope } from "./drain.ts";

export interface QueueCountDeps {
  readonly store: Pick<Store, "queue">;
  readonly clock: Clock;
  readonly random: Random;
  readonly newId: NewId;
}

const countEveryMs = 1_000;
/** Of an older count nothing is concluded about the speed of the queue. */
const oldestCountMs = 10_000;

export class QueueCount {
  readonly #deps: QueueCountDeps;
  /** No need to count further. */
  readonly #most: number;
  #census: Census = new Map();
  #flows: readonly Flow[] = [];
  /** Let in since the count. */
  #admitted = new Map<Scope, number>();
  #countedAt = Number.NEGATIVE_INFINITY;
  /** Tasks with a later id were submitted after the count. */
  #since: string;
  #counting: Promise<void> | undefined;

  constructor(deps: QueueCountDeps, most: number) {
    this.#deps = deps;
    this.#most = most;
    this.#since = deps.newId();
  }

  /** Counts again if the last count is too old. */
  async refresh(): Promise<void> {
    if (this.#deps.clock.monotonic() - this.#countedAt < countEveryMs) return;
    this.#counting ??= this.#count().finally(() => (this.#counting = undefined));
    await this.#counting;
  }

  waiting(scope: Scope): number {
    return (this.#census.get(scope)?.waiting ?? 0) + (this.#admitted.get(scope) ?? 0);
  }

  /** When there may be room again, as things go. */
  retryAfterMs(scope: Scope): number {
    return waitFor(this.waiting(scope), drainRate(this.#flows, scope), this.#deps.random());
  }

  /** Adds a task. @returns what takes it out again, if it does not wait after all */
  add(scopes: readonly Scope[]): () => void {
    const book = this.#admitted;
    const count = (tasks: number): void => {
      for (const scope of scopes) book.set(scope, (book.get(scope) ?? 0) + tasks);
    };
    count(1);
    // After the next count this is the book of the past, which nobody reads.
    return () => count(-1);
  }

  async #count(): Promise<void> {
    const { clock, newId, store } = this.#deps;
    const at = clock.monotonic();
    const next = newId();
    const elapsedMs = at - this.#countedAt;
    const isFresh = elapsedMs <= oldestCountMs;
    const census = censusOf(await store.queue({ since: isFresh ? this.#since : next, most: this.#most }));
    this.#flows = isFresh ? slide(this.#flows, flowBetween(this.#census, census, elapsedMs)) : [];
    this.#census = census;
    this.#countedAt = at;
    this.#since = next;
    this.#admitted = new Map();
  }
}
