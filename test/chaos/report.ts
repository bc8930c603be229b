/** What a chaos run prints. */
import type { FaultKind } from "./faults.ts";

export interface Findings {
  readonly seed: number;
  readonly minutes: number;
  readonly tasks: number;
  readonly entries: number;
  readonly questions: number;
  readonly faults: ReadonlyMap<FaultKind, number>;
  /** Milliseconds until work went on. */
  readonly resumed: ReadonlyMap<FaultKind, readonly number[]>;
  readonly violations: readonly string[];
}

const mostViolationsShown = 50;

export function toText({ seed, minutes, tasks, entries, questions, faults, resumed, violations }: Findings): string {
  const rows = [...faults].map(([kind, count]) => {
    const times = (resumed.get(kind) ?? []).toSorted((a, b) => a - b);
    const middle = times[Math.floor((times.length - 1) / 2)];
    return [kind, String(count), toMs(middle), toMs(times.at(-1))];
  });
  const shown = violations.slice(0, mostViolationsShown);
  return [
    `${tasks} tasks done with ${entries} entries in ${minutes} min; ${questions} questions answered; seed ${seed}`,
    "",
    ...toTable([["fault", "times", "resumed p50", "resumed max"], ...rows]),
    "",
    violations.length === 0 ? "Every promise was kept." : `${violations.length} promises were broken:`,
    ...shown,
  ].join("\n");
}

function toMs(ms: number | undefined): string {
  return ms === undefined ? "-" : `${Math.round(ms)} ms`;
}

function toTable(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join("  ")
      .trimEnd(),
  );
}
