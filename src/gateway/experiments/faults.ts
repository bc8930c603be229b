/**
 * Faults for game days: what a deployment does when a model is slow, refuses, breaks off or hangs is tried out on purpose,
 * instead of being found out in an outage.
 *
 * A fault is put into the attempt, where a real one would come from, so that whatever stands around attempts (retries,
 * breakers, hedges, the ledger) meets it as it would meet the real one. It says in its message that it is injected. Every
 * fault has an end: nobody has to remember to take it back. Where the environment has no game day there are none at all.
 */
import type { Clock } from "../../platform/clock.ts";
import type { Random } from "../../platform/random.ts";
import { fitsPattern } from "../model-pattern.ts";
import type { Fault } from "./fault-rules.ts";

export interface FaultsDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly onInjected: (fault: { readonly model: string; readonly kind: Fault["kind"] }) => void;
}

/** A fault with its end. */
export type ActiveFault = Fault & {
  /** Milliseconds since the epoch. */
  readonly until: number;
};

/** What strikes one attempt: it is slow, and then perhaps it ends in one of the other ways. */
export interface Strike {
  readonly latencyMs: number;
  readonly ending: Exclude<Fault, { kind: "latency" }> | null;
}

export class Faults {
  readonly #deps: FaultsDeps;
  /** By where they come from: the configuration, and what was asked for while it runs. */
  readonly #sources = new Map<string, readonly ActiveFault[]>();

  constructor(deps: FaultsDeps) {
    this.#deps = deps;
  }

  /** Takes the place of all faults from the same source. */
  set(source: "config" | "request", faults: readonly ActiveFault[]): void {
    this.#sources.set(source, faults);
  }

  /** Those that have not ended. */
  get active(): readonly ActiveFault[] {
    const now = this.#deps.clock.now();
    return [...this.#sources.values()].flat().filter(({ until }) => until > now);
  }

  /** By lot, what strikes this attempt at the model; null: nothing. Every fault that may is drawn for by itself. */
  draw(model: string): Strike | null {
    const { random, onInjected } = this.#deps;
    let latencyMs = 0;
    let ending: Strike["ending"] = null;
    for (const fault of this.active) {
      if (!fitsPattern(model, fault.model) || (fault.share < 1 && random() >= fault.share)) continue;
      if (fault.kind === "latency") latencyMs += fault.ms + jitter(fault.jitterMs, random);
      // Of several only the first can come to pass.
      else if (ending === null) ending = fault;
      else continue;
      onInjected({ model, kind: fault.kind });
    }
    return latencyMs === 0 && ending === null ? null : { latencyMs, ending };
  }
}

function jitter(most: number, random: Random): number {
  return most === 0 ? 0 : Math.round(random() * most);
}
