/**
 * The calls that wait for one model, and its keys. Tenants take turns; a call begins with whichever key is free, the one with
 * the fewest calls under way first. At most one ask for calls is on its way, with as many as wait by then.
 *
 * Driven by events: a call that comes, leaves, gives up or runs out of time, an answer of the store, a time that has come.
 * Each ends in `#advance`.
 */
import type { Background } from "../../platform/background.ts";
import { UnavailableError } from "../../platform/errors.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import type { GateCall, GateStatus, Pass } from "./gate.ts";
import type { Grant } from "./gate-news.ts";
import { KeyGate, type KeyGateDeps, type Offer } from "./key-gate.ts";
import { TenantQueue } from "./tenant-queue.ts";
import type { GateCaps } from "../../store/queries/gate.ts";

export interface ModelGateDeps extends KeyGateDeps {
  readonly background: Background;
  readonly metrics: Pick<Metrics, "gatePassed" | "gateRefused">;
  /** Calls that may wait for one model in this process. */
  readonly mostWaiting: number;
}

interface Waiting {
  readonly tenant: string;
  readonly tokens: number;
  begin(key: KeyGate, grant: Grant): void;
  refuse(reason: Refusal): void;
}

/** `known`: it would take too long; `late`: it did; `full`: too many wait. */
type Refusal = "known" | "late" | "full";

const mostPerAsk = 256;
/** Also a call that may not wait is asked for: a round trip to the store is no waiting. */
const leastWaitMs = 250;
/** What a refused call is told to wait. */
const comeBackMs = { least: 1_000, most: 60_000 };

export class ModelGate {
  readonly #deps: ModelGateDeps;
  readonly #model: string;
  readonly #keys: readonly KeyGate[];
  readonly #queue: TenantQueue<Waiting>;
  #cancelTimer: () => void = () => {};
  #isAdvancing = false;
  #isGathering = false;
  #isStopped = false;

