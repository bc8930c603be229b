/** One cell out of those of several rounds: the one whose pace is the middle, whole, so that its figures belong together. */
import type { Cell } from "./cell.ts";

export function medianCell(cells: readonly Cell[], subject: string, concurrency: number): Cell | undefined {
  const own = cells
    .filter((cell) => cell.subject === subject && cell.concurrency === concurrency)
    .toSorted((a, b) => a.tasksPerSecond - b.tasksPerSecond);
  return own[Math.floor((own.length - 1) / 2)];
}
