/**
 * What really happened in the world: a file to which the tools of the chaos run append a line when they take effect. It is
 * outside of everything that Holdfast knows of, and outlives whoever writes to it.
 */
import { appendFileSync, existsSync, readFileSync } from "node:fs";

export interface Effect {
  readonly task: string;
  /** The call of the model, as the journal names it. */
  readonly call: string;
  readonly tool: string;
  readonly key: string;
  readonly pid: number;
}

export type Ledger = ReturnType<typeof openLedger>;

export function openLedger(path: string) {
  return {
    path,
    // One write of a short line to a file that is open for appending: processes do not mix theirs up.
    record: (effect: Effect): void => appendFileSync(path, `${JSON.stringify(effect)}\n`),
    effects: (): Effect[] =>
      (existsSync(path) ? readFileSync(path, "utf8") : "")
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line) as Effect),
  };
}