  constructor(deps: ModelGateDeps, gate: { model: string; keys: readonly string[]; caps: GateCaps }) {
    this.#deps = deps;
    this.#model = gate.model;
    this.#queue = new TenantQueue(deps.mostWaiting);
    const onChange = (): void => this.#advance();
    this.#keys = gate.keys.map(
      (key, index) => new KeyGate(deps, { name: `${gate.model}#${key}`, index, caps: gate.caps, onChange }),
    );
  }

  get isIdle(): boolean {
    return this.#queue.size === 0 && this.#keys.every((key) => key.isIdle);
  }

  enter(call: GateCall): Promise<Pass> {
    if (this.#foreseen(call.tenant).leastMs > call.longestWaitMs)
      return Promise.reject(this.#full("known", call.tenant));
    return new Promise((resolve, reject) => {
      const { clock, metrics } = this.#deps;
      const cameAt = clock.monotonic();
      let cancelTimer = (): void => {};
      const settled = (): void => {
        cancelTimer();
        call.signal.removeEventListener("abort", onAbort);
        isWaiting = false;
      };
      let isWaiting = true;
      const waiting: Waiting = {
        tenant: call.tenant,
        tokens: Math.max(1, Math.ceil(call.tokens)),
        begin: (key, grant) => {
          settled();
          metrics.gatePassed({ model: this.#model, waitedMs: clock.monotonic() - cameAt });
          resolve(this.#pass(key, grant));
        },
        refuse: (reason) => {
          settled();
          reject(this.#full(reason, call.tenant));
        },
      };
      const giveUp = (): boolean => {
        const waited = this.#queue.remove(waiting);
        this.#advance();
        return waited;
      };
      const onAbort = (): void => {
        settled();
        giveUp();
        reject(call.signal.reason);
      };
      const out = this.#queue.push(waiting);
      out?.refuse("full");
      if (out === waiting) return;
      this.#advance();
      if (!isWaiting) return;
      cancelTimer = clock.timer(Math.max(call.longestWaitMs, leastWaitMs), () => giveUp() && waiting.refuse("late"));
      call.signal.addEventListener("abort", onAbort, { once: true });
    });
  }

  status(): GateStatus[] {
    const now = this.#deps.clock.monotonic();
    return this.#keys.map((key) => {
      const { requests, tokens, concurrent } = key.limits();
      return {
        model: this.#model,
        key: key.index,
        waiting: this.#queue.size,
        inFlight: key.inFlight,
        maxConcurrent: concurrent,
        requestsPerMinute: requests,
        tokensPerMinute: tokens,
        blockedForMs: key.blockedForMs(now),
      };
    });
  }

  /** Nothing is asked of the store any more. */
  stop(): void {
    this.#isStopped = true;
    this.#cancelTimer();
  }

  #advance(): void {
    // What it does tells of changes, too; it sees them itself.
    if (this.#isAdvancing || this.#isStopped) return;
    this.#isAdvancing = true;
    try {
      const now = this.#deps.clock.monotonic();
      for (const key of this.#keys) if (this.#queue.size > 0 && key.mustLook(now)) this.#look(key);
      this.#serve(now);
      for (const key of this.#keys) {
        if (this.#queue.size === 0) key.stopWaiting();
        if (key.reportAt <= now && !this.#isGathering) this.#ask(key, []);
      }
      this.#setTimer(now);
    } finally {
      this.#isAdvancing = false;
    }
  }

  #serve(now: number): void {
    for (let first = this.#queue.first(); first !== undefined; first = this.#queue.first()) {
      const key = this.#freeKey(now);
      if (key === undefined) return;
      if (!key.isLocal) return this.#gather();
      const grant = key.grantLocally(first.tokens);
      if (grant !== null) this.#begin(key, first, grant);
    }
  }

  /** What comes in the same turn of the event loop goes into the same ask. */
  #gather(): void {
    if (this.#isGathering) return;
    this.#isGathering = true;
    queueMicrotask(() =>
      process.nextTick(() => {
        this.#isGathering = false;
        const key = this.#freeKey(this.#deps.clock.monotonic());
        if (key?.isLocal === false && this.#queue.size > 0 && !this.#isStopped)
          this.#ask(key, this.#queue.upcoming(mostPerAsk));
        this.#advance();
      }),
    );
  }

  #freeKey(now: number): KeyGate | undefined {
    const isAsking = this.#keys.some((key) => key.isAsking && !key.isLocal);
    let best: KeyGate | undefined;
    for (const key of this.#keys) {
      if (key.freeAt > now || (!key.isLocal && isAsking)) continue;
      if (best === undefined || key.inFlight < best.inFlight) best = key;
    }
    return best;
  }

  #ask(key: KeyGate, calls: readonly Waiting[]): void {
    const wanted = calls.map(({ tokens }) => tokens);
    // It is on its way when this returns, so that nobody asks twice.
    const asking = key.ask(wanted, (offer) => this.#hand(key, offer));
    this.#deps.background.start("gate", async () => {
      await asking;
      this.#advance();
    });
  }

  #look(key: KeyGate): void {
    const looking = key.look();
    this.#deps.background.start("gate", () => looking);
  }

  /** To those whose turn it is by now: others may have come, and some of those it was asked for may have gone. */
  #hand(key: KeyGate, { calls, tokens, mostTokens, reachTokens, grant }: Offer): void {
    let [left, leftTokens] = [calls, tokens];
    for (const call of this.#queue.upcoming(mostPerAsk)) {
      const needed = Math.min(call.tokens, mostTokens);
      if (needed > reachTokens) continue;
      if (left === 0 || needed > leftTokens) break;
      left--;
      leftTokens -= needed;
      this.#begin(key, call, { ...grant, tokens: needed });
    }
    key.giveBack(grant.bucket, { requests: left, tokens: leftTokens });
  }

  #begin(key: KeyGate, call: Waiting, grant: Grant): void {
    this.#queue.take(call);
    key.begin(grant);
    call.begin(key, grant);
  }

  #pass(key: KeyGate, grant: Grant): Pass {
    let isOver = false;
    return {
      key: key.index,
      leave: (end) => {
        if (isOver) return;
        isOver = true;
        key.leave(grant, end);
      },
    };
  }

  #setTimer(now: number): void {
    this.#cancelTimer();
    let at = Infinity;
    const isAsking = this.#keys.some((key) => key.isAsking && !key.isLocal);
    for (const key of this.#keys) {
      at = Math.min(at, key.reportAt);
      if (this.#queue.size > 0 && (key.isLocal || !isAsking)) at = Math.min(at, key.freeAt);
    }
    this.#cancelTimer =
      at === Infinity ? () => {} : this.#deps.clock.timer(Math.ceil(Math.max(0, at - now)), () => this.#advance());
  }

  /**
   * How long a call of the tenant would wait, as far as is known: at the least, if a whole window were free and nobody else
   * there; and as it looks.
   */
  #foreseen(tenant: string): { leastMs: number; likelyMs: number } {
    const now = this.#deps.clock.monotonic();
    const blockedMs = Math.min(...this.#keys.map((key) => key.blockedForMs(now)));
    let [most, likely] = [0, 0];
    for (const key of this.#keys) {
      const calls = key.prospect();
      most += calls.most;
      likely += calls.likely;
    }
    const ahead = this.#queue.ahead(tenant);
    const { windowMs } = this.#deps.window;
    return {
      leastMs: blockedMs + (Math.max(0, ahead - most) / most) * windowMs,
      likelyMs: blockedMs + (ahead / likely) * windowMs,
    };
  }

  #full(reason: Refusal, tenant: string): UnavailableError {
    this.#deps.metrics.gateRefused({ model: this.#model, reason });
    const { likelyMs } = this.#foreseen(tenant);
    const afterMs = Math.round(Math.min(Math.max(likelyMs, comeBackMs.least), comeBackMs.most));
    const what = {
      known: "a call would not begin in time",
      late: "a call has waited as long as it may",
      full: `${this.#queue.size} calls wait already`,
    }[reason];
    return new UnavailableError(
      "model_gate_full",
      `The limit of ${this.#model} is used up: ${what}. Try again in ${Math.ceil(afterMs / 1_000)} s; a higher limit of the ` +
        "provider helps, or one more key.",
      { afterMs },
    );
  }
}
