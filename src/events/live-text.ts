/**
 * The text of one attempt at a model turn, while it is in flight, as far as a process knows it. In the process that makes
 * the attempt that is all of it; in another one pieces come by messages, which may be lost, and by the row of the table
 * `partial`, which is behind.
 *
 * Everything that is heard of a text says which attempt at which turn it belongs to and at what offset it stands, so what
 * is late, doubled or missing is seen, and is never shown.
 */

/** An attempt at a turn. Of two attempts at a task, that of the higher epoch is the later; within one, the higher number. */
export interface Turn {
  /** The last entry of the journal that the turn goes on from: the text is void when a later entry ended the turn. */
  readonly afterSeq: number;
  readonly epoch: number;
  readonly attempt: number;
}

export interface Piece {
  readonly turn: Turn;
  readonly type: "text" | "reasoning";
  /** How many characters of text come before it. Of reasoning, which is only passed on, this is not told: 0. */
  readonly at: number;
  readonly text: string;
}

export function isLater(one: Turn, other: Turn): boolean {
  return one.epoch > other.epoch || (one.epoch === other.epoch && one.attempt > other.attempt);
}

/** So many pieces are kept as they came, for readers who keep up; others are given what they missed as one. */
const mostPieces = 256;

export class LiveText {
  #turn: Turn;
  /** What comes before this offset is not known. */
  #from: number;
  #text = "";
  #pieces: Piece[] = [];
  /** How many pieces came before those that are kept. */
  #dropped = 0;

  constructor(turn: Turn, from = 0) {
    this.#turn = turn;
    this.#from = from;
  }

  get turn(): Turn {
    return this.#turn;
  }

  /** The offset after the last character. */
  get end(): number {
    return this.#from + this.#text.length;
  }

  /** The number of the piece that will come next. */
  get nextPiece(): number {
    return this.#dropped + this.#pieces.length;
  }

  /** The text from an offset on; undefined if it is not known from there. */
  textFrom(offset: number): string | undefined {
    return offset < this.#from ? undefined : this.#text.slice(offset - this.#from);
  }

  /** Whether `whole` begins with this text up to `length`, as far as it is known. */
  agreesWith(whole: string, length: number): boolean {
    const known = this.#text.slice(0, Math.max(0, length - this.#from));
    return whole.startsWith(known, this.#from);
  }

  /** The pieces from this number on; undefined if some of them are not kept any more. */
  piecesFrom(number: number): readonly Piece[] | undefined {
    return number < this.#dropped ? undefined : this.#pieces.slice(number - this.#dropped);
  }

  /** The journal has grown to `seq`, and the turn is still in flight. */
  continueAfter(seq: number): void {
    this.#turn = { ...this.#turn, afterSeq: Math.max(seq, this.#turn.afterSeq) };
  }

  /** Takes a piece of this attempt: what is new in it. */
  add({ turn, type, at, text }: Piece): void {
    this.continueAfter(turn.afterSeq);
    if (type === "reasoning") return this.#keep({ turn, type, at, text });
    const pieceEnd = at + text.length;
    if (at < this.#from) {
      if (pieceEnd < this.#from) return;
      this.#text = text.slice(0, this.#from - at) + this.#text;
      this.#from = at;
    } else if (at > this.end) {
      this.#from = at;
      this.#text = "";
    }
    if (pieceEnd <= this.end) return;
    const news = { turn, type, at: this.end, text: text.slice(this.end - at) };
    this.#text += news.text;
    this.#keep(news);
  }

  #keep(piece: Piece): void {
    this.#pieces.push(piece);
    // Half of them at a time, so that most additions move nothing.
    if (this.#pieces.length <= mostPieces) return;
    this.#dropped += mostPieces / 2;
    this.#pieces = this.#pieces.slice(mostPieces / 2);
  }
}
