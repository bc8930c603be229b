/** Prints what was measured, with the ratios that the claims are about. */
import type { Row } from "./durable-overhead.ts";
import type { StreamFigures } from "./streams.ts";

export function printDurableOverhead(rows: readonly Row[]): void {
  const bare = rows.find(({ subject }) => subject === "bare INSERT, one commit");
  const raw = new Map(
    rows.filter(({ subject }) => subject === "raw coalesced INSERTs").map((row) => [row.concurrency, row]),
  );
  const lines = rows.map((row) => {
    const floor = raw.get(row.concurrency);
    const stepMs = row.p50Ms / row.stepsPerTask;
    return {
      subject: row.subject,
      concurrent: row.concurrency,
      "tasks/s": row.tasksPerSecond.toFixed(0),
      "p50 ms": row.p50Ms.toFixed(1),
      "p99 ms": row.p99Ms.toFixed(1),
      "step ms": stepMs.toFixed(2),
      "of raw": row.subject.startsWith("Holdfast") && floor ? percent(row.tasksPerSecond / floor.tasksPerSecond) : "",
      "step / bare INSERT": bare && row.concurrency === 1 ? (stepMs / bare.p50Ms).toFixed(2) : "",
      "WAL KB/task": row.walKb?.toFixed(1) ?? "",
    };
  });
  console.table(lines);
}

export function printStreams(rows: readonly StreamFigures[]): void {
  const lines = rows.map((row) => ({
    subscribers: row.subscribers,
    "KiB each": rounded(row.kbPerSubscriber, 1),
    "entries told": row.entries,
    "p50 ms": rounded(row.p50Ms),
    "p99 ms": rounded(row.p99Ms),
    "pieces of text/s": rounded(row.deltasPerSecond),
    "worker's other tasks/s": rounded(row.workerTasksPerSecond),
    "statements/s": rounded(row.statementsPerSecond, 1),
  }));
  console.table(lines);
}

/** Nothing where there is no figure. */
function rounded(value: number, digits = 0): number | "" {
  return Number.isFinite(value) ? Number(value.toFixed(digits)) : "";
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}
