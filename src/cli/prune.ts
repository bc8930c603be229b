/** `holdfast prune`: deletes what is past its retention, now and not when a process comes to it. */
import { InvalidArgumentError, type Command } from "commander";
import type { Pruned } from "../engine/retention.ts";
import { neverAborts } from "../platform/abort.ts";
import { systemRandom } from "../platform/random.ts";
import type { Settings } from "../platform/settings.ts";
import { verb, type Context } from "./context.ts";
import { describeDatabase, hostSettings } from "./host-settings.ts";
import { count, parseDays } from "./quantities.ts";

export function pruneCommand(context: Context): Command {
  return verb("prune", {
    summary: "delete what is past its retention",
    description:
      "Deletes ended tasks with their journals, conversations that nobody uses, values that no task needs, kept answers " +
      "that are too old, results that no broker came for, and lines of the ledger past their own retention. Every " +
      "process does so by itself, once an hour; this does it now. It works on the database that DATABASE_URL names, while " +
      "others use it, or on the embedded one, while no process does. What conversations in use still show stays.",
    examples: [
      ["prune --dry-run", "what would go"],
      ["prune --older-than 7d", "whatever ended more than a week ago"],
    ],
  })
    .option("--older-than <age>", "like 7d or 12h (default: HOLDFAST_RETENTION_DAYS or 30d)", parseAge)
    .option("--dry-run", "delete nothing, only count")
    .option("-d, --data <folder>", "where the embedded database lives (default: HOLDFAST_DATA or .holdfast)")
    .option("--json", "print JSON")
    .action((flags: PruneFlags) => pruneNow(context, flags));
}

interface PruneFlags {
  readonly olderThan?: number;
  readonly dryRun?: true;
  readonly data?: string;
  readonly json?: true;
}

async function pruneNow({ terminal, environment, clock }: Context, flags: PruneFlags): Promise<void> {
  const settings = hostSettings(environment, flags, "text");
  const days = flags.olderThan ?? settings.retention.days;
  const dryRun = flags.dryRun === true;
  const pruned = await pruneDatabase({ ...settings, retention: { ...settings.retention, days } }, { clock, dryRun });
  if (flags.json) return terminal.json({ dry_run: dryRun, ...toWire(pruned) });
  const { tasks, entries, sessions, values, answers, results, usage } = pruned;
  const what = [
    `${count(tasks, "task")} with ${entries === 1 ? "1 entry" : `${entries.toLocaleString("en-US")} entries`}`,
    count(sessions, "conversation"),
    count(values, "large value"),
    count(answers, "kept answer"),
    ...(results === 0 ? [] : [`${count(results, "result")} that no broker came for`]),
    ...(usage === 0 ? [] : [`${count(usage, "line")} of the ledger`]),
  ].join(", ");
  terminal.print(`${dryRun ? "Would delete" : "Deleted"} ${what}.`);
  terminal.note(terminal.paintNote("dim", `The database: ${describeDatabase(settings)}.`));
}

async function pruneDatabase(
  settings: Settings,
  { clock, dryRun }: Pick<Context, "clock"> & { dryRun: boolean },
): Promise<Pruned> {
  const [{ openDatabase }, { migrate }, { createStore }, { prune }, { createMetrics }, { createLogger }] =
    await Promise.all([
      import("../holdfast.ts"),
      import("../store/migrate.ts"),
      import("../store/store.ts"),
      import("../engine/retention.ts"),
      import("../telemetry/metrics.ts"),
      import("../telemetry/log.ts"),
    ]);
  const log = createLogger({ level: settings.logLevel, format: settings.logFormat });
  const metrics = createMetrics();
  const database = await openDatabase(settings, { clock, random: systemRandom, log });
  try {
    await migrate(database);
    const signal = neverAborts();
    return await prune(
      { store: createStore(database), clock, metrics },
      { retention: settings.retention, dryRun, signal },
    );
  } finally {
    await metrics.close();
    await database.close();
  }
}

function toWire({ tasks, entries, sessions, values, answers, results, usage }: Pruned): Record<string, number> {
  return { tasks, entries, sessions, large_values: values, answers, results, usage };
}

function parseAge(text: string): number {
  const days = parseDays(text);
  if (days !== undefined) return days;
  throw new InvalidArgumentError(
    "It must be a number of days, hours or minutes, like 7d, 12h or 90m, and at most 36500d.",
  );
}
