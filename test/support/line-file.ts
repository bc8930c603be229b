/** A file of lines of JSON that several processes append to, and that outlives whoever is killed while writing. */
import { appendFileSync, existsSync, readFileSync } from "node:fs";

export interface LineFile<Line> {
  readonly path: string;
  readonly write: (line: Line) => void;
  readonly read: () => Line[];
}

export function openLineFile<Line>(path: string): LineFile<Line> {
  return {
    path,
    // One write of a short line to a file that is open for appending: processes do not mix theirs up.
    write: (line) => appendFileSync(path, `${JSON.stringify(line)}\n`),
    read: () =>
      (existsSync(path) ? readFileSync(path, "utf8") : "")
        .split("\n")
        .filter((text) => text !== "")
        .map((text) => JSON.parse(text) as Line),
  };
}
