/** A comparison as Markdown: how fast, then what a task cost at each number of concurrent ones. */
import { readFile, writeFile } from "node:fs/promises";
import { payloadBytes, stepsPerTask } from "../work.ts";
import type { Cell } from "./cell.ts";
import type { Comparison } from "./compare.ts";
import type { Checked } from "./subject.ts";
import { medianCell } from "./median.ts";

const begin = "<!-- comparison: begin. Written by `npm run bench -- --peers --markdown FILE`. -->";
const end = "<!-- comparison: end -->";

export function comparisonMarkdown(comparison: Comparison): string {
  const { options, versions, machine, remarks } = comparison;
  const seconds = options.load.measureMs / 1_000;
  const rounds = options.rounds === 1 ? "one round" : `medians of ${options.rounds} rounds`;
  const notes = remarks.map((remark) => `- ${remark}`);
  const tables = [speedTable(comparison), ...options.levels.map((level) => costTable(comparison, level))];
  return [
    `${machine}. ${seconds} s per cell, ${rounds}.${versions.length > 0 ? ` ${versions.join(", ")}.` : ""}`,
    ...(comparison.subjects.length > 0 ? tables : []),
    ...(notes.length > 0 ? [notes.join("\n")] : []),
  ].join("\n\n");
}

/** Puts a comparison between the two markers of a page. */
export async function writeInto(file: string, markdown: string): Promise<void> {
  const text = await readFile(file, "utf8");
  const [before, rest] = text.split(begin);
  const after = rest?.split(end)[1];
  if (before === undefined || after === undefined) throw new Error(`${file} lacks the lines ${begin} and ${end}`);
  await writeFile(file, `${before}${begin}\n\n${markdown}\n\n${end}${after}`);
}

function speedTable({ subjects, checks, cells, options: { levels } }: Comparison): string {
  const head = ["", "durable before the next step", ...levels.map((level) => `tasks/s at ${level} (× Holdfast)`)];
  const latencies = levels.map((level) => `p50 / p99 ms at ${level} (p99 ÷ p50)`);
  const rows = subjects.map(({ name, title, lag }) => {
    const own = levels.map((level) => medianCell(cells, name, level));
    const speeds = own.map((cell, index) => speed(cell, medianCell(cells, "holdfast", levels[index] ?? 0)));
    return [title, lag ?? durability(checks.get(name)), ...speeds, ...own.map(latency)];
  });
  return table([...head, ...latencies], rows);
}

function costTable({ subjects, cells }: Comparison, level: number): string {
  const head = [
    `a task costs, at ${level}`,
    "transactions (a step)",
    "statements (a step)",
    "rows inserted / updated / deleted",
    "WAL, KB",
    "WAL ÷ payload",
    "CPU of the process, ms",
    "CPU of its server, ms",
    "CPU × Holdfast",
  ];
  const holdfast = medianCell(cells, "holdfast", level);
  const rows = subjects.flatMap(({ name, title }) => {
    const cell = medianCell(cells, name, level);
    return cell === undefined ? [] : [[title, ...costs(cell), ratio(cpuPerTask(cell), cpuPerTask(holdfast))]];
  });
  return table(head, rows);
}

function costs(cell: Cell): string[] {
  const { counters, allTasks, tasks, clientCpuMs, serverCpuMs } = cell;
  const cpu = [short(clientCpuMs / tasks), short(serverCpuMs === null ? null : serverCpuMs / tasks)];
  if (counters === null) return ["", "", "", "", "", ...cpu];
  const perTask = (count: number | null): string => {
    if (count === null) return "";
    return `${short(count / allTasks)} (${short(count / allTasks / stepsPerTask)})`;
  };
  const changed = [counters.inserted, counters.updated, counters.deleted].map((count) => short(count / allTasks));
  const walBytes = counters.walBytes / allTasks;
  return [
    perTask(counters.transactions),
    perTask(counters.statements),
    changed.join(" / "),
    short(walBytes / 1024),
    short(walBytes / payloadBytes),
    ...cpu,
  ];
}

function cpuPerTask(cell: Cell | undefined): number | null {
  if (cell === undefined || cell.serverCpuMs === null) return null;
  return (cell.clientCpuMs + cell.serverCpuMs) / cell.tasks;
}

function durability(checked: Checked | undefined): string {
  if (checked === undefined) return "";
  return checked.early === 0 ? "yes" : `no, ${checked.early} of ${stepsPerTask - 1} began early`;
}

function speed(cell: Cell | undefined, holdfast: Cell | undefined): string {
  if (cell === undefined) return "";
  const times = ratio(cell.tasksPerSecond, holdfast?.tasksPerSecond ?? null);
  return times === "" ? short(cell.tasksPerSecond) : `${short(cell.tasksPerSecond)} (${times})`;
}

function latency(cell: Cell | undefined): string {
  if (cell === undefined) return "";
  return `${short(cell.p50Ms)} / ${short(cell.p99Ms)} (${short(cell.p99Ms / cell.p50Ms)})`;
}

function ratio(value: number | null, base: number | null): string {
  return value === null || base === null ? "" : short(value / base);
}

/** Two or three significant digits: no more than one can compare. */
function short(value: number | null): string {
  if (value === null || !Number.isFinite(value)) return "";
  if (value === 0) return "0";
  if (value < 0.1) return value.toPrecision(2);
  if (value >= 100) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(head), `|${"---|".repeat(head.length)}`, ...rows.map(line)].join("\n");
}
