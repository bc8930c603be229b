/** What this process used of a limit lately, in the buckets of time that the fleet counts in. */
import type { GateAdjustment, GateWindow } from "../../store/queries/gate.ts";

export interface Use {
  readonly requests: number;
  readonly tokens: number;
}

export class RecentUse {
  readonly #window: GateWindow;
  readonly #buckets = new Map<number, { requests: number; tokens: number }>();

  constructor(window: GateWindow) {
    this.#window = window;
  }

  add(bucket: number, { requests, tokens }: Use): void {
    const known = this.#buckets.get(bucket);
    if (known === undefined) {
      this.#forget(bucket);
      this.#buckets.set(bucket, { requests, tokens });
    } else {
      known.requests += requests;
      known.tokens += tokens;
    }
  }

  /** What counts at the time of this bucket. */
  total(bucket: number): Use {
    let [requests, tokens] = [0, 0];
    for (const [at, use] of this.#buckets) {
      if (at <= bucket - this.#window.buckets) continue;
      requests += use.requests;
      tokens += use.tokens;
    }
    return { requests, tokens };
  }

  all(): GateAdjustment[] {
    return [...this.#buckets].map(([bucket, use]) => ({ bucket, ...use }));
  }

  #forget(bucket: number): void {
    for (const at of this.#buckets.keys()) if (at <= bucket - this.#window.buckets) this.#buckets.delete(at);
  }
}
