/**
 * Tells the processes that watch a task what becomes of it here: that it has more entries, that it ended, pieces of its
 * text. Of a task that nobody else watches nothing is sent.
 *
 * A worker never waits for any of it. Pieces are gathered for some tens of milliseconds and travel together, those of all
 * tasks; what does not fit while the carrier is slow is dropped, and the readers find it in the store.
 */
import type { Clock } from "../platform/clock.ts";
import type { Message } from "./carrier.ts";
import type { Interest } from "./feeds.ts";
import type { Hub, News } from "./hub.ts";
import type { InterestTable } from "./interest.ts";
import type { Piece } from "./live-text.ts";
import { packTold, type Told } from "./watch-messages.ts";

/** How long pieces of text gather. */
const gatherMs = 30;
/** So much text does not wait any longer; and so much may wait for a carrier that is slow. */
const fullChars = 16_384;
const mostChars = 524_288;
/** How long what happened is remembered, for a watcher who said so only after it happened. */
const rememberMs = 5_000;
const mostRemembered = 10_000;
/** A longer text than this the watcher finds in the store. */
const mostRepeatedChars = 4_000;

export interface NewsTellerDeps {
  readonly hub: Hub;
  readonly clock: Clock;
  readonly interest: InterestTable;
  /** There is something to send. */
  readonly wake: () => void;
  readonly onDropped: () => void;
}

interface Remembered {
  readonly seq: number;
  readonly isChanged: boolean;
  readonly at: number;
}

export class NewsTeller {
  readonly #deps: NewsTellerDeps;
  /** What waits to be sent, by task. */
  #pieces = new Map<string, Piece[]>();
  #chars = 0;
  #seqs = new Map<string, number>();
  /** True: it has ended, and its watchers will want to know no more. */
  #changed = new Map<string, boolean>();
  /** In the order in which it happened. */
  readonly #recent = new Map<string, Remembered>();
  #cancelTimer: (() => void) | undefined;
  readonly #stopListening: () => void;

  constructor(deps: NewsTellerDeps) {
    this.#deps = deps;
    this.#stopListening = deps.hub.onNews((news) => this.#take(news));
  }

  stop(): void {
    this.#stopListening();
    this.#cancelTimer?.();
  }

  /** Another process begins to watch a task: what it may just have missed is told. */
  watched(taskId: string, interest: Interest): void {
    const recent = this.#recent.get(taskId);
    const live = interest === "events" ? this.#deps.hub.live(taskId) : undefined;
    const text = live?.textFrom(0) ?? "";
    if (live !== undefined && text.length <= mostRepeatedChars) {
      this.#addPiece(taskId, { turn: live.turn, type: "text", at: 0, text });
    }
    if (recent === undefined || recent.at < this.#deps.clock.monotonic() - rememberMs) return;
    if (recent.isChanged) this.#changed.set(taskId, false);
    else if (interest === "events") this.#seqs.set(taskId, recent.seq);
    this.#deps.wake();
  }

  /** Takes what waits, to be sent now. */
  takeMessages(): Message[] {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    const byProcess = new Map<string, Told[]>();
    const tell = (taskId: string, told: readonly Told[], interest?: "events"): void => {
      for (const process of this.#deps.interest.watchersOf(taskId, interest)) {
        const all = byProcess.get(process) ?? [];
        byProcess.set(process, all);
        all.push(...told);
      }
    };
    // Pieces before the entries that they came to.
    for (const [taskId, pieces] of this.#pieces) {
      const told = pieces.map((piece): Told => ({ type: "piece", taskId, piece }));
      tell(taskId, told, "events");
    }
    for (const [taskId, seq] of this.#seqs) {
      if (!this.#changed.has(taskId)) tell(taskId, [{ type: "entries", taskId, seq }], "events");
    }
    for (const [taskId, hasEnded] of this.#changed) {
      tell(taskId, [{ type: "changed", taskId }]);
      if (hasEnded) this.#deps.interest.forget(taskId);
    }
    this.#pieces = new Map();
    this.#chars = 0;
    this.#seqs = new Map();
    this.#changed = new Map();
    return [...byProcess].flatMap(([to, told]) => packTold(told).map((payload) => ({ to, payload })));
  }

  #take(news: News): void {
    const { interest, wake } = this.#deps;
    const { taskId } = news;
    if (news.type === "piece") {
      if (interest.isWatched(taskId) && interest.readsEvents(taskId)) this.#addPiece(taskId, news.piece);
      return;
    }
    const isChanged = news.type !== "entries";
    const seq = news.type === "entries" ? (news.entries.at(-1)?.seq ?? 0) : (this.#recent.get(taskId)?.seq ?? 0);
    this.#remember(taskId, { seq, isChanged, at: this.#deps.clock.monotonic() });
    if (!interest.isWatched(taskId)) return;
    if (isChanged) this.#changed.set(taskId, news.type === "ended" || this.#changed.get(taskId) === true);
    else if (interest.readsEvents(taskId)) this.#seqs.set(taskId, seq);
    else return;
    wake();
  }

  #addPiece(taskId: string, piece: Piece): void {
    if (this.#chars + piece.text.length > mostChars) return this.#deps.onDropped();
    const pieces = this.#pieces.get(taskId) ?? [];
    this.#pieces.set(taskId, pieces);
    const last = pieces.at(-1);
    if (last !== undefined && goesOn(last, piece))
      pieces[pieces.length - 1] = { ...last, text: last.text + piece.text };
    else pieces.push(piece);
    this.#chars += piece.text.length;
    if (this.#chars >= fullChars) this.#deps.wake();
    else this.#cancelTimer ??= this.#deps.clock.timer(gatherMs, () => this.#deps.wake());
  }

  #remember(taskId: string, happened: Remembered): void {
    this.#recent.delete(taskId);
    this.#recent.set(taskId, happened);
    for (const [oldest, { at }] of this.#recent) {
      if (this.#recent.size <= mostRemembered && at >= happened.at - rememberMs) break;
      this.#recent.delete(oldest);
    }
  }
}

function goesOn(one: Piece, next: Piece): boolean {
  if (one.type !== next.type || one.turn.attempt !== next.turn.attempt || one.turn.epoch !== next.turn.epoch)
    return false;
  return one.type === "reasoning" || one.at + one.text.length === next.at;
}
