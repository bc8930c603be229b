/**
 * What a model says while its reader is busy: pieces are joined while they wait, so what waits is never more than one answer.
 * So are those that come together, in one turn of the event loop: each piece that is sent costs as much as a long one.
 */
import type { Delta } from "../../agent/conversation.ts";

export class DeltaQueue {
  #waiting: Delta[] = [];
  #closed = false;
  /** Of the reader, if it waits. */
  #wake: (() => void) | null = null;

  push(delta: Delta): void {
    // What was not read yet of an attempt that failed is not read any more.
    if (delta.type === "restart") this.#waiting = [];
    const last = this.#waiting.at(-1);
    if (delta.type !== "restart" && last !== undefined && last.type === delta.type) {
      this.#waiting[this.#waiting.length - 1] = { type: delta.type, text: last.text + delta.text };
    } else this.#waiting.push(delta);
    this.#wakeReader();
  }

  /** Nothing more comes. */
  close(): void {
    this.#closed = true;
    this.#wakeReader();
  }

  /** Until it is closed and empty. */
  async *read(): AsyncGenerator<Delta> {
    for (;;) {
      const next = this.#waiting.shift();
      if (next !== undefined) yield next;
      else if (this.#closed) return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  #wakeReader(): void {
    if (this.#wake === null) return;
    // A tick that is asked for by a microtask comes after all microtasks, and so after all that was read together.
    process.nextTick(this.#wake);
    this.#wake = null;
  }
}
