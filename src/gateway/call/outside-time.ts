/** How long a call waits for others (providers, the gate, a pause), so that what is left of its time is the gateway's own. */
import type { Clock } from "../../platform/clock.ts";

export class OutsideTime {
  readonly #clock: Clock;
  readonly #startedAt: number;
  /** Waits may overlap, as with a second request: time counts once. */
  #waits = 0;
  #since = 0;
  #outsideMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#startedAt = clock.monotonic();
  }

  async during<T>(wait: () => Promise<T>): Promise<T> {
    if (this.#waits++ === 0) this.#since = this.#clock.monotonic();
    try {
      return await wait();
    } finally {
      if (--this.#waits === 0) this.#outsideMs += this.#clock.monotonic() - this.#since;
    }
  }

  /** The gateway's own time so far. */
  get ownMs(): number {
    return this.#clock.monotonic() - this.#startedAt - this.#outsideMs;
  }
}
