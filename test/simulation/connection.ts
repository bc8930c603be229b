/**
 * A process's way to the shared database, with everything that may happen on it: a query is slow, refused, or done without
 * its answer arriving; a process dies with queries on their way, which arrive or do not.
 */
import type { Database, Statement } from "../../src/store/database.ts";
import { StoreError } from "../../src/store/store-error.ts";
import type { Faults } from "./faults.ts";
import type { Plant } from "./plant.ts";
import type { Occasion, Rows, SharedDatabase } from "./shared-database.ts";
import type { SimulatedProcess } from "./simulated-process.ts";
import type { World } from "./world.ts";

export interface ConnectionDeps {
  readonly world: World;
  readonly faults: Faults;
  readonly shared: SharedDatabase;
  readonly process: SimulatedProcess;
  readonly plant: Plant;
  readonly die: () => void;
  /** How the database's clock stands to the world's, and whether it answers at all. */
  readonly server: DatabaseServer;
}

export interface DatabaseServer {
  aheadMs: number;
  isAway: boolean;
  /** Statements that are wrong: no fault explains them. */
  readonly refusals: string[];
  /** Writes of workers that stand still: they arrive when another one has claimed what they are about. */
  readonly heldBack: { readonly tasks: string; readonly letGo: () => void }[];
}

/** What a worker writes under the lease of a task. */
const fenced = new Set(["append", "finish", "park"]);

/** A packet may take longer than a lease lasts. */
const slowestMs = 6_000;

export function connect(deps: ConnectionDeps): Database {
  const send = (statements: readonly Statement[]): Promise<Rows[]> =>
    new Promise((resolve, reject) => {
      const { world, faults } = deps;
      const rewritten = statements.map((statement) => deps.plant.rewrite(statement));
      const query: Query = { ...deps, statements: rewritten, resolve, reject };
      if (isHeldBack(query)) return holdBack(query);
      const afterMs = faults.strikes("querySlow") ? world.between(100, slowestMs) : world.between(0.1, 2);
      world.plan({ owner: world.outside, afterMs, label: "", run: () => arrive(query) });
    });
  return {
    kind: "server",
    query: async <Row>(statement: Statement) => ((await send([statement]))[0] ?? []) as Row[],
    batch: (statements) => send(statements),
    script: () => Promise.reject(new Error("The schema is there; no process should change it.")),
    listen: (_channel, onPayload) => {
      deps.process.listeners.push(onPayload);
      return Promise.resolve(() => Promise.resolve());
    },
    // Processes that share one session cannot show by its locks who is dead: here only leases tell.
    holdLock: () => ({ held: null, onChange: () => () => {}, release: () => Promise.resolve() }),
    close: () => Promise.resolve(),
  };
}

interface Query extends ConnectionDeps {
  readonly statements: readonly Statement[];
  readonly resolve: (rows: Rows[]) => void;
  readonly reject: (error: unknown) => void;
}

function isFenced(statements: readonly Statement[]): boolean {
  return statements.some(({ name, text }) => fenced.has(name ?? "") || /^\s*update task.* epoch = /s.test(text));
}

/** Whether the process stands still now, with this on its way. */
function isHeldBack({ world, faults, plant, statements }: Query): boolean {
  const { lateWrite } = plant.climate;
  if (lateWrite === undefined) return isFenced(statements) && faults.strikes("lateWrite");
  return !faults.over && statements.some(({ name }) => name === lateWrite) && world.chance(0.5);
}

/** The worst moment for a write that must not count any more: another worker has just begun. */
function holdBack(query: Query): void {
  const { world, process, server } = query;
  world.trace(process, `stands still, with ${query.statements.map(labelOf).join(", ")} under way`);
  world.pause(process);
  let isHeld = true;
  const letGo = (): void => {
    if (!isHeld) return;
    isHeld = false;
    server.heldBack.splice(
      server.heldBack.findIndex((held) => held.letGo === letGo),
      1,
    );
    world.plan({ owner: world.outside, afterMs: world.between(0, 120), label: "", run: () => arrive(query) });
    const comeBack = (): void => world.resume(process, world.chance(0.5));
    world.plan({ owner: world.outside, afterMs: world.between(0, 400), label: "", run: comeBack });
  };
  server.heldBack.push({ tasks: JSON.stringify(query.statements), letGo });
  world.plan({ owner: world.outside, afterMs: slowestMs, label: "", run: letGo });
}

function letGo({ heldBack }: DatabaseServer, claimed: Rows): void {
  const ids = claimed.map(({ id }) => String(id));
  for (const held of heldBack.slice()) if (ids.some((id) => held.tasks.includes(id))) held.letGo();
}

async function arrive(query: Query): Promise<void> {
  const { world, faults, process, server, plant, statements, resolve, reject } = query;
  const label = statements.map(labelOf).join(", ");
  const note = (what: string): void => world.trace(process, `${label}: ${what}`);
  if (process.state === "gone" && world.chance(0.5)) return note("never arrived");
  const answer = (run: () => void): void => {
    world.plan({ owner: process, afterMs: world.between(0.1, 2), label: "", run });
  };
  if (server.isAway || faults.strikes("queryRefused")) {
    note("refused");
    return answer(() => reject(new StoreError("store_unavailable", "The connection was lost.")));
  }
  if (faults.strikes("transactionLost")) {
    note("lost against another");
    return answer(() => reject(new StoreError("store_conflict", "A deadlock was detected.")));
  }
  try {
    const rows = statements.some((statement) => plant.answersEarly(statement))
      ? await answerFirst(query)
      : await query.shared.run(statements, occasionOf(query));
    world.absorb(JSON.stringify(rows));
    if (statements.at(-1)?.name === "claim") letGo(server, rows.at(-1) ?? []);
    if (isFenced(statements) && faults.strikes("deathAtCommit")) query.die();
    const count = rows.map((each) => each.length).join(", ");
    if (faults.strikes("answerLost")) {
      note(`${count} rows, answer lost`);
      answer(() => reject(new StoreError("store_unavailable", "The connection was lost.")));
    } else {
      note(`${count} rows`);
      answer(() => resolve(rows));
    }
  } catch (error) {
    const message = error instanceof Error ? error.message : "?";
    note(`failed: ${message}`);
    if (error instanceof StoreError && error.code === "store_failed") server.refusals.push(`${label}: ${message}`);
    answer(() => reject(error));
  }
}

/** The planted fault of a store that acknowledges before it commits. */
async function answerFirst(query: Query): Promise<Rows[]> {
  const { world, process, shared, statements } = query;
  const rows = await shared.rehearse(statements, occasionOf(query));
  const commit = async (): Promise<void> => {
    await shared.run(statements, occasionOf(query)).catch(() => undefined);
  };
  world.plan({ owner: process, afterMs: world.between(1, 60), label: "commits late", run: commit });
  return rows;
}

function occasionOf({ world, server, process }: Query): Occasion {
  return { nowMs: world.now + server.aheadMs, elapsedMs: world.elapsed, actor: process.name };
}

function labelOf({ name, text }: Statement): string {
  return name ?? text.trim().replaceAll(/\s+/g, " ").slice(0, 36);
}
