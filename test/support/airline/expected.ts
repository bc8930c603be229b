/** What a recording must come to: in the eyes of the model, in the journal of a task, and in the session. */
import type { Json } from "../../../src/agent/json.ts";
import type { Entry, Message } from "../../../src/client/wire.ts";
import { effectOf, modelOf, toolVersion } from "./airline-config.ts";
import type { Call, Exchange, Recording, Turn } from "./recordings.ts";

/** A message of a chat completion, its arguments parsed. */
export type ChatMessage = Record<string, Json>;

/** All that the model is shown when it is asked for the turn that comes after `position` others. */
export function chatBefore(recording: Recording, system: string, position: number): ChatMessage[] {
  const chat: ChatMessage[] = [{ role: "system", content: system }];
  const seen = new Map<string, number>();
  let turnsLeft = position;
  for (const { prompt, turns } of recording.exchanges) {
    chat.push({ role: "user", content: prompt });
    for (const turn of turns) {
      if (turnsLeft-- === 0) return chat;
      chat.push(...turnInChat(turn, seen));
    }
  }
  return chat;
}

function turnInChat({ text, call }: Turn, seen: Map<string, number>): ChatMessage[] {
  if (call === null) return [{ role: "assistant", content: text }];
  const count = (seen.get(call.id) ?? 0) + 1;
  seen.set(call.id, count);
  const id = count === 1 ? call.id : `${call.id}_${count}`;
  return [
    {
      role: "assistant",
      // The provider package writes no text as null beside a call.
      content: text === "" ? null : text,
      tool_calls: [{ id, type: "function", function: { name: call.tool, arguments: inputOf(call) } }],
    },
    { role: "tool", tool_call_id: id, content: call.answer },
  ];
}

/** A request's messages in the form of `chatBefore`. */
export function chatOf(messages: Json | undefined): ChatMessage[] {
  return (messages as ChatMessage[]).map((message) => {
    const calls = message["tool_calls"] as { function: { name: string; arguments: string } }[] | undefined;
    if (calls === undefined) return message;
    const parsed = calls.map((call) => ({
      ...call,
      function: { ...call.function, arguments: JSON.parse(call.function.arguments) as Json },
    }));
    return { ...message, tool_calls: parsed };
  });
}

/** The turn at a position of the whole conversation, or undefined after its end. */
export function turnAt({ exchanges }: Recording, position: number): Turn | undefined {
  return exchanges.flatMap(({ turns }) => turns)[position];
}

export function callsOf({ exchanges }: Recording): Call[] {
  return exchanges.flatMap(({ turns }) => turns.flatMap(({ call }) => call ?? []));
}

/** The journal of the task that an exchange is, without its measurements. */
export function journalOf({ name }: Recording, { turns, cutOff }: Exchange): Json[] {
  const entries = turns.flatMap((turn) => turnInJournal(turn, modelOf(name)));
  const end = { kind: "end", status: "completed", error: cutOff ? "empty_answer" : null, message: "" };
  return [...entries, end].map((entry, index) => ({ seq: index + 1, ...entry }));
}

function turnInJournal({ text, call }: Turn, model: string): Record<string, Json>[] {
  const said: Json[] = text === "" ? [] : [{ type: "text", text }];
  if (call === null) return [{ kind: "model", parts: said, calls: [], finish: "stop", model, attempts: [] }];
  const { id, tool, answer } = call;
  const asked = { id, tool, input: inputOf(call) };
  const planned = { ...asked, version: toolVersion, effect: effectOf(tool), needs_approval: false };
  return [
    {
      kind: "model",
      parts: [...said, { type: "call", ...asked }],
      calls: [planned],
      finish: "calls",
      model,
      attempts: [],
    },
    { kind: "tool", call_id: id, tool, outcome: { ok: true, output: answer } },
  ];
}

/** A journal without what differs from run to run: times, tokens and money, and calls whose worker was killed. */
export function storyOf(journal: readonly Entry[]): Json[] {
  return journal
    .filter((entry) => entry.kind !== "failure" || entry.code !== "worker_lost")
    .map((entry, index) => unmeasured({ ...entry, seq: index + 1 }));
}

function unmeasured(entry: Entry): Json {
  const measurements = new Set(["at", "ms", "usage", "cost_usd", "ttft_ms", "tpot_ms"]);
  return Object.fromEntries(Object.entries(entry).filter(([name]) => !measurements.has(name))) as Json;
}

/** What the session holds in the end. `taskIds`: of the exchanges, in order. */
export function sessionOf({ exchanges }: Recording, taskIds: readonly string[]): Message[] {
  return exchanges.flatMap(({ prompt, turns }, index) => {
    const task_id = taskIds[index] ?? "";
    return [
      { role: "user" as const, content: prompt, task_id },
      ...turns.flatMap((turn) => turnInSession(turn, task_id)),
    ];
  });
}

function turnInSession({ text, call }: Turn, task_id: string): Message[] {
  if (call === null) return [{ role: "assistant", content: text, task_id }];
  const { id, tool, answer } = call;
  return [
    { role: "assistant", content: text, tool_calls: [{ id, name: tool, arguments: inputOf(call) }], task_id },
    { role: "tool", tool_call_id: id, name: tool, content: answer, task_id },
  ];
}

export function inputOf(call: Call): Json {
  return JSON.parse(call.arguments) as Json;
}
