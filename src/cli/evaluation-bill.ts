/** What an evaluation cost: said at its end, and written into the ledger of the database that the settings name. */
import type { Charge } from "../agent/charges.ts";
import { onlyTenant } from "../engine/tenant.ts";
import { neverAborts } from "../platform/abort.ts";
import type { Clock } from "../platform/clock.ts";
import { HoldfastError, messageOf } from "../platform/errors.ts";
import { systemId } from "../platform/ids.ts";
import { systemRandom } from "../platform/random.ts";
import type { Settings } from "../platform/settings.ts";
import type { Database } from "../store/database.ts";
import type { UsageRow } from "../store/queries/usage.ts";
import type { Context } from "./context.ts";
import { describeDatabase } from "./host-settings.ts";
import { count, money } from "./quantities.ts";
import { oneLine } from "./terminal.ts";

/** What came of writing it; the problem is a clause. */
export interface Written {
  readonly missing: readonly UsageRow[];
  readonly problem: string;
}

/** Lines of the ledger; each has its id from here on, so that its write may be repeated. */
export function linesOf(charges: readonly Charge[], agent: string): UsageRow[] {
  const owner = { tenant: onlyTenant, agent, sessionId: null, userId: null, keyId: null };
  return charges.map((charge) => ({ ...charge, ...owner, id: systemId(), purpose: "evaluation" }));
}

const linesPerPage = 500;
const insistMs = 5_000;

/** Never rejects: an evaluation does not fail because its cost cannot be written. */
export async function writeBill(
  { terminal, clock }: Pick<Context, "terminal" | "clock">,
  settings: Settings,
  lines: readonly UsageRow[],
): Promise<Written> {
  const missing = [...lines];
  if (lines.length === 0) return { missing, problem: "" };
  if (settings.databaseUrl === null && settings.dataDir === "memory") {
    return { missing, problem: "the database is in memory" };
  }
  try {
    const onProgress = (message: string): void => terminal.note(terminal.paintNote("dim", `${message} …`));
    await using ledger = await openLedger(settings, { clock, onProgress });
    while (missing.length > 0) {
      await ledger.write(missing.slice(0, linesPerPage));
      missing.splice(0, linesPerPage);
    }
    return { missing, problem: "" };
  } catch (error) {
    return { missing, problem: problemOf(error, settings) };
  }
}

async function openLedger(
  settings: Settings,
  { clock, onProgress }: { readonly clock: Clock; readonly onProgress: (message: string) => void },
) {
  const [{ openDatabase }, { migrate }, { createLedger }, { insist }, { createLogger }] = await Promise.all([
    import("../holdfast.ts"),
    import("../store/migrate.ts"),
    import("../store/ledger.ts"),
    import("../store/insist.ts"),
    import("../telemetry/log.ts"),
  ]);
  const log = createLogger({ level: settings.logLevel, format: settings.logFormat });
  const database: Database = await openDatabase(settings, { clock, random: systemRandom, log, onProgress });
  const close = (): Promise<void> => database.close();
  try {
    // A server is that of a deployment, which an evaluation of the next release must not change.
    if (database.kind === "embedded") await migrate(database);
  } catch (error) {
    await close();
    throw error;
  }
  const { recordUsage } = createLedger(database);
  return {
    write: (rows: readonly UsageRow[]) =>
      insist(() => recordUsage(rows), { clock, forMs: insistMs, signal: neverAborts() }),
    [Symbol.asyncDispose]: close,
  };
}

function problemOf(error: unknown, settings: Settings): string {
  if (error instanceof HoldfastError && error.code === "data_directory_locked") {
    return `another process has the database (${describeDatabase(settings)}); with PostgreSQL (DATABASE_URL) it would be`;
  }
  return messageOf(error);
}

/** One line on what it cost, and whether the ledger has it. */
export function noteBill(
  { terminal }: Pick<Context, "terminal">,
  lines: readonly UsageRow[],
  { missing, problem }: Written,
): void {
  if (lines.length === 0) return;
  const { paintNote } = terminal;
  const total = `The evaluation cost ${costOf(lines)} in ${count(lines.length, "model call")}`;
  if (missing.length === 0) return terminal.note(paintNote("dim", `${total}; the ledger has it.`));
  const which = missing.length === lines.length ? "this" : costOf(missing);
  terminal.note(
    `${paintNote(["yellow", "bold"], "warning:")} ${total}; ${which} is not in the ledger: ${oneLine(problem)}`,
  );
}

/** A + as in `holdfast usage`: there are calls beside whose price is unknown. */
function costOf(lines: readonly UsageRow[]): string {
  const known = lines.flatMap(({ costMicros }) => costMicros ?? []);
  if (known.length === 0) return "an unknown amount";
  const total = money(known.reduce((sum, micros) => sum + micros, 0) / 1e6);
  return known.length === lines.length ? total : `${total} +`;
}
