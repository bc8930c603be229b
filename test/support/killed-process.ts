/**
 * Processes that play rounds of a scenario on a store, until one kills itself at a point of the last round. The next one
 * first brings to an end what the killed one left.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import type { Database } from "../../src/store/database.ts";
import { migrate } from "../../src/store/migrate.ts";
import { openPglite } from "../../src/store/pglite.ts";
import { openPostgres } from "../../src/store/postgres.ts";
import { startChild } from "./child.ts";
import { migratedSnapshot } from "./databases.ts";

export interface Orders {
  /** A data directory, or the URL of a server. */
  readonly store: string;
  /** The file of what happened outside of the store. */
  readonly log: string;
  readonly leaseMs: number;
  /** The rounds that other processes began: they are brought to an end first. */
  readonly unfinished: readonly string[];
  readonly round: string;
  /** Null: it lives. */
  readonly dieAt: string | null;
}

/** Is told of every place at which the process might die. */
export type Reach = (point: string) => void | Promise<void>;

export interface Scenario {
  /** Plays a round, or what is left of it, to its end. */
  play(round: string): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Runs a script of test/support/children that calls `playRounds`.
 * @returns the points that its last round came by, or undefined if it was killed
 */
export async function runRounds(script: "crash" | "steer", orders: Orders): Promise<string[] | undefined> {
  const child = startChild(script, JSON.stringify(orders));
  const printed = await child.line().catch(() => undefined);
  const ended = await child.done().then(
    () => true,
    () => false,
  );
  assert.ok(ended || child.stderr() === "", `at ${orders.dieAt}: ${child.stderr()}`);
  assert.ok(orders.dieAt !== null || ended, "it was not to die");
  return printed === undefined ? undefined : (JSON.parse(printed) as string[]);
}

/** The whole of such a script: plays the rounds, and prints the points of the last one if it has not died in it. */
export async function playRounds(
  orders: Orders,
  start: (database: Database, reach: Reach) => Promise<Scenario>,
): Promise<void> {
  // A process that lives for a second has nothing from an optimised PGlite: without, it costs half the time.
  for (const flag of ["--no-wasm-tier-up", "--no-wasm-dynamic-tiering"]) setFlagsFromString(flag);
  const points = new Set<string>();
  let watching = false;
  const reach = async (point: string): Promise<void> => {
    if (!watching) return;
    points.add(point);
    if (point !== orders.dieAt) return;
    // What was handed to the socket a moment ago is on its way.
    if (point.endsWith(": under way")) await new Promise(setImmediate);
    process.kill(process.pid, "SIGKILL");
    await new Promise(() => {});
  };
  const database = await openStore(orders.store);
  await migrate(database);
  const scenario = await start(database, reach);
  for (const round of orders.unfinished) await scenario.play(round);
  watching = true;
  await scenario.play(orders.round);
  watching = false;
  await scenario.stop();
  console.log(JSON.stringify([...points]));
}

async function openStore(store: string): Promise<Database> {
  if (store.startsWith("postgres")) return openPostgres({ url: store });
  // The snapshot is large: it is read for a new directory only.
  return openPglite({ dataDir: store, ...(!existsSync(store) && { snapshot: await migratedSnapshot() }) });
}
