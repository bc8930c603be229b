/**
 * The one real thing in the world: Postgres (PGlite, in memory), which all simulated processes share. Opened once for many
 * seeds and emptied between them.
 *
 * That its answers are the same in every run takes two things. Its clock is the world's. And the plans of statements are
 * made anew after the tables were emptied, at first use, whatever an earlier seed did: rows without an order come in the
 * same one.
 */
import type { Database, Statement } from "../../src/store/database.ts";
import { openPglite } from "../../src/store/pglite.ts";
import { migratedSnapshot } from "../support/databases.ts";
import { historySql } from "./history.ts";

export type Rows = Record<string, unknown>[];

/** Who acts and what time it is there. */
export interface Occasion {
  /** The database's clock. */
  readonly nowMs: number;
  /** The world's, for the history. */
  readonly elapsedMs: number;
  readonly actor: string;
}

export class SharedDatabase {
  /** For the harness itself: no faults. */
  readonly database: Database;
  /** Told of every NOTIFY. */
  onNotice: (payload: string) => void = () => {};
  readonly #tables: string;
  readonly #names = new Map<string, string>();

  private constructor(database: Database, tables: string) {
    this.database = database;
    this.#tables = tables;
  }

  static async open(): Promise<SharedDatabase> {
    const database = await openPglite({ dataDir: "memory", snapshot: await migratedSnapshot() });
    await database.script(`set plan_cache_mode = force_generic_plan; ${historySql}`);
    const rows = await database.query<{ name: string }>({
      text: `select relname as name from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace
             and relname <> 'holdfast_migration' order by relname`,
      values: [],
    });
    const shared = new SharedDatabase(database, rows.map(({ name }) => name).join(", "));
    await database.listen("holdfast", (payload) => shared.onNotice(payload));
    return shared;
  }

  async empty(): Promise<void> {
    await this.database.query({ text: `truncate ${this.#tables} restart identity`, values: [] });
  }

  /** Runs statements as one transaction. @returns the rows of each */
  async run(statements: readonly Statement[], { nowMs, elapsedMs, actor }: Occasion): Promise<Rows[]> {
    const occasion: Statement = {
      name: "simulation_occasion",
      text: `select set_config('holdfast.now_ms', $1, false), set_config('simulation.elapsed_ms', $2, false),
                    set_config('simulation.actor', $3, false)`,
      values: [String(nowMs), String(elapsedMs), actor],
    };
    const named = statements.map((statement) => ({ name: this.#nameOf(statement), ...statement }));
    const [, ...answers] = await this.database.batch([occasion, ...named]);
    return answers;
  }

  /** All are prepared, also those that a real process sends seldom: to parse and plan them anew takes most of the time. */
  #nameOf({ text }: Statement): string {
    const name = this.#names.get(text) ?? `simulated_${this.#names.size}`;
    this.#names.set(text, name);
    return name;
  }

  /** What statements would answer, without doing anything. */
  async rehearse(statements: readonly Statement[], occasion: Occasion): Promise<Rows[]> {
    await this.database.script("begin");
    try {
      return await this.run(statements, occasion);
    } finally {
      await this.database.script("rollback");
    }
  }

  close(): Promise<void> {
    return this.database.close();
  }
}
