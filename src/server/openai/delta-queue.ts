/** What a model says while its reader is busy: pieces are joined while they wait, so what waits is never more than one answer. */
import type { Delta } from "../../agent/conversation.ts";
import { createSignal, neverAborts } from "../../platform/abort.ts";

export class DeltaQueue {
  #waiting: Delta[] = [];
  #closed = false;
  readonly #changed = createSignal();

  push(delta: Delta): void {
    // What was not read yet of an attempt that failed is not read any more.
    if (delta.type === "restart") this.#waiting = [];
    const last = this.#waiting.at(-1);
    if (delta.type !== "restart" && last !== undefined && last.type === delta.type) {
      this.#waiting[this.#waiting.length - 1] = { type: delta.type, text: last.text + delta.text };
    } else this.#waiting.push(delta);
    this.#changed.set();
  }

  /** Nothing more comes. */
  close(): void {
    this.#closed = true;
    this.#changed.set();
  }

  /** Until it is closed and empty. */
  async *read(): AsyncGenerator<Delta> {
    const never = neverAborts();
    for (;;) {
      const next = this.#waiting.shift();
      if (next !== undefined) yield next;
      else if (this.#closed) return;
      else await this.#changed.wait(never);
    }
  }
}
