/**
 * The circuit breaker of a model: stops calling what does not answer, and finds out when it answers again.
 *
 *   closed ── so many failures in a row, or too large a share of the last minute's calls ──► open
 *   open ── its time is over, and somebody wants to call ──► half open
 *   half open ── the one call let through succeeds ──► closed; fails ──► open, for twice as long
 *
 * It is about health alone: that a provider refuses a request, or asks to be called less often, says that it is there.
 * The outcome of a call counts only in the state in which it was let through: calls that hung before the breaker opened and
 * time out after it has closed again say nothing new.
 *
 * One for each process: docs/decisions/0014-breakers-are-local.md.
 */
import type { Clock } from "../../platform/clock.ts";
import type { BreakerStatus } from "../model-gateway.ts";

export interface BreakerSettings {
  /** Failures in a row that open it. */
  readonly consecutiveFailures: number;
  /** The share of the calls of `windowMs` that opens it when so many failed, if there were `leastCalls`. */
  readonly failureRate: number;
  readonly leastCalls: number;
  readonly windowMs: number;
  /** How long it stays open at first; each time a probe fails twice as long, up to `longestOpenMs`. */
  readonly openMs: number;
  readonly longestOpenMs: number;
}

export const defaultBreaker: BreakerSettings = {
  consecutiveFailures: 5,
  failureRate: 0.5,
  leastCalls: 20,
  windowMs: 60_000,
  openMs: 15_000,
  longestOpenMs: 300_000,
};

/** `neither`: it says nothing of the model's health, as when the caller gave up. */
export type CallOutcome = { readonly type: "succeeded" | "neither" } | { readonly type: "failed"; readonly why: Why };

export interface Why {
  readonly code: string;
  readonly message: string;
}

export type BreakerState = BreakerStatus["state"];

export interface BreakerDeps {
  readonly clock: Clock;
  readonly settings: BreakerSettings;
  readonly onChange: (state: BreakerState) => void;
}

type State =
  | { readonly name: "closed" }
  | { readonly name: "open"; readonly until: number; readonly openings: number }
  | { readonly name: "half_open"; readonly openings: number };

const windowParts = 6;

export class Breaker {
  readonly #deps: BreakerDeps;
  readonly #recent: RecentCalls;
  #state: State = { name: "closed" };
  #consecutive = 0;
  #probing = false;
  #lastFailure: BreakerStatus["lastFailure"] = null;

  constructor(deps: BreakerDeps) {
    this.#deps = deps;
    this.#recent = new RecentCalls(deps.clock, deps.settings.windowMs);
  }

  /** Whether a call would be let through now. */
  get admits(): boolean {
    if (this.#state.name === "open") return this.#deps.clock.monotonic() >= this.#state.until;
    return !this.#probing;
  }

  /** How long it is sure not to let anything through; 0 where that depends on a call under way. */
  get openForMs(): number {
    return this.#state.name === "open" ? Math.max(0, this.#state.until - this.#deps.clock.monotonic()) : 0;
  }

  /** @returns what to tell the outcome to, exactly once; null: the call must not be made */
  admit(): ((outcome: CallOutcome) => void) | null {
    if (!this.admits) return null;
    if (this.#state.name === "open") this.#become({ name: "half_open", openings: this.#state.openings });
    const admitted = this.#state;
    this.#probing = admitted.name === "half_open";
    return (outcome) => {
      if (this.#state === admitted) this.#end(outcome);
    };
  }

  status(): BreakerStatus {
    const { openForMs } = this;
    // Whoever calls next is let through as the probe.
    const due = this.#state.name === "open" && openForMs === 0;
    return {
      state: due ? "half_open" : this.#state.name,
      openUntil: openForMs > 0 ? Math.ceil(this.#deps.clock.now() + openForMs) : null,
      consecutiveFailures: this.#consecutive,
      ...this.#recent.count(),
      lastFailure: this.#lastFailure,
    };
  }

  #end(outcome: CallOutcome): void {
    this.#probing = false;
    if (outcome.type === "neither") return;
    this.#recent.add(outcome.type === "failed");
    if (outcome.type === "failed") this.#fail(outcome.why);
    else this.#succeed();
  }

  #succeed(): void {
    this.#consecutive = 0;
    if (this.#state.name !== "half_open") return;
    this.#recent.clear();
    this.#become({ name: "closed" });
  }

  #fail({ code, message }: Why): void {
    this.#consecutive += 1;
    this.#lastFailure = { at: this.#deps.clock.now(), code, message };
    if (this.#state.name === "half_open") this.#open(this.#state.openings + 1);
    else if (this.#isTooMuch()) this.#open(1);
  }

  #isTooMuch(): boolean {
    const { consecutiveFailures, failureRate, leastCalls } = this.#deps.settings;
    const { calls, failures } = this.#recent.count();
    return this.#consecutive >= consecutiveFailures || (calls >= leastCalls && failures >= calls * failureRate);
  }

  #open(openings: number): void {
    const { openMs, longestOpenMs } = this.#deps.settings;
    const ms = Math.min(longestOpenMs, openMs * 2 ** (openings - 1));
    this.#become({ name: "open", until: this.#deps.clock.monotonic() + ms, openings });
  }

  #become(state: State): void {
    this.#state = state;
    this.#deps.onChange(state.name);
  }
}

/** How many calls there were lately, and how many of them failed; counted in parts of the window. */
class RecentCalls {
  readonly #clock: Clock;
  readonly #windowMs: number;
  #parts: { readonly since: number; calls: number; failures: number }[] = [];

  constructor(clock: Clock, windowMs: number) {
    this.#clock = clock;
    this.#windowMs = windowMs;
  }

  add(failed: boolean): void {
    this.#forget();
    const now = this.#clock.monotonic();
    let last = this.#parts.at(-1);
    if (last === undefined || now - last.since >= this.#windowMs / windowParts) {
      last = { since: now, calls: 0, failures: 0 };
      this.#parts.push(last);
    }
    last.calls += 1;
    if (failed) last.failures += 1;
  }

  count(): { calls: number; failures: number } {
    this.#forget();
    const sum = { calls: 0, failures: 0 };
    for (const { calls, failures } of this.#parts) {
      sum.calls += calls;
      sum.failures += failures;
    }
    return sum;
  }

  clear(): void {
    this.#parts = [];
  }

  #forget(): void {
    const oldest = this.#clock.monotonic() - this.#windowMs;
    while (this.#parts[0] !== undefined && this.#parts[0].since <= oldest) this.#parts.shift();
  }
}
