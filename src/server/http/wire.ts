/**
 * From the program's own terms to those of the API: names in snake_case, times in RFC 3339, money in dollars. Only what is
 * ours is renamed; what a user, a model or a tool said goes through untouched. What only a provider understands stays here.
 */
import { textOf, type AssistantPart, type Message } from "../../agent/conversation.ts";
import type * as journal from "../../agent/journal.ts";
import { plannedCalls } from "../../agent/journal.ts";
import type * as wire from "../../client/wire.ts";
import type { AgentResult } from "../../engine/agent-result.ts";
import type { ApprovalRow, SessionRow } from "../../store/reads.ts";
import type { TaskRow } from "../../store/task-row.ts";
import { dollars, time, timeOrNull } from "./wire-values.ts";

const shownPromptChars = 500;

export function toWireResult(result: AgentResult): wire.AgentResult {
  return {
    task_id: result.taskId,
    session_id: result.sessionId,
    status: result.status,
    output: result.output,
    steps_used: result.stepsUsed,
    tokens_used: result.tokensUsed,
    tool_calls: result.toolCalls,
    cost_usd: result.costUsd,
    error: result.error,
    duration_ms: result.durationMs,
  };
}

export function linksOf(taskId: string): wire.TaskLinks {
  const self = `/tasks/${taskId}`;
  return { self, events: `${self}/events`, journal: `${self}/journal`, cancel: `${self}/cancel` };
}

export function toAccepted({
  task,
  messageId = null,
}: {
  task: AgentResult;
  messageId?: string | null;
}): wire.Accepted {
  const { taskId, sessionId, status } = task;
  const message = messageId === null ? {} : { message_id: messageId };
  return { task_id: taskId, session_id: sessionId, status, ...message, links: linksOf(taskId) };
}

/** The result is given apart: of a running task the row does not know it. */
export function toWireTask(row: TaskRow, result: AgentResult): wire.Task {
  return {
    ...toWireResult(result),
    agent: row.agent,
    user_id: row.userId,
    priority: row.priority,
    prompt: row.input.prompt,
    context: row.input.context,
    metadata: row.metadata,
    dead_letter: row.deadLetter,
    forked_from: row.forkedFrom,
    error_message: row.errorMessage === "" ? null : row.errorMessage,
    created_at: time(row.createdAt),
    started_at: timeOrNull(row.startedAt),
    finished_at: timeOrNull(row.finishedAt),
  };
}

/** From the row alone, so that a list of many running tasks does not read their journals. */
export function toTaskSummary(row: TaskRow, now: number): wire.TaskSummary {
  const { id, sessionId, status, stepsUsed, tokensUsed, toolCalls, error } = row;
  const {
    context: _context,
    metadata: _metadata,
    ...summary
  } = toWireTask(row, {
    taskId: id,
    sessionId,
    status,
    output: row.output ?? "",
    stepsUsed,
    tokensUsed,
    toolCalls,
    costUsd: dollars(row.costMicros),
    error,
    durationMs: Math.max(0, (row.finishedAt ?? now) - row.createdAt),
  });
  return { ...summary, prompt: beginning(summary.prompt) };
}

/** Never half of a surrogate pair. */
function beginning(text: string): string {
  return text.slice(0, shownPromptChars).replace(/[\uD800-\uDBFF]$/, "");
}

export function toWireEntry(entry: journal.Entry): wire.Entry {
  return { seq: entry.seq, at: time(entry.at), ...toWireBody(entry) };
}

function toWireBody(entry: journal.EntryBody): wire.EntryBody {
  switch (entry.kind) {
    case "assignment":
      return toWireAssignment(entry);
    case "model":
      return toWireTurn(entry);
    case "compression":
      return {
        kind: "compression",
        kept_turns: entry.keptTurns,
        outcome_chars: entry.outcomeChars,
        summary: entry.summary,
        model: entry.model,
        usage: entry.usage,
        cost_usd: dollars(entry.costMicros),
        attempts: entry.attempts.map(toWireAttempt),
        tokens_before: entry.tokensBefore,
        tokens_after: entry.tokensAfter,
      };
    case "deferred":
      return { kind: "deferred", call_id: entry.callId, model: entry.model, until: time(entry.until) };
    case "intent":
      return { kind: "intent", call_id: entry.callId, tool: entry.tool, key: entry.key };
    case "tool":
      return { kind: "tool", call_id: entry.callId, tool: entry.tool, outcome: entry.outcome, ms: entry.ms };
    case "question":
      return {
        kind: "question",
        approval_id: entry.approvalId,
        question: entry.question,
        call_id: entry.callId,
        tool: entry.tool,
        input: entry.input,
        input_hash: entry.inputHash,
        reason: entry.reason,
      };
    case "answer":
      return { kind: "answer", approval_id: entry.approvalId, answer: toWireAnswer(entry.answer), by: entry.by };
    case "message":
      return {
        kind: "message",
        message_id: entry.messageId,
        prompt: entry.prompt,
        context: entry.context,
        user_id: entry.userId,
      };
    case "failure":
      return {
        kind: "failure",
        code: entry.code,
        message: entry.message,
        attempts: entry.attempts.map(toWireAttempt),
        retry_at: timeOrNull(entry.retryAt),
      };
    case "replay":
      return { kind: "replay", prompt: entry.prompt, by: entry.by };
    case "end":
      return { kind: "end", status: entry.status, error: entry.error, message: entry.message };
  }
}

