/**
 * What is known in this process of one task that somebody here watches: its newest entries, the text in flight, its end.
 * All its readers share it, and each takes from it at its own pace; what a reader is too late for it reads in the store.
 */
import type { Entry } from "../agent/journal.ts";
import type { TaskNews } from "../store/reads.ts";
import type { EndedTask } from "../store/task-row.ts";
import { isLater, LiveText, type Piece } from "./live-text.ts";

/** So many of the newest entries are kept for the readers. */
const mostEntries = 32;

export class TaskFeed {
  readonly tenant: string;
  readonly taskId: string;
  /** Readers of everything. Whoever else is here waits for the end alone. */
  readers = 0;
  /** Something was heard of it since the last round of questions to the store. */
  isFresh = true;
  #entries: Entry[] = [];
  #lastSeq = 0;
  #live: LiveText | undefined;
  #ended: EndedTask | undefined;
  readonly #listeners = new Set<() => void>();

  constructor({ tenant, taskId }: { tenant: string; taskId: string }) {
    this.tenant = tenant;
    this.taskId = taskId;
  }

  /** The newest entry that is known to be durable. */
  get lastSeq(): number {
    return this.#lastSeq;
  }

  get live(): LiveText | undefined {
    return this.#live;
  }

  get ended(): EndedTask | undefined {
    return this.#ended;
  }

  get isWatched(): boolean {
    return this.#listeners.size > 0;
  }

  /** @returns the function that ends it */
  onNews(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The entries after `seq`; undefined if some of them are not kept. */
  entriesAfter(seq: number): readonly Entry[] | undefined {
    const first = this.#entries[0];
    if (seq >= this.#lastSeq) return [];
    return first === undefined || first.seq > seq + 1 ? undefined : this.#entries.slice(seq + 1 - first.seq);
  }

  addEntries(entries: readonly Entry[]): void {
    const news = entries.filter(({ seq }) => seq > this.#lastSeq);
    const [first] = news;
    if (first === undefined) return;
    // Of entries with a gap before them only these are kept: the reader who needs the others reads them.
    const kept = first.seq === this.#lastSeq + 1 ? [...this.#entries, ...news] : news;
    this.#entries = kept.slice(-mostEntries);
    this.#lastSeq = news.at(-1)!.seq;
    this.#tell();
  }

  /** Takes what the store says: the entries that come next, or only the first of them; the text in flight; the end. */
  addNews({ entries, lastSeq, partial, ended }: TaskNews): void {
    this.addEntries(entries);
    if (lastSeq > this.#lastSeq) {
      this.#lastSeq = lastSeq;
      this.#entries = [];
      this.#tell();
    }
    if (partial !== undefined) this.addPiece({ ...partial, type: "text", at: 0 });
    if (ended !== undefined) this.end(ended);
  }

  end(task: EndedTask): void {
    this.#ended = task;
    this.#tell();
  }

  /** The store says that the task goes on: the end that was known when it was asked was not its last. */
  revive(endBefore: EndedTask | undefined): void {
    if (this.#ended === endBefore) this.#ended = undefined;
  }

  /** Takes the text of a turn that is in flight in this process. */
  follow(live: LiveText): void {
    if (this.#live === undefined || isLater(live.turn, this.#live.turn)) this.#live = live;
    if (this.#live === live) this.#tell();
  }

  /** Takes a piece of a turn that is in flight elsewhere; as well the row that holds all of it up to some time. */
  addPiece(piece: Piece): void {
    if (this.#live === undefined || isLater(piece.turn, this.#live.turn)) {
      this.#live = new LiveText(piece.turn, piece.at);
    } else if (isLater(this.#live.turn, piece.turn)) return;
    this.#live.add(piece);
    this.#tell();
  }

  /** Lets the readers look again, although there may be nothing new. */
  wake(): void {
    this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
