/**
 * What really happened in the world: a file to which the tools of the chaos run append a line when they take effect. It is
 * outside of everything that Holdfast knows of, and outlives whoever writes to it.
 */
import { openLineFile } from "../support/line-file.ts";

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
  const { write, read } = openLineFile<Effect>(path);
  return { path, record: write, effects: read };
}
