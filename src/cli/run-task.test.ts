import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Accepted, Approval, EntryBody, Task, TaskEvent } from "../client/wire.ts";
import { createVirtualClock } from "../testing/virtual-clock.ts";
import type { Client } from "./connect.ts";
import type { Context } from "./context.ts";
import type { LineReader } from "./line-reader.ts";
import { runTask } from "./run-task.ts";
import { plain, type Terminal } from "./terminal.ts";

const message: EntryBody = { kind: "message", message_id: "m", prompt: "In French.", context: null, user_id: null };
const failure: EntryBody = { kind: "failure", code: "model_unavailable", message: "", attempts: [], retry_at: "" };
const question = (id: string): EntryBody => ({
  kind: "question",
  approval_id: id,
  question: "tool",
  call_id: "c",
  tool: "refund",
  input: {},
  input_hash: "",
  reason: "",
});
const result = (id: string): TaskEvent => ({
  type: "result",
  result: { task_id: id, status: "completed", cost_usd: 0 } as Task,
});

/** What a program is told that leaves a message for task "t", whose journal is this. */
async function leaveMessage({ waits, journal, pending = [] }: Script): Promise<{ told: unknown; exitCode: number }> {
  let told: unknown;
  const terminal: Partial<Terminal> = { note() {}, json: (value) => (told = value), paintNote: plain, canAsk: false };
  const client: Partial<Client> = {
    submit: async () => ({ task_id: "t", message_id: "m", status: waits ? "waiting" : "running" }) as Accepted,
    task: async () => ({ task_id: "t", status: "waiting" }) as Task,
    approval: async (id) => ({ id, status: pending.includes(id) ? "pending" : "answered" }) as Approval,
    approvals: async () => ({ items: [], next_cursor: null }),
    async *events(taskId, { after = 0 } = {}) {
      const entries = taskId === "t" ? journal : [];
      for (const [index, body] of entries.entries())
        if (index >= after) yield { type: "entry", entry: { ...body, seq: index + 1, at: "" } };
      yield result(taskId);
    },
  };
  const { exitCode } = await runTask(
    {
      context: { terminal, clock: createVirtualClock() } as Partial<Context> as Context,
      client: client as Client,
      reader: {} as LineReader,
      json: true,
      hostedHere: false,
    },
    { prompt: "In French.", while_busy: "inject" },
  );
  return { told, exitCode };
}

interface Script {
  readonly waits?: boolean;
  readonly journal: readonly EntryBody[];
  /** The questions that nobody has answered. */
  readonly pending?: readonly string[];
}

describe("A message to a task at work", () => {
  test("is followed to the end of the task that hears it, also if that waits for nobody's answer", async () => {
    const { told, exitCode } = await leaveMessage({ waits: true, journal: [failure, question("old"), message] });
    assert.deepEqual([(told as Task).task_id, (told as Task).status, exitCode], ["t", "completed", 0]);
  });

  test("that was never heard is followed as the task it became", async () => {
    const { told, exitCode } = await leaveMessage({ journal: [failure] });
    assert.deepEqual([(told as Task).task_id, exitCode], ["m", 0]);
  });

  test("is left where the task waits for an answer, before or after the message came", async () => {
    for (const waits of [true, false]) {
      const { told, exitCode } = await leaveMessage({ waits, journal: [question("q"), message], pending: ["q"] });
      assert.deepEqual([(told as Task).task_id, (told as Task).status, exitCode], ["t", "waiting", 3]);
    }
  });
});

describe("A deferred task", () => {
  const until = new Date(2026, 10, 22, 14, 5).toISOString();
  const deferred: EntryBody = { kind: "deferred", call_id: "c", model: "openai/gpt-5", until };

  async function defer(more: { json?: boolean; hostedHere?: boolean }) {
    const notes: string[] = [];
    let told: unknown;
    const terminal: Partial<Terminal> = {
      note: (line = "") => void notes.push(line),
      json: (value) => (told = value),
      paintNote: plain,
      canAsk: false,
    };
    const client: Partial<Client> = {
      submit: async () => ({ task_id: "t", session_id: "s", status: "pending" }) as Accepted,
      task: async () => ({ task_id: "t", status: "waiting" }) as Task,
      async *events() {
        yield { type: "entry", entry: { ...deferred, seq: 1, at: "" } };
        throw new Error("The batch takes its time.");
      },
    };
    const context = { terminal, clock: createVirtualClock(), command: "holdfast" } as Partial<Context> as Context;
    const deps = {
      context,
      client: client as Client,
      reader: {} as LineReader,
      json: false,
      hostedHere: false,
      ...more,
    };
    const { exitCode } = await runTask(deps, { prompt: "Sum it up.", deferred: true });
    return { notes, told, exitCode };
  }

  test("is left to its batch: what it waits for, until when, and how to see what comes of it", async () => {
    const { notes, exitCode } = await defer({});
    assert.equal(exitCode, 0);
    assert.deepEqual(notes, [
      "deferred: task t waits for the batch API of openai/gpt-5, at half the price.",
      "If no answer has come by 2026-11-22 14:05, it calls the model directly.",
      "See what comes of it: holdfast task t --follow",
    ]);
  });

  test("that was given to a server which ends with the command says what it needs", async () => {
    const { notes } = await defer({ hostedHere: true });
    assert.equal(notes[2], "No server runs now, and only one sends it: start one with `holdfast dev`.");
  });

  test("is printed for a program as it stands", async () => {
    const { told, notes, exitCode } = await defer({ json: true });
    assert.deepEqual([(told as Task).status, notes, exitCode], ["waiting", [], 0]);
  });
});
