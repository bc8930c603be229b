/**
 * Lines of the ledger that are written after the answer, for callers whom no budget binds: nothing depends on them but the
 * accounts. They are gathered for a moment and written together; a process that is killed loses those of its last moment.
 */
import type { Clock } from "../../platform/clock.ts";
import { messageOf } from "../../platform/errors.ts";
import type { UsageRow } from "../../store/queries/usage.ts";
import type { Logger } from "../../telemetry/log.ts";

export interface LateLedgerDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly record: (rows: readonly UsageRow[]) => Promise<unknown>;
}

const gatherMs = 50;

export class LateLedger {
  readonly #deps: LateLedgerDeps;
  readonly #writing = new Set<Promise<void>>();
  #rows: UsageRow[] = [];
  #cancelTimer: (() => void) | null = null;

  constructor(deps: LateLedgerDeps) {
    this.#deps = deps;
  }

  add(rows: readonly UsageRow[]): void {
    if (rows.length === 0) return;
    this.#rows.push(...rows);
    this.#cancelTimer ??= this.#deps.clock.timer(gatherMs, () => this.#write());
  }

  /** Resolves when all that was added by now is written, or given up. Never rejects. */
  async written(): Promise<void> {
    this.#cancelTimer?.();
    this.#write();
    await Promise.all(this.#writing);
  }

  #write(): void {
    const rows = this.#rows;
    this.#rows = [];
    this.#cancelTimer = null;
    if (rows.length === 0) return;
    const { record, log } = this.#deps;
    const writing = record(rows)
      .then(
        () => {},
        (error: unknown) => log.error({ error: messageOf(error), lines: rows.length }, "calls are not accounted for"),
      )
      .finally(() => this.#writing.delete(writing));
    this.#writing.add(writing);
  }
}
