/**
 * What the processes of crash-points.test.ts do, and die doing: two tasks of one session, with a tool of each effect class
 * and an approval. Effects and acknowledgements go to a file that outlives the process, line by line.
 */
import type { Message } from "../../src/agent/conversation.ts";
import type { Answer, Entry } from "../../src/agent/journal.ts";
import { createHoldfast, defineAgent, defineConfig, defineTool, type Holdfast } from "../../src/index.ts";
import type { Role } from "../../src/holdfast.ts";
import { readSettings } from "../../src/platform/settings.ts";
import type { Database } from "../../src/store/database.ts";
import type { ApprovalRow } from "../../src/store/reads.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import { scriptedGateway, type ScriptedTurn } from "../../src/testing/scripted-model.ts";
import type { Reach } from "./killed-process.ts";
import { openLineFile, type LineFile } from "./line-file.ts";

/** A line of the file. */
export type Line =
  | { readonly type: "effect"; readonly tool: string; readonly call: string; readonly key: string }
  | { readonly type: "accepted"; readonly name: string; readonly taskId: string }
  | { readonly type: "entry"; readonly taskId: string; readonly entry: Entry }
  | { readonly type: "answered"; readonly approvalId: string; readonly answer: Answer }
  | { readonly type: "ended"; readonly name: string; readonly taskId: string; readonly status: string };

type Log = LineFile<Line>;

export function openLog(path: string): Log {
  return openLineFile(path);
}

const turnsOf: Record<string, readonly ScriptedTurn[]> = {
  first: [
    {
      calls: [
        { id: "look", name: "look", input: { call: "look" } },
        { id: "note", name: "note", input: { call: "note" } },
      ],
    },
    { calls: [{ id: "pay", name: "pay", input: { call: "pay", approve: true } }] },
    { text: "First is done." },
  ],
  second: [
    { calls: [{ id: "send", name: "pay", input: { call: "send", approve: false } }] },
    { text: "Second is done." },
  ],
};

interface ScenarioOptions {
  readonly database: Database;
  readonly log: Log;
  readonly reach: Reach;
  readonly leaseMs: number;
  /** Default: all. */
  readonly roles?: readonly Role[];
}

export async function startScenario({ database, log, reach, leaseMs, ...options }: ScenarioOptions): Promise<Holdfast> {
  const effect = async (tool: string, { call }: { call: string }, key: string): Promise<{ done: string }> => {
    await reach(`effect ${call}: before`);
    log.write({ type: "effect", tool, call, key });
    await reach(`effect ${call}: after`);
    return { done: call };
  };
  const input = {
    type: "object",
    properties: { call: { type: "string" }, approve: { type: "boolean" } },
    required: ["call"],
  };
  const common = { version: "1.0.0", description: "Does it.", input };
  const tools = (["look", "note", "pay"] as const).map((name) =>
    defineTool({
      ...common,
      name,
      effect: name === "look" ? "read" : name === "note" ? "idempotent" : "once",
      approval: ({ approve }) => approve === true,
      run: (given, { idempotencyKey }) => effect(name, given as { call: string }, idempotencyKey),
    }),
  );
  const gateway = scriptedGateway(({ messages }) => nextTurn(messages));
  const settings = readSettings({});
  const agents = [defineAgent({ name: "worker", instructions: "Do it.", tools: tools.map(({ name }) => name) })];
  return createHoldfast(defineConfig({ agents, tools }), {
    ...options,
    settings,
    parts: { database, gateway, log: silentLogger },
    tuning: { leaseMs, pollMs: 50 },
  });
}

/** Submits the two tasks of a round, or finds them, and stays until they have ended, answering what is asked. */
export async function playRound(holdfast: Holdfast, round: string, log: Log): Promise<void> {
  const ended = new AbortController();
  const human = answerQuestions(holdfast, log, ended.signal);
  await workThrough(holdfast, round, log);
  ended.abort();
  await human;
}

/** Submits the two tasks of a round, or finds them, and stays until they have ended. */
export async function workThrough(holdfast: Holdfast, round: string, log: Log): Promise<void> {
  const handles = [];
  for (const prompt of ["first", "second"]) {
    const name = `${round}/${prompt}`;
    const handle = await holdfast.submit({ prompt, sessionId: round, idempotencyKey: name });
    log.write({ type: "accepted", name, taskId: handle.id });
    handles.push({ name, handle });
  }
  await Promise.all(
    handles.map(async ({ name, handle }) => {
      for await (const event of handle.events()) {
        if (event.type === "entry") log.write({ type: "entry", taskId: handle.id, entry: event.entry });
        if (event.type === "result") log.write({ type: "ended", name, taskId: handle.id, status: event.result.status });
      }
    }),
  );
}

/** A human who tells the truth: what happened is in the file. */
export async function answerQuestions({ engine }: Holdfast, log: Log, ended: AbortSignal): Promise<void> {
  const tenant = "default";
  while (!ended.aborted) {
    for (const approval of await engine.approvals.list({ tenant, status: "pending", limit: 100 })) {
      const answer = await truth(engine, approval, log);
      await engine.approvals.answer(tenant, approval.id, { answer, by: "ann" });
      log.write({ type: "answered", approvalId: approval.id, answer });
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function truth(engine: Holdfast["engine"], approval: ApprovalRow, log: Log): Promise<Answer> {
  if (approval.kind === "tool") return { decision: "approve" };
  const journal = await engine.journal({ tenant: "default", taskId: approval.taskId, afterSeq: 0, limit: 1_000 });
  const intent = journal.findLast((entry) => entry.kind === "intent" && entry.callId === approval.callId);
  const key = intent?.kind === "intent" ? intent.key : "";
  const happened = log.read().some((line) => line.type === "effect" && line.key === key);
  return happened ? { decision: "succeeded", output: { done: "as a human says" } } : { decision: "retry" };
}

function nextTurn(messages: readonly Message[]): ScriptedTurn {
  const prompt = messages.findLastIndex(({ role }) => role === "user");
  const message = messages[prompt];
  const turns = turnsOf[message?.role === "user" ? message.text : ""] ?? [];
  const turn = turns[messages.slice(prompt).filter(({ role }) => role === "assistant").length];
  if (turn === undefined) throw new Error("The script has no such turn.");
  return turn;
}
