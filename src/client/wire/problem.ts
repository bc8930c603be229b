/** What every error is. */

/** RFC 9457, with a stable `code` and, where the fault lies in the input, its `path` as a JSON pointer. */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: string;
  path?: string;
  instance?: string;
  /** With `no_agent_fits`: how well each agent fits, the best first. */
  candidates?: { agent: string; score: number }[];
}