function toWireAssignment({ agent, method, reason, scores, model, usage, costMicros = null }: journal.AssignmentEntry) {
  const took = model === undefined || usage === undefined ? {} : { model, usage, cost_usd: dollars(costMicros) };
  return { kind: "assignment" as const, agent, method, reason, scores: [...scores], ...took };
}

function toWireTurn(turn: journal.ModelEntry): wire.ModelEntry {
  return {
    kind: "model",
    parts: turn.parts.map(toWirePart),
    calls: plannedCalls(turn).map(({ needsApproval, ...call }) => ({ ...call, needs_approval: needsApproval })),
    finish: turn.finish,
    model: turn.model,
    usage: turn.usage,
    cost_usd: dollars(turn.costMicros),
    ttft_ms: turn.ttftMs,
    tpot_ms: turn.tpotMs,
    attempts: turn.attempts.map(toWireAttempt),
    ...(turn.choice && { choice: turn.choice }),
    ...(turn.injected && { injected: turn.injected }),
    ...(turn.hit && { hit: turn.hit }),
    ...(turn.saved && { saved: { usage: turn.saved.usage, cost_usd: dollars(turn.saved.costMicros) } }),
  };
}

function toWireAttempt({ at, costMicros, ...attempt }: journal.FailedAttempt): wire.FailedAttempt {
  return {
    ...attempt,
    ...(at !== undefined && { at: time(at) }),
    ...(costMicros !== undefined && { cost_usd: dollars(costMicros) }),
  };
}

function toWirePart(part: AssistantPart): wire.AssistantPart {
  if (part.type !== "call") return { type: part.type, text: part.text };
  return { type: "call", id: part.id, tool: part.tool, input: part.input };
}

export function toWireApproval(row: ApprovalRow): wire.Approval {
  return {
    id: row.id,
    task_id: row.taskId,
    agent: row.agent,
    kind: row.kind,
    call_id: row.callId,
    tool: row.tool,
    input: row.input,
    input_hash: row.inputHash,
    reason: row.reason,
    status: row.status,
    // The column holds what `answer` of this program wrote, and nothing else.
    answer: row.answer === null ? null : toWireAnswer(row.answer as unknown as journal.Answer),
    answered_by: row.answeredBy,
    created_at: time(row.createdAt),
    answered_at: timeOrNull(row.answeredAt),
    expires_at: timeOrNull(row.expiresAt),
  };
}

function toWireAnswer(answer: journal.Answer): wire.Answer {
  if (answer.decision !== "continue") return answer;
  const { maxSteps, tokens, costMicros } = answer.limits;
  return {
    decision: "continue",
    advice: answer.advice,
    limits: {
      ...(maxSteps !== undefined && { max_steps: maxSteps }),
      ...(tokens !== undefined && { tokens }),
      ...(costMicros !== undefined && { cost_usd: dollars(costMicros) }),
    },
  };
}

export function toWireSession({ id, openTasks, createdAt, updatedAt }: SessionRow): wire.Session {
  return { session_id: id, open_tasks: openTasks, created_at: time(createdAt), updated_at: time(updatedAt) };
}

export function toWireMessage(taskId: string, message: Message): wire.Message {
  if (message.role === "user") return { role: "user", content: message.text, task_id: taskId };
  if (message.role === "tool") {
    const { callId, tool, outcome } = message;
    const said = { role: "tool" as const, tool_call_id: callId, name: tool, task_id: taskId };
    if (!outcome.ok) return { ...said, content: outcome.message, error: outcome.code };
    return { ...said, content: typeof outcome.output === "string" ? outcome.output : JSON.stringify(outcome.output) };
  }
  const calls = message.parts.flatMap((part) =>
    part.type === "call" ? [{ id: part.id, name: part.tool, arguments: part.input }] : [],
  );
  return {
    role: "assistant",
    content: textOf(message.parts),
    ...(calls.length > 0 && { tool_calls: calls }),
    task_id: taskId,
  };
}
