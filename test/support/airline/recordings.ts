/**
 * 100 recorded conversations of a real model, as an airline's agent, with simulated customers (the τ-bench benchmark).
 *
 * The recordings are no part of this repository. They are looked for beside it, under shared/data, or under the directory
 * that HOLDFAST_TEST_DATA names.
 *
 * What is odd about them, and what is made of it:
 * - 76 end with a customer's message that nobody answers ("… ###STOP###"): the simulator hangs up. It is not submitted.
 * - 24 end with a tool's answer, after which the model was not asked again (22 handed over to a human, 2 reached the
 *   benchmark's limit of 30 turns). Holdfast does ask, so the replayed model says nothing there: an empty last turn, and a
 *   task that is completed with the error `empty_answer`.
 * - The simulator reused the ids of calls, even within one conversation. The journal keeps them as they are; to the model
 *   the second call with an id is shown under another one, as providers refuse such conversations.
 * - Tools that fail say so in words ("Error: …"), so to Holdfast these are answers. `think` answers with an empty text.
 * - One call has arguments that its schema does not name, but does not forbid either: it is valid.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Json, JsonObject } from "../../../src/agent/json.ts";

export interface Recording {
  /** Of its agent, its session and its model. */
  readonly name: string;
  readonly exchanges: readonly Exchange[];
  /** What the customer said when hanging up. */
  readonly farewell: string | null;
}

/** A customer's message and what the model said to it. */
export interface Exchange {
  readonly prompt: string;
  readonly turns: readonly Turn[];
  /** The recording ends with a tool's answer, and the last turn is ours: it says nothing. */
  readonly cutOff: boolean;
}

/** What the model said at once: no recorded turn has more than one call. */
export interface Turn {
  readonly text: string;
  readonly call: Call | null;
}

export interface Call {
  readonly id: string;
  readonly tool: string;
  /** To the letter. */
  readonly arguments: string;
  readonly answer: string;
}

export interface AirlineAgent {
  readonly system: string;
  readonly tools: readonly { readonly name: string; readonly description: string; readonly parameters: JsonObject }[];
}

interface RecordedMessage {
  readonly role: "user" | "assistant" | "tool";
  readonly content?: string | null;
  readonly tool_calls?: readonly { id: string; type: string; function: { name: string; arguments: string } }[];
  readonly tool_call_id?: string;
  readonly name?: string;
}

const data = process.env["HOLDFAST_TEST_DATA"] ?? resolve(import.meta.dirname, "../../../../shared/data");
const root = join(data, "airline");

/** Why a test of the recordings cannot run here, or false. */
export const absent = existsSync(root) ? false : `left out: there are no recorded conversations at ${root}`;

export function readAgent(): AirlineAgent {
  return JSON.parse(readFileSync(join(root, "agent.json"), "utf8")) as AirlineAgent;
}

export function readRecordings(): Recording[] {
  const lines = readFileSync(join(root, "conversations.jsonl"), "utf8").trim().split("\n");
  return lines.map((line, index) => {
    const { messages } = JSON.parse(line) as { messages: RecordedMessage[] };
    const recording = toRecording(recordingName(index), messages);
    // Nothing is left out and nothing is added: the recording can be written down again from what was read.
    assert.deepEqual(toMessages(recording), messages.map(normalized), `${recording.name} is read wrongly`);
    return recording;
  });
}

/** All names there can be, for whoever has no need of the conversations themselves. */
export function recordingNames(): string[] {
  return Array.from({ length: 100 }, (_, index) => recordingName(index));
}

function recordingName(index: number): string {
  return `airline-${String(index).padStart(3, "0")}`;
}

function toRecording(name: string, messages: readonly RecordedMessage[]): Recording {
  const starts = messages.flatMap(({ role }, index) => (role === "user" ? [index] : []));
  const exchanges = starts.map((start, index) => toExchange(messages.slice(start, starts[index + 1])));
  const last = exchanges.at(-1);
  const unanswered = last?.turns.length === 0 ? last.prompt : null;
  return { name, exchanges: unanswered === null ? exchanges : exchanges.slice(0, -1), farewell: unanswered };
}

function toExchange([prompt, ...said]: readonly RecordedMessage[]): Exchange {
  const turns = said.flatMap((message, index): Turn[] => {
    if (message.role !== "assistant") return [];
    const call = message.tool_calls?.[0];
    const text = message.content ?? "";
    if (call === undefined) return [{ text, call: null }];
    const { name: tool, arguments: input } = call.function;
    return [{ text, call: { id: call.id, tool, arguments: input, answer: said[index + 1]?.content ?? "" } }];
  });
  const cutOff = said.at(-1)?.role === "tool";
  return { prompt: prompt?.content ?? "", turns: cutOff ? [...turns, { text: "", call: null }] : turns, cutOff };
}

type Message = Record<string, Json>;

function toMessages({ exchanges, farewell }: Recording): Message[] {
  const said = exchanges.flatMap(({ prompt, turns, cutOff }) => [
    { role: "user", content: prompt },
    ...(cutOff ? turns.slice(0, -1) : turns).flatMap(toTurnMessages),
  ]);
  return farewell === null ? said : [...said, { role: "user", content: farewell }];
}

function toTurnMessages({ text, call }: Turn): Message[] {
  if (call === null) return [{ role: "assistant", content: text }];
  const { id, tool, arguments: input, answer } = call;
  return [
    { role: "assistant", content: text, calls: [{ id, type: "function", function: { name: tool, arguments: input } }] },
    { role: "tool", tool_call_id: id, name: tool, content: answer },
  ];
}

/** Without the difference between no text and an empty one. */
function normalized({ role, content, tool_calls, ...rest }: RecordedMessage): Message {
  const calls = tool_calls === undefined ? {} : { calls: tool_calls as unknown as Json };
  return { role, content: content ?? "", ...calls, ...rest };
}
