/**
 * How much of the text in flight one reader has been told. A reader takes what there is when it is ready for more, so one
 * that is slow is told less often and costs no more memory.
 */
import type { Delta } from "../agent/conversation.ts";
import type { LiveText } from "./live-text.ts";

export type TextEvent =
  | { readonly type: "delta"; readonly delta: Delta }
  /** The whole text so far of the turn in flight; replaces what deltas brought. */
  | { readonly type: "partial"; readonly text: string };

const restart: TextEvent = { type: "delta", delta: { type: "restart" } };

export class TextCursor {
  /** The attempt that the reader was told of last. */
  #live: LiveText | undefined;
  #nextPiece = 0;
  /** The offset that the reader's text reaches. */
  #end = 0;
  /** The reader has something of the turn. */
  #hasSome = false;
  /** The reader may have text from an earlier connection, of which nothing is known here: its first text is all of it. */
  #isNew = true;

  /** @param live the text that is in flight when the reader comes: its reasoning is not told again */
  constructor(live: LiveText | undefined) {
    this.#live = live;
    this.#nextPiece = live?.nextPiece ?? 0;
  }

  /**
   * What the reader is to be told.
   * @returns false when text between what it has and what is known here is missing
   */
  *read(live: LiveText): Generator<TextEvent, boolean> {
    if (live !== this.#live) yield* this.#begin(live);
    const pieces = live.piecesFrom(this.#nextPiece) ?? [];
    this.#nextPiece = live.nextPiece;
    for (const { type, at, text } of pieces) {
      const isNext = !this.#isNew && at === this.#end;
      if (type === "text" && !isNext) continue;
      if (type === "text") this.#end += text.length;
      this.#hasSome = true;
      yield { type: "delta", delta: { type, text } };
    }
    if (live.end <= this.#end) return true;
    const missed = live.textFrom(this.#end);
    if (missed === undefined) return false;
    const isNew = this.#isNew;
    this.#end = live.end;
    this.#isNew = false;
    this.#hasSome = true;
    yield isNew ? { type: "partial", text: missed } : { type: "delta", delta: { type: "text", text: missed } };
    return true;
  }

  /**
   * The reader is about to get the entry of a turn that came to `text`.
   * @returns what it is to be told before, so that what it was told of this turn adds up to the whole
   */
  endTurn(text: string): TextEvent[] {
    const end = this.#end;
    const isBegun = end > 0 && end < text.length && this.#live?.agreesWith(text, end) === true;
    this.#end = 0;
    this.#hasSome = this.#isNew = false;
    return isBegun ? [{ type: "delta", delta: { type: "text", text: text.slice(end) } }] : [];
  }

  *#begin(live: LiveText): Generator<TextEvent> {
    const hadSome = this.#hasSome;
    this.#live = live;
    this.#nextPiece = this.#end = 0;
    this.#hasSome = false;
    if (hadSome) yield restart;
  }
}
