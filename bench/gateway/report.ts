/** Prints what the gateways added to a call, and the ratios that the claim is about. */
import type { GatewayRow } from "./main.ts";

/** What a gateway adds to the same call without it. */
interface Added {
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly firstP50Ms: number;
  readonly firstP99Ms: number;
  readonly cpuMs: number;
}

export function printGateways(rows: readonly GatewayRow[]): void {
  const tables = [false, true].map((streaming) => rows.filter((row) => row.streaming === streaming));
  for (const table of tables) {
    console.log(table[0]?.streaming === true ? "\nStreaming\n" : "Plain\n");
    console.table(table.map((row) => rowOf(row, rows)));
  }
  const ratios = ratiosOf(rows);
  if (ratios.length === 0) return;
  console.log("\nHoldfast ÷ Portkey: more is better in the first column, less in the others\n");
  console.table(ratios);
}

export function rowOf(row: GatewayRow, rows: readonly GatewayRow[]): Record<string, unknown> {
  const added = addedBy(row, rows);
  return {
    connections: row.connections,
    subject: row.subject,
    "requests/s": rounded(row.requestsPerSecond, 0),
    "p50 ms": rounded(row.p50Ms),
    "p99 ms": rounded(row.p99Ms),
    "added p50": rounded(added?.p50Ms),
    "added p99": rounded(added?.p99Ms),
    ...(row.streaming && {
      "added first token p50": rounded(added?.firstP50Ms),
      "added first token p99": rounded(added?.firstP99Ms),
    }),
    "CPU ms": rounded(row.cpuMs),
  };
}

function addedBy(row: GatewayRow, rows: readonly GatewayRow[]): Added | null {
  const without = sameCall(row, rows, "direct");
  if (without === undefined || without === row) return null;
  return {
    requestsPerSecond: row.requestsPerSecond,
    cpuMs: row.cpuMs,
    p50Ms: row.p50Ms - without.p50Ms,
    p99Ms: row.p99Ms - without.p99Ms,
    firstP50Ms: row.firstP50Ms - without.firstP50Ms,
    firstP99Ms: row.firstP99Ms - without.firstP99Ms,
  };
}

/** Of Holdfast's figures to Portkey's, where both were measured. */
export function ratiosOf(rows: readonly GatewayRow[]): Record<string, unknown>[] {
  return rows.filter(({ subject }) => subject === "Holdfast").flatMap((row) => ratioOf(row, rows));
}

function ratioOf(row: GatewayRow, rows: readonly GatewayRow[]): Record<string, unknown>[] {
  const peer = sameCall(row, rows, "Portkey");
  const ours = addedBy(row, rows);
  const theirs = peer && addedBy(peer, rows);
  if (!ours || !theirs) return [];
  const ratio = (figure: keyof Added): number | "" => rounded(ours[figure] / theirs[figure]);
  return [
    {
      answers: row.streaming ? "streaming" : "plain",
      connections: row.connections,
      "requests/s": ratio("requestsPerSecond"),
      "added p50": ratio("p50Ms"),
      "added p99": ratio("p99Ms"),
      "added first token p50": ratio("firstP50Ms"),
      "added first token p99": ratio("firstP99Ms"),
      CPU: ratio("cpuMs"),
    },
  ];
}

function sameCall(
  { streaming, connections }: GatewayRow,
  rows: readonly GatewayRow[],
  subject: GatewayRow["subject"],
): GatewayRow | undefined {
  return rows.find((row) => row.subject === subject && row.streaming === streaming && row.connections === connections);
}

/** Nothing where there is no figure. */
function rounded(value: number | undefined, digits = 2): number | "" {
  return value !== undefined && Number.isFinite(value) ? Number(value.toFixed(digits)) : "";
}
