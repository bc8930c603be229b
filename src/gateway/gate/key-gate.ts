/**
 * The gate of one model with one key of its provider.
 *
 *   open    no limit is known: calls go through, and only this process remembers them
 *   shared  a limit is known (configured, said in a header, or felt in a refusal): all processes count in the store
 *   alone   shared, but the store does not answer: after three seconds this process goes on at the pace it had (own-pace.ts)
 *
 * It becomes shared once and stays so. It is told what to do by the model's gate, and tells it when something has changed.
 */
import type { Clock } from "../../platform/clock.ts";
import { messageOf } from "../../platform/errors.ts";
import type { Random } from "../../platform/random.ts";
import type { GateAnswer, GateAsk, GateCaps, GateLook, GateNews, GateWindow } from "../../store/queries/gate.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { CallEnd } from "./gate.ts";
import { mergeNews, newsOf, type Grant } from "./gate-news.ts";
import { keepsPace, type OwnPace } from "./own-pace.ts";
import { RecentUse, type Use } from "./recent-use.ts";

/** What processes share; `createGates` of the store. */
export interface GateStore {
  askGate(ask: GateAsk): Promise<GateAnswer>;
  lookAtGate(gate: string): Promise<GateLook>;
}

export interface KeyGateDeps {
  readonly store: GateStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** A UUID of this process. */
  readonly process: string;
  readonly window: GateWindow;
  /** Answers that take longer than this are counted as of when they came. */
  readonly lateMs: number;
}

/** Calls that may begin, of those that were asked for. */
export interface Offer {
  readonly calls: number;
  readonly tokens: number;
  /** A call that wants more counts as so many. */
  readonly mostTokens: number;
  /** Calls of more than that were passed by. */
  readonly reachTokens: number;
  readonly grant: Omit<Grant, "tokens">;
}

/** Asks follow each other no faster, so that what many calls want travels together. */
const spacingMs = 20;
/** How long what calls did not use may wait for company on its way back. */
const gatherMs = 100;
/** After so long without an answer the store is taken for silent: long for a store, short for a model call. */
const patienceMs = 3_000;
/**
 * A silent store is asked again after such pauses, and waited for so long: within two seconds of its return all processes have
 * told what they did without it, and so long the store lets them (src/store/queries/gate-sql.ts).
 */
const retry = { pauseMs: 1_000, patienceMs: 1_000 };
/** Processes with calls under way tell that they live: three times in the time they are given. */
const heartbeatMs = 5_000;

export class KeyGate {
  readonly index: number;
  inFlight = 0;
  readonly #deps: KeyGateDeps;
  readonly #name: string;
  readonly #caps: GateCaps;
  readonly #onChange: () => void;
  readonly #own: RecentUse;
  #shared: boolean;
  #alone: { readonly pace: OwnPace; readonly from: number; retryAt: number } | null = null;
  /** Of asks for calls; null: none is on its way. */
  #asked: { readonly calls: number } | null = null;
  #looking = false;
  #lookedAt: number | null = null;
  #report = new Map<number, { requests: number; tokens: number }>();
  #news: GateNews | null = null;
  #reportAt = Infinity;
  #sentAt = -Infinity;
  #freeAt = -Infinity;
  #blockedUntil = -Infinity;
  #answer: GateAnswer | null = null;
  #said = { requests: null as number | null, tokens: null as number | null };
  /** From our monotonic clock to the database's. */
  #offsetMs: number | null = null;

  constructor(deps: KeyGateDeps, gate: { name: string; index: number; caps: GateCaps; onChange: () => void }) {
    this.#deps = deps;
    this.index = gate.index;
    this.#name = gate.name;
    this.#caps = gate.caps;
    this.#onChange = gate.onChange;
    this.#own = new RecentUse(deps.window);
    this.#shared = Object.values(gate.caps).some((cap) => cap !== null);
  }

  /** Calls begin without the store being asked. */
  get isLocal(): boolean {
    return !this.#shared || this.#alone !== null;
  }

  /** Calls were asked for, and the answer is worth waiting for. */
  get isAsking(): boolean {
    return this.#asked !== null;
  }

  get isIdle(): boolean {
    return this.inFlight === 0 && this.#asked === null && !this.#looking && this.#reportAt === Infinity;
  }

