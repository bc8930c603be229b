/** What customers and humans were told by the service, to be held against the rows when all is over. */
import type { Answer, Entry } from "../../src/agent/journal.ts";
import type { AgentResult } from "../../src/engine/agent-result.ts";

export interface Told {
  /** A 202: this request is this task. */
  readonly accepted: { tenant: string; session: string; key: string | null; script: string; taskId: string }[];
  /** Entries as an event stream showed them, each stream by itself. */
  readonly streams: { taskId: string; entries: Entry[] }[];
  readonly results: { taskId: string; result: AgentResult }[];
  readonly answers: { approvalId: string; answer: Answer; by: string; taken: boolean }[];
  readonly cancelled: { taskId: string; at: number }[];
  readonly forked: { taskId: string }[];
  /** What somebody saw that belongs to another tenant. */
  readonly leaks: string[];
}

export function nothingTold(): Told {
  return {
    accepted: [],
    streams: [],
    results: [],
    answers: [],
    cancelled: [],
    forked: [],
    leaks: [],
  };
}
