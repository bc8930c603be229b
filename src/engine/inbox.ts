/**
 * What the run of a task knows of messages to it. The truth is in the store: that there are some, every write of the task
 * says; that one interrupts, a hint or the next heartbeat says. Word of a message may come late, or again after it was heard.
 */
import { HoldfastError } from "../platform/errors.ts";

/** Why a model turn is cut off. */
export class TurnInterrupted extends HoldfastError {
  constructor() {
    super("interrupted", "A message of the user cut off this model turn.");
    this.name = "TurnInterrupted";
  }
}

export class Inbox {
  /** There may be messages that the task has not heard. */
  hasNews: boolean;
  readonly #heard = new Set<string>();
  readonly #interrupting = new Set<string>();
  #interruption: AbortController | undefined;

  constructor({ hasNews }: { hasNews: boolean }) {
    this.hasNews = hasNews;
  }

  /** Word of a message that interrupts. */
  interrupt(messageId: string): void {
    if (this.#heard.has(messageId)) return;
    this.hasNews = true;
    this.#interrupting.add(messageId);
    this.#interruption?.abort(new TurnInterrupted());
  }

  /** The task has heard these: none of them interrupts any more. */
  hear(messageIds: readonly string[]): void {
    for (const id of messageIds) {
      this.#heard.add(id);
      this.#interrupting.delete(id);
    }
  }

  /** For the model turn about to begin: aborts as soon as a message interrupts it. */
  get interruption(): AbortSignal {
    if (this.#interruption === undefined || this.#interruption.signal.aborted) {
      this.#interruption = new AbortController();
      if (this.#interrupting.size > 0) this.#interruption.abort(new TurnInterrupted());
    }
    return this.#interruption.signal;
  }
}