  /** When a call may be asked for or begin, by the monotonic clock. */
  get freeAt(): number {
    if (!this.#shared) return this.#lookedAt === null ? Infinity : -Infinity;
    return this.#alone === null ? Math.max(this.#freeAt, this.#sentAt + spacingMs) : this.#freeAt;
  }

  /** When the store is to be told something, or asked whether it is back. */
  get reportAt(): number {
    if (!this.#shared || this.#asked !== null) return Infinity;
    if (this.#alone !== null) return this.#alone.retryAt;
    const lives = this.#caps.concurrent !== null && this.inFlight > 0 ? this.#sentAt + heartbeatMs : Infinity;
    return Math.max(Math.min(this.#reportAt, lives), this.#sentAt + spacingMs);
  }

  blockedForMs(now: number): number {
    return Math.max(0, this.#blockedUntil - now);
  }

  /** How many calls may begin in a window: at the most, and as it looks, by what calls used of late and who else wants them. */
  prospect(): { most: number; likely: number } {
    const { requests, tokens } = this.limits();
    const used = this.#own.total(this.#bucket());
    const tokensPerCall = used.requests > 0 ? used.tokens / used.requests : 0;
    const byTokens = tokensPerCall > 0 ? (tokens ?? Infinity) / tokensPerCall : Infinity;
    const most = requests ?? Infinity;
    return { most, likely: Math.max(1, Math.min(most, byTokens) / Math.max(1, this.#answer?.waiting ?? 1)) };
  }

  limits(): { requests: number | null; tokens: number | null; concurrent: number | null } {
    const { requests, tokens, concurrent } = this.#caps;
    return {
      requests: this.#answer?.limitRequests ?? requests,
      tokens: this.#answer?.limitTokens ?? tokens,
      concurrent,
    };
  }

  /** Whether it is time to look if others have learned of a limit; each look is good for a window. */
  mustLook(now: number): boolean {
    const looked = this.#lookedAt ?? -Infinity;
    return !this.#shared && !this.#looking && now - looked > this.#deps.window.windowMs;
  }

  async look(): Promise<void> {
    const { clock, store, log } = this.#deps;
    this.#looking = true;
    const sentAt = clock.monotonic();
    const goOn = (): void => {
      this.#lookedAt = clock.monotonic();
      this.#onChange();
    };
    const stopPatience = this.#lookedAt === null ? clock.timer(patienceMs, goOn) : () => {};
    try {
      const { known, now } = await store.lookAtGate(this.#name);
      this.#offsetMs = now - sentAt;
      if (known) this.#share();
    } catch (error) {
      log.debug({ gate: this.#name, error: messageOf(error) }, "cannot look for limits that others have learned");
    } finally {
      stopPatience();
      this.#looking = false;
      goOn();
    }
  }

  /** Without the store: null where that would be faster than the pace this process had. */
  grantLocally(tokens: number): Grant | null {
    const now = this.#deps.clock.monotonic();
    const bucket = this.#bucket();
    if (this.#alone !== null) {
      const use = { ...this.#own.total(bucket), inFlight: this.inFlight };
      if (now < Math.max(this.#blockedUntil, this.#alone.from) || !keepsPace(this.#alone.pace, use, tokens)) {
        this.#freeAt = now + this.#deps.window.bucketMs / 2;
        return null;
      }
      this.#tell(bucket, { requests: 1, tokens });
    }
    return { bucket, tokens, at: this.#databaseTime(), used: null };
  }

  begin(grant: Grant): void {
    this.inFlight++;
    this.#own.add(grant.bucket, { requests: 1, tokens: grant.tokens });
  }

  leave(grant: Grant, end: CallEnd): void {
    this.inFlight--;
    const now = this.#deps.clock.monotonic();
    const unused = end.usedTokens === null ? 0 : grant.tokens - end.usedTokens;
    // What has aged out counts no more, whatever it was.
    if (unused !== 0 && grant.bucket > this.#bucket() - this.#deps.window.buckets) {
      this.#own.add(grant.bucket, { requests: 0, tokens: -unused });
      if (this.#shared) this.#tell(grant.bucket, { requests: 0, tokens: -unused });
      if (unused > 0) this.#freeAt = Math.min(this.#freeAt, now);
    }
    if (this.#caps.concurrent !== null) {
      this.#freeAt = Math.min(this.#freeAt, now);
      this.#reportAt = Math.min(this.#reportAt, now + gatherMs);
    }
    const news = newsOf(grant, end, { ...this.#said, foreign: this.#answer?.foreign ?? false });
    if (news !== null) this.#hear(news, now);
    this.#freeAt = Math.max(this.#freeAt, this.#blockedUntil);
    this.#onChange();
  }

  /** What was granted and nobody wants any more. */
  giveBack(bucket: number, { requests, tokens }: Use): void {
    if (requests > 0 || tokens > 0) this.#tell(bucket, { requests: -requests, tokens: -tokens });
  }

  /** Nobody waits any more, where the store believes that somebody does and keeps room. */
  stopWaiting(): void {
    if (this.#answer === null || this.#answer.againMs === null || this.#asked !== null) return;
    this.#reportAt = -Infinity;
  }

  /** Tells the store what there is to tell, and asks for calls of so many tokens each; never rejects. */
  async ask(wanted: readonly number[], take: (offer: Offer) => void): Promise<void> {
    const { clock, store, process, window } = this.#deps;
    const sentAt = clock.monotonic();
    const told = { adjustments: this.#report, news: this.#news };
    const adjustments = [...told.adjustments].map(([bucket, use]) => ({ bucket, ...use }));
    [this.#report, this.#news, this.#reportAt] = [new Map(), null, Infinity];
    [this.#asked, this.#sentAt] = [{ calls: wanted.length }, sentAt];
    try {
      const [caps, inFlight, news] = [this.#caps, this.inFlight, told.news];
      const ask = { gate: this.#name, process, window, caps, inFlight, adjustments, news, wanted };
      const answer = await this.#inTime(store.askGate(ask), this.#alone === null ? patienceMs : retry.patienceMs);
      const offer = this.#answered(answer, { sentAt, asked: wanted.length });
      if (offer !== null) take(offer);
    } catch (error) {
      // It may have been counted all the same: to add it once more is safe, to take it away once more is not.
      for (const [bucket, { requests, tokens }] of told.adjustments)
        this.#tell(bucket, { requests: Math.max(0, requests), tokens: Math.max(0, tokens) });
      if (told.news !== null) this.#news = this.#news === null ? told.news : mergeNews(told.news, this.#news);
      this.#goAlone(messageOf(error), sentAt);
    } finally {
      this.#asked = null;
    }
  }

  async #inTime<Answer>(answering: Promise<Answer>, ms: number): Promise<Answer> {
    let stopTimer = (): void => {};
    const late = new Promise<never>((_, reject) => {
      stopTimer = this.#deps.clock.timer(ms, () => reject(new Error("it does not answer")));
    });
    return Promise.race([answering, late]).finally(stopTimer);
  }

  #answered(answer: GateAnswer, { sentAt, asked }: { sentAt: number; asked: number }): Offer | null {
    const { clock, window, lateMs } = this.#deps;
    const now = clock.monotonic();
    this.#offsetMs = answer.now - sentAt;
    this.#answer = answer;
    this.#blockedUntil = Math.max(this.#blockedUntil, now + answer.blockedForMs);
    // What others give back comes sooner than was foreseen.
    const againMs = answer.againMs === null ? 0 : Math.min(answer.againMs, window.bucketMs);
    this.#freeAt = Math.max(now + againMs, answer.blockedForMs > 0 ? this.#blockedUntil : 0);
    this.#comeBack();
    if (asked === 0 || answer.granted === 0) return null;
    const used = { requests: answer.usedRequests, tokens: answer.usedTokens };
    const offer = {
      calls: answer.granted,
      tokens: answer.grantedTokens,
      mostTokens: answer.limitTokens ?? Infinity,
      reachTokens: answer.reachTokens ?? Infinity,
    };
    if (now - sentAt <= lateMs) return { ...offer, grant: { bucket: answer.bucket, at: answer.now, used } };
    // The calls begin later than they were counted, and would leave the window too early.
    const bucket = this.#bucket();
    this.#tell(answer.bucket, { requests: -offer.calls, tokens: -offer.tokens });
    this.#tell(bucket, { requests: offer.calls, tokens: offer.tokens });
    return { ...offer, grant: { bucket, at: answer.now, used } };
  }

  #goAlone(why: string, silentSince: number): void {
    const { clock, log, random } = this.#deps;
    const now = clock.monotonic();
    const retryAt = now + (retry.pauseMs * (1 + random())) / 2;
    if (this.#alone !== null) this.#alone.retryAt = retryAt;
    else {
      const use = this.#own.total(this.#bucket());
      const { requests, tokens, concurrent } = this.limits();
      const pace = {
        requests: requests === null ? null : use.requests,
        tokens: tokens === null ? null : use.tokens,
        inFlight: concurrent === null ? null : this.inFlight,
      };
      // Not at once: an outage too short for the store to notice must not let anybody begin anything.
      const from = Math.max(now, silentSince + patienceMs);
      this.#alone = { pace, from, retryAt };
      this.#freeAt = Math.max(this.#blockedUntil, from);
      log.warn({ gate: this.#name, why }, "limits are not shared now: model calls go on at the pace they had");
    }
    this.#onChange();
  }

  #comeBack(): void {
    if (this.#alone === null) return;
    this.#alone = null;
    this.#deps.log.info({ gate: this.#name }, "limits are shared again");
  }

  #hear(news: GateNews, now: number): void {
    this.#share();
    this.#news = mergeNews(this.#news, news);
    this.#said = { requests: news.requests ?? this.#said.requests, tokens: news.tokens ?? this.#said.tokens };
    if (news.refused !== null) this.#blockedUntil = Math.max(this.#blockedUntil, now + news.refused.blockMs);
    this.#reportAt = -Infinity;
  }

  #share(): void {
    if (this.#shared) return;
    this.#shared = true;
    for (const { bucket, ...use } of this.#own.all()) this.#tell(bucket, use);
  }

  #tell(bucket: number, { requests, tokens }: Use): void {
    const told = this.#report.get(bucket) ?? { requests: 0, tokens: 0 };
    this.#report.set(bucket, { requests: told.requests + requests, tokens: told.tokens + tokens });
    this.#reportAt = Math.min(this.#reportAt, this.#deps.clock.monotonic() + gatherMs);
  }

  #databaseTime(): number {
    const { clock } = this.#deps;
    return this.#offsetMs === null ? clock.now() : clock.monotonic() + this.#offsetMs;
  }

  #bucket(): number {
    return Math.floor(this.#databaseTime() / this.#deps.window.bucketMs);
  }
}
