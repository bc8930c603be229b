/** Calls, outcomes, questions and answers, each in a few words. */
import { isObject, type Json } from "../agent/json.ts";
import type { AgentResult, Answer, ApprovalKind, CompressionEntry, ToolOutcome } from "../client/wire.ts";
import { bytes, count, duration, money } from "./quantities.ts";
import { oneLine } from "./terminal.ts";

/** As code: `refund(orderId: "A-1001", amountUsd: 80)`. */
export function callText(tool: string, input: Json): string {
  if (!isObject(input)) return `${oneLine(tool)}(${jsonText(input)})`;
  const values = Object.entries(input).map(([name, value]) => `${oneLine(name)}: ${jsonText(value)}`);
  return `${oneLine(tool)}(${values.join(", ")})`;
}

export function jsonText(value: Json): string {
  return oneLine(JSON.stringify(value));
}

export function outcomeText(outcome: ToolOutcome): string {
  if (!outcome.ok) return `${oneLine(outcome.message)} (${outcome.code})`;
  if (outcome.large === undefined) return jsonText(outcome.output);
  return `${bytes(outcome.large.bytes)}, kept as ${outcome.large.hash.slice(0, 12)}…: ${jsonText(outcome.output)}`;
}

/** What became of a conversation that was too long. */
export function shortenedText({ tokens_before: before, tokens_after: after }: CompressionEntry): string {
  return `the conversation from about ${count(before, "token")} to ${after.toLocaleString("en-US")}`;
}

/** Of a message to a task at work. */
export function toldBy({ user_id: userId }: { user_id: string | null }): string {
  return userId === null ? "told" : `told by ${oneLine(userId)}`;
}

export interface Asked {
  readonly kind: ApprovalKind;
  readonly tool: string | null;
  readonly input: Json;
}

/** What a human has to decide. */
export function questionText({ kind, tool, input }: Asked): string {
  const call = tool === null ? "the call" : callText(tool, input);
  switch (kind) {
    case "tool":
      return `May ${call} run?`;
    case "uncertain":
      return `Did ${call} happen?`;
    case "limit":
      return "May the task go on beyond its limit?";
    case "stutter":
      return `${call}, again. May the task go on?`;
  }
}

export interface Decision {
  readonly word: Answer["decision"];
  readonly does: string;
  /** What `holdfast approvals <id> <decision>` takes besides. */
  readonly options?: string;
}

/** The decisions that a question takes. */
export const decisions: Record<ApprovalKind, readonly Decision[]> = {
  tool: [
    { word: "approve", does: "it runs as shown" },
    { word: "deny", does: "it does not run; the agent is told why", options: "--comment '…'" },
    { word: "edit", does: "it runs with other arguments", options: "--input '{…}'" },
  ],
  uncertain: [
    { word: "succeeded", does: "it happened; the agent is told what it answered", options: "--output '{…}'" },
    { word: "failed", does: "it did not happen; the agent is told", options: "--comment '…'" },
    { word: "retry", does: "it runs again" },
  ],
  limit: [
    { word: "continue", does: "the limit is raised" },
    { word: "end", does: "the task ends with what it has" },
  ],
  stutter: [
    { word: "continue", does: "the task goes on, with advice if you give it", options: "--comment '…'" },
    { word: "end", does: "the task ends with what it has" },
  ],
};

export function answerText(answer: Answer): string {
  switch (answer.decision) {
    case "approve":
      return `approved${said(answer.comment)}`;
    case "deny":
      return `denied${said(answer.comment)}`;
    case "edit":
      return `approved with other arguments: ${jsonText(answer.input)}${said(answer.comment)}`;
    case "succeeded":
      return `it happened: ${jsonText(answer.output)}`;
    case "failed":
      return `it did not happen${said(answer.comment)}`;
    case "retry":
      return "run it again";
    case "continue":
      return `go on${said(answer.advice)}${limitsText(answer.limits)}`;
    case "end":
      return "end the task";
  }
}

function said(text = ""): string {
  return text === "" ? "" : `: “${oneLine(text)}”`;
}

function limitsText({
  max_steps: steps,
  tokens,
  cost_usd: usd,
}: Extract<Answer, { decision: "continue" }>["limits"]): string {
  const raised = [
    steps === undefined ? [] : `${count(steps, "step")}`,
    tokens === undefined ? [] : `${count(tokens, "token")}`,
    usd === undefined ? [] : money(usd),
  ].flat();
  return raised.length === 0 ? "" : `, up to ${raised.join(", ")}`;
}

export function statusFormat({ status, error }: Pick<AgentResult, "status" | "error">) {
  if (status === "completed") return error === null ? "green" : "yellow";
  if (status === "failed") return "red";
  if (status === "waiting") return "magenta";
  return status === "cancelled" ? "yellow" : "cyan";
}

/** "completed", or "completed (max_steps_reached)". */
export function statusText({ status, error }: Pick<AgentResult, "status" | "error">): string {
  return error === null || error === status ? status : `${status} (${error})`;
}

/** "2 steps · 834 tokens · $0.0021 · 4.2 s" */
export function usageText(result: AgentResult): string {
  const { steps_used: steps, tokens_used: tokens, cost_usd: usd, duration_ms: ms } = result;
  return [count(steps, "step"), count(tokens, "token"), money(usd), duration(ms)].join(" · ");
}
