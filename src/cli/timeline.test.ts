import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Entry, EntryBody, ModelEntry, Task } from "../client/wire.ts";
import { columnsOf } from "./columns.ts";
import { plain } from "./terminal.ts";
import { renderEntry, renderHeading, renderPrompt, type TimelineOptions } from "./timeline.ts";

const startedAt = Date.parse("2026-01-02T03:04:05.000Z");
const wide: TimelineOptions = { paint: plain, width: undefined };

function entryAt(ms: number, body: EntryBody): Entry {
  return { ...body, seq: 1, at: new Date(startedAt + ms).toISOString() };
}

function told(ms: number, body: EntryBody, options = wide): string[] {
  return renderEntry(entryAt(ms, body), startedAt, options);
}

function turn(options: Partial<ModelEntry>): ModelEntry {
  return {
    kind: "model",
    parts: [],
    calls: [],
    finish: "stop",
    model: "openai/gpt-5",
    usage: { input: 1200, cached: 0, output: 34, reasoning: 0, estimated: false },
    cost_usd: 0.0021,
    ttft_ms: 210,
    tpot_ms: 8,
    attempts: [],
    ...options,
  };
}

const refund = { tool: "refund", input: { orderId: "A-1001", amountUsd: 80 } };

describe("The story of a task", () => {
  test("tells a model turn with its text, its calls and what they cost", () => {
    const lines = told(
      340,
      turn({
        parts: [{ type: "text", text: "I will refund it." }],
        calls: [{ id: "c1", ...refund, needs_approval: true }],
        attempts: [{ model: "openai/gpt-5", code: "model_rate_limited", message: "Too many requests.", ms: 1500 }],
      }),
    );
    assert.deepEqual(lines, [
      "    +340 ms  model openai/gpt-5, 1,234 tokens, $0.0021, first token after 210 ms",
      "             ✗ openai/gpt-5 after 1.5 s: Too many requests. (model_rate_limited)",
      "             I will refund it.",
      '             → refund(orderId: "A-1001", amountUsd: 80) needs approval',
    ]);
  });

  test("tells what a user said meanwhile, and which turn that cut off", () => {
    const cut = told(340, turn({ finish: "interrupted", parts: [{ type: "text", text: "Once" }] }));
    assert.match(cut[0] ?? "", /first token after 210 ms interrupted$/);
    const message = { kind: "message", message_id: "m", prompt: "In French.\nAnd short.", context: null } as const;
    assert.deepEqual(told(400, { ...message, user_id: "ann" }), [
      "    +400 ms  told by ann",
      "             In French.",
      "             And short.",
    ]);
    assert.equal(told(400, { ...message, user_id: null })[0], "    +400 ms  told");
  });

  test("tells what a human was asked, and by whom it was decided", () => {
    const question = told(400, {
      kind: "question",
      approval_id: "0192f1c4-7d3a-7b5e-9c1d-2e8f4a6b0c1d",
      question: "tool",
      call_id: "c1",
      ...refund,
      input_hash: "",
      reason: "This call needs a human's approval.",
    });
    assert.deepEqual(question, [
      '    +400 ms  asks a human: May refund(orderId: "A-1001", amountUsd: 80) run?',
      "             This call needs a human's approval.",
      "             approval 0192f1c4-7d3a-7b5e-9c1d-2e8f4a6b0c1d",
    ]);
    const denied = told(190_000, {
      kind: "answer",
      approval_id: "",
      by: "ada",
      answer: { decision: "deny", comment: "Too much." },
    });
    assert.deepEqual(denied, ["  +3 m 10 s  answered by ada: denied: “Too much.”"]);
  });

  test("tells the intent of an effect, and what came of it", () => {
    assert.deepEqual(told(500, { kind: "intent", call_id: "c1", tool: "refund", key: "t:2:0" }), [
      "    +500 ms  begins refund (takes effect once, key t:2:0)",
    ]);
    const done = told(800, {
      kind: "tool",
      call_id: "c1",
      tool: "refund",
      outcome: { ok: true, output: { refundId: "R-1" } },
      ms: 300,
    });
    assert.deepEqual(done, ['    +800 ms  ✓ refund, 300 ms: {"refundId":"R-1"}']);
    const failed = told(800, {
      kind: "tool",
      call_id: "c1",
      tool: "refund",
      outcome: { ok: false, code: "tool_failed", message: "No." },
      ms: 3,
    });
    assert.deepEqual(failed, ["    +800 ms  ✗ refund, 3 ms: No. (tool_failed)"]);
  });

  test("tells a failure with the time of the next try, or that there is none", () => {
    const failure = { kind: "failure" as const, code: "model_unavailable", message: "No model answers.", attempts: [] };
    const retryAt = new Date(startedAt + 4000).toISOString();
    assert.deepEqual(told(2000, { ...failure, retry_at: retryAt }), [
      "     +2.0 s  failed: No model answers. (model_unavailable), tries again 2.0 s later",
    ]);
    assert.deepEqual(told(2000, { ...failure, retry_at: null }), [
      "     +2.0 s  failed: No model answers. (model_unavailable), and is not tried again",
    ]);
  });

  test("shows what a call is asked to do to the last letter, and cuts what a tool answered", () => {
    const narrow = { paint: plain, width: 60 };
    const long = "word ".repeat(40).trim();
    const asked = told(
      1,
      turn({ calls: [{ id: "c", tool: "say", input: { text: long }, needs_approval: false }] }),
      narrow,
    );
    assert.ok(
      asked
        .join(" ")
        .split(/\s+/)
        .filter((word) => word.includes("word")).length === 40,
    );
    const answered = told(
      1,
      { kind: "tool", call_id: "c", tool: "say", outcome: { ok: true, output: long }, ms: 1 },
      narrow,
    );
    assert.equal(answered.length, 1);
    assert.ok([...asked, ...answered].every((line) => columnsOf(line) <= 60));
  });

  test("shows no control character of what a model, a tool or a user said", () => {
    const evil = "\u001b]0;title\u0007\u001b[2Jhello\r\u202e";
    const lines = [
      ...told(
        1,
        turn({
          parts: [{ type: "text", text: evil }],
          calls: [{ id: "c", tool: evil, input: evil, needs_approval: false }],
        }),
      ),
      ...told(1, { kind: "tool", call_id: "c", tool: "t", outcome: { ok: false, code: "x", message: evil }, ms: 1 }),
      ...told(1, { kind: "answer", approval_id: "", by: evil, answer: { decision: "deny", comment: evil } }),
      ...told(1, { kind: "end", status: "failed", error: "x", message: evil }),
      ...renderPrompt(taskOf({ prompt: evil }), wide),
      ...renderHeading(taskOf({ session_id: evil, error_message: evil }), wide),
    ];
    assert.match(lines.join("\n"), /hello/);
    // oxlint-disable-next-line no-control-regex -- control characters are the point
    assert.doesNotMatch(lines.join("\n"), /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
  });

  test("begins with what the task is, how it stands and what it was asked", () => {
    const task = taskOf({ status: "failed", error: "tool_broken", error_message: "It broke.", dead_letter: true });
    assert.deepEqual(renderHeading(task, wide), [
      "task    0192f1c4-7d3a-7b5e-9c1d-2e8f4a6b0c1d  dead letter",
      "session s-1",
      "agent   support",
      "status  failed (tool_broken) · 2 steps · 1,234 tokens · $0.0021 · 4.2 s",
      "why     It broke.",
    ]);
    assert.match(renderPrompt(task, wide)[0] ?? "", /^ {8}0 s {2}asked \d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/);
    assert.equal(renderPrompt(task, wide)[1], "             Refund A-1001");
  });
});

function taskOf(options: Partial<Task>): Task {
  return {
    task_id: "0192f1c4-7d3a-7b5e-9c1d-2e8f4a6b0c1d",
    session_id: "s-1",
    status: "completed",
    output: "",
    steps_used: 2,
    tokens_used: 1234,
    tool_calls: 1,
    cost_usd: 0.0021,
    error: null,
    duration_ms: 4200,
    agent: "support",
    user_id: null,
    priority: 0,
    prompt: "Refund A-1001",
    dead_letter: false,
    forked_from: null,
    error_message: null,
    created_at: new Date(startedAt).toISOString(),
    started_at: null,
    finished_at: null,
    context: null,
    metadata: {},
    ...options,
  };
}
