/**
 * How often the caches hit, for whoever looks: answers that were given again, counted here and added every few seconds to
 * what all processes know; and prompts that providers had cached, as the ledger has them.
 */
import type { Saved } from "../../agent/journal.ts";
import { createBackground } from "../../platform/background.ts";
import type { Clock } from "../../platform/clock.ts";
import type { CacheLookupRow, PromptCachingRow } from "../../store/queries/cache-lookups.ts";
import type { Logger } from "../../telemetry/log.ts";
import { logStoreTrouble } from "../../telemetry/store-trouble.ts";
import type { CacheOutcome } from "../model-gateway.ts";
import type { CacheLookup } from "./answer-cache.ts";

export interface CacheLookupStore {
  addCacheLookups(rows: readonly CacheLookupRow[]): Promise<void>;
  cacheLookups(since: { hours: number; limit: number }): Promise<CacheLookupRow[]>;
  promptCaching(since: { hours: number; limit: number }): Promise<PromptCachingRow[]>;
}

export interface CacheReport {
  /** By agent and model. */
  readonly answers: readonly CacheLookupRow[];
  /** By model. */
  readonly prompts: readonly PromptCachingRow[];
}

interface Deps {
  readonly store: CacheLookupStore;
  readonly clock: Clock;
  readonly log: Logger;
}

const handInMs = 5_000;
/** Programs may ask for any model, so their number has a bound; what is over it is not counted. */
const mostRows = 500;
const mostReported = 200;

const columns = { hit: "hits", shared: "shared", stale: "stale", miss: "misses" } as const satisfies Record<
  CacheOutcome,
  keyof CacheLookupRow
>;

export class CacheLookups {
  readonly #deps: Deps;
  readonly #background;
  #counts = new Map<string, CacheLookupRow>();
  #cancelTimer: (() => void) | undefined;
  #isStopped = false;

  constructor(deps: Deps) {
    this.#deps = deps;
    const { log } = deps;
    this.#background = createBackground((_name, error) =>
      logStoreTrouble(log, error, "hits of the cache are not counted"),
    );
  }

  count({ outcome, agent, model, saved }: CacheLookup): void {
    const none = { hits: 0, shared: 0, stale: 0, misses: 0 };
    this.#add({ agent: agent ?? "", model, ...none, ...savedBy(saved), [columns[outcome]]: 1 });
    this.#arm();
  }

  /** Of the last hours, in all processes; what others counted in the last few seconds may lack. @throws StoreError */
  async report(hours: number): Promise<CacheReport> {
    const { store } = this.#deps;
    await this.#handIn();
    const since = { hours, limit: mostReported };
    const [answers, prompts] = await Promise.all([store.cacheLookups(since), store.promptCaching(since)]);
    return { answers, prompts };
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancelTimer?.();
    await this.#background.settled();
    this.#background.start("cache lookups", () => this.#handIn());
    await this.#background.settled();
  }

  /** A timer runs only while there is something to hand in. */
  #arm(): void {
    if (this.#isStopped || this.#cancelTimer !== undefined || this.#counts.size === 0) return;
    this.#cancelTimer = this.#deps.clock.timer(handInMs, () => {
      this.#background.start("cache lookups", async () => {
        try {
          await this.#handIn();
        } finally {
          this.#cancelTimer = undefined;
          this.#arm();
        }
      });
    });
  }

  /** What could not be written is handed in with the next; if only the answer was lost, it counts twice. */
  async #handIn(): Promise<void> {
    const rows = [...this.#counts.values()];
    this.#counts = new Map();
    try {
      await this.#deps.store.addCacheLookups(rows);
    } catch (error) {
      for (const row of rows) this.#add(row);
      throw error;
    }
  }

  #add(row: CacheLookupRow): void {
    const key = JSON.stringify([row.agent, row.model]);
    const known = this.#counts.get(key);
    if (known === undefined && this.#counts.size >= mostRows) return;
    this.#counts.set(key, known === undefined ? row : sumOf(known, row));
  }
}

function savedBy(saved: Saved | null): Pick<CacheLookupRow, "savedTokens" | "savedMicros"> {
  if (saved === null) return { savedTokens: 0, savedMicros: 0 };
  return { savedTokens: saved.usage.input + saved.usage.output, savedMicros: saved.costMicros ?? 0 };
}

function sumOf(one: CacheLookupRow, other: CacheLookupRow): CacheLookupRow {
  return {
    ...one,
    hits: one.hits + other.hits,
    shared: one.shared + other.shared,
    stale: one.stale + other.stale,
    misses: one.misses + other.misses,
    savedTokens: one.savedTokens + other.savedTokens,
    savedMicros: one.savedMicros + other.savedMicros,
  };
}
