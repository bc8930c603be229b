import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Entry, EntryBody, TaskEvent } from "../client/wire.ts";
import { createLiveView } from "./live-view.ts";
import { plain, type Terminal } from "./terminal.ts";

/** What stands on stdout and on stderr after these events. */
function shown(...events: TaskEvent[]): { out: string; notes: string[] } {
  let out = "";
  const notes: string[] = [];
  const terminal: Partial<Terminal> = {
    write: (text) => {
      out += text;
    },
    note: (line = "") => {
      notes.push(line);
    },
    paintNote: plain,
    width: undefined,
  };
  const view = createLiveView(terminal as Terminal);
  for (const event of events) view.show(event);
  return { out, notes };
}

const text = (piece: string): TaskEvent => ({ type: "delta", delta: { type: "text", text: piece } });
const entry = (body: EntryBody): TaskEvent => ({ type: "entry", entry: { ...body, seq: 1, at: "" } as Entry });
const said = (whole: string): TaskEvent =>
  entry({
    kind: "model",
    parts: [{ type: "text", text: whole }],
    calls: [],
    finish: "stop",
    model: "m/m",
    usage: { input: 1, cached: 0, output: 1, reasoning: 0, estimated: false },
    cost_usd: 0,
    ttft_ms: 0,
    tpot_ms: 0,
    attempts: [],
  });

describe("A task as it happens", () => {
  test("what the task was told meanwhile is noted between the text before and after it", () => {
    const message = entry({ kind: "message", message_id: "m", prompt: "A poem.", context: null, user_id: null });
    const { out, notes } = shown(text("Once"), said("Once"), message, said("Roses."));
    assert.deepEqual([out, notes], ["Once\nRoses.\n", ["told: A poem."]]);
  });

  test("text is shown once: as it comes, or from its entry if it did not", () => {
    assert.equal(shown(text("Hel"), text("lo"), said("Hello")).out, "Hello\n");
    assert.equal(shown(said("Hello")).out, "Hello\n");
    assert.equal(shown(text("Hel"), said("Hello")).out, "Hello\n");
    assert.equal(shown({ type: "partial", text: "Hel" }, text("lo"), said("Hello")).out, "Hello\n");
    assert.equal(shown(text("One"), said("One"), text("Two"), said("Two")).out, "One\nTwo\n");
  });

  test("a partial after a break goes on from what is shown, or begins a new line", () => {
    assert.equal(shown(text("Hel"), { type: "partial", text: "Hello wo" }, text("rld")).out, "Hello world");
    assert.equal(shown(text("Draft"), { type: "partial", text: "Hello" }).out, "Draft\nHello");
  });

  test("an attempt that was cut off is said to begin again", () => {
    const { out, notes } = shown(
      text("Hal"),
      { type: "delta", delta: { type: "restart" } },
      text("Hello"),
      said("Hello"),
    );
    assert.equal(out, "Hal\nHello\n");
    assert.match(notes[0] ?? "", /begins again/);
  });

  test("calls, outcomes and failures stand on stderr, on lines of their own", () => {
    const { out, notes } = shown(
      text("Let me see"),
      entry({ kind: "tool", call_id: "c", tool: "find", outcome: { ok: true, output: [1] }, ms: 4 }),
      entry({
        kind: "tool",
        call_id: "c",
        tool: "find",
        outcome: { ok: false, code: "tool_failed", message: "No\nway." },
        ms: 4,
      }),
      entry({ kind: "failure", code: "model_down", message: "Down.", attempts: [], retry_at: "2026-01-01T00:00:00Z" }),
    );
    assert.equal(out, "Let me see\n");
    assert.deepEqual(notes, [
      "✓ find, 4 ms: [1]",
      "✗ find, 4 ms: No way. (tool_failed)",
      "! Down. (model_down), trying again",
    ]);
  });

  test("a model cannot move the cursor or rename the window", () => {
    assert.equal(shown(text("a\u001b]0;x\u0007\u001b[2Jb\r")).out, "a]0;x[2Jb");
  });
});
