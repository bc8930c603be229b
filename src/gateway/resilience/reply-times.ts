/**
 * Whether a model's replies are quick enough to be asked for whole.
 *
 * A reply that comes whole gives no sign of life before it is there. So that no time limit is lost, it must be there when a
 * stream would have to begin, which only those replies can that are sure to be over long before.
 */
import type { ModelTimeouts } from "../../agent/route.ts";

/** The last of them tell: one slow reply among so many, and the next ones are streamed again. */
const replies = 100;
const shareOfLimit = 0.25;

export class ReplyTimes {
  /** The longest of the last full round of replies, and of the round under way. */
  #longestBefore = Number.POSITIVE_INFINITY;
  #longest = 0;
  #count = 0;

  /** A reply was over after `ms`, or given up. */
  took(ms: number): void {
    this.#longest = Math.max(this.#longest, ms);
    this.#count += 1;
    if (this.#count < replies) return;
    this.#longestBefore = this.#longest;
    this.#longest = 0;
    this.#count = 0;
  }

  areQuick({ connectMs, firstTokenMs, totalMs }: Omit<ModelTimeouts, "silenceMs">): boolean {
    const limitMs = shareOfLimit * Math.min(connectMs, firstTokenMs, totalMs);
    return Math.max(this.#longestBefore, this.#longest) <= limitMs;
  }
}
