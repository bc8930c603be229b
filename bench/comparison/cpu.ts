/**
 * Processor time from /proc: of a process, of those it started, and of those that it started and that have ended. A server
 * that forks one process per connection, as Postgres does, is counted whole by the process that forks them.
 */
import { readdirSync, readFileSync } from "node:fs";

/** The kernel's unit in /proc is the hundredth of a second on every platform that Node has a build for. */
const tickMs = 10;

interface Times {
  readonly parent: number;
  readonly own: number;
  readonly ofEnded: number;
}

/** Milliseconds; null where there is no such process here, or no /proc. */
export function cpuMsOfTree(pid: number | null): number | null {
  const root = pid === null ? undefined : timesOf(pid);
  if (pid === null || !root) return null;
  const all = new Map(processIds().flatMap((id) => [[id, timesOf(id)] as const]));
  const sum = (id: number): number => {
    const times = all.get(id);
    if (!times) return 0;
    const children = [...all].filter(([, child]) => child?.parent === id).map(([child]) => sum(child));
    return times.own + times.ofEnded + children.reduce((a, b) => a + b, 0);
  };
  return sum(pid) * tickMs;
}

/** Milliseconds of one process alone. */
export function cpuMsOf(pid: number): number | null {
  const times = timesOf(pid);
  return times ? times.own * tickMs : null;
}

export function parentOf(pid: number): number | undefined {
  return timesOf(pid)?.parent;
}

function processIds(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

function timesOf(pid: number): Times | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name of the process, in brackets, may hold spaces: what counts comes after it. See proc(5).
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const at = (index: number): number => Number(fields[index - 3]);
    return { parent: at(4), own: at(14) + at(15), ofEnded: at(16) + at(17) };
  } catch {
    return undefined;
  }
}
