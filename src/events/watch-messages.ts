/**
 * What processes say to one another about watched tasks. To all: which tasks one watches. To one who watches: that a task
 * has more entries, that it ended, pieces of its text. What another release says and this one does not know is passed over.
 */
import { isObject } from "../agent/json.ts";
import type { Interest } from "./feeds.ts";
import type { Piece } from "./live-text.ts";
import { packLists, parsePayload } from "./payloads.ts";

/** The name under which every process hears who watches what. */
export const watchName = "watch";

/** What one process says of itself. `hello`: it has just come, and does not know who watches what. */
export interface WatchMessage {
  readonly process: string;
  readonly hello?: boolean;
  readonly watch?: Readonly<Record<string, Interest>>;
  readonly leave?: readonly string[];
}

/** What a watcher is told. */
export type Told =
  | { readonly type: "piece"; readonly taskId: string; readonly piece: Piece }
  /** The journal reaches this entry. */
  | { readonly type: "entries"; readonly taskId: string; readonly seq: number }
  /** It ended, or somebody did something with it: look into the store. */
  | { readonly type: "changed"; readonly taskId: string };

/** Six bytes for each character at worst, so a piece always fits into a payload. */
const mostPieceChars = 1_200;
/** Some fifty bytes for each. */
const tasksPerPayload = 140;

/** As few payloads as they fit in, in order. */
export function packTold(told: readonly Told[]): string[] {
  return packLists(told.flatMap(toItems));
}

export function unpackTold(payload: string): Told[] {
  const items = parsePayload(payload);
  return Array.isArray(items) ? items.flatMap((item) => (Array.isArray(item) ? (toTold(item) ?? []) : [])) : [];
}

function toItems(told: Told): string[] {
  if (told.type === "changed") return [JSON.stringify(["c", told.taskId])];
  if (told.type === "entries") return [JSON.stringify(["e", told.taskId, told.seq])];
  const { type, turn, at, text } = told.piece;
  return slices(text).map((slice) => {
    const offset = type === "text" ? at + slice.at : 0;
    return JSON.stringify([type, told.taskId, turn.afterSeq, turn.epoch, turn.attempt, offset, slice.text]);
  });
}

function slices(text: string): { at: number; text: string }[] {
  const parts: { at: number; text: string }[] = [];
  for (let at = 0; at < text.length || parts.length === 0;) {
    let end = Math.min(text.length, at + mostPieceChars);
    // A character of two halves stays whole.
    if (end < text.length && isHighSurrogate(text.charCodeAt(end - 1))) end -= 1;
    parts.push({ at, text: text.slice(at, end) });
    at = end;
  }
  return parts;
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit < 0xdc00;
}

function toTold([kind, taskId, ...rest]: unknown[]): Told | undefined {
  if (typeof taskId !== "string") return undefined;
  if (kind === "c") return { type: "changed", taskId };
  const [first, epoch, attempt, at, text] = rest;
  if (!isCount(first)) return undefined;
  if (kind === "e") return { type: "entries", taskId, seq: first };
  if (kind !== "text" && kind !== "reasoning") return undefined;
  if (!isCount(epoch) || !isCount(attempt) || !isCount(at) || typeof text !== "string") return undefined;
  return { type: "piece", taskId, piece: { turn: { afterSeq: first, epoch, attempt }, type: kind, at, text } };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

export function packWatches(
  process: string,
  { watch, leave }: { watch: ReadonlyMap<string, Interest>; leave: readonly string[] },
): string[] {
  const watches = [...watch];
  const payloads: WatchMessage[] = [];
  for (let start = 0; start < watches.length; start += tasksPerPayload) {
    payloads.push({ process, watch: Object.fromEntries(watches.slice(start, start + tasksPerPayload)) });
  }
  for (let start = 0; start < leave.length; start += tasksPerPayload) {
    payloads.push({ process, leave: leave.slice(start, start + tasksPerPayload) });
  }
  return payloads.map((message) => JSON.stringify(message));
}

/** Undefined: it is one's own, or makes no sense. */
export function unpackWatches(payload: string, ownProcess: string): WatchMessage | undefined {
  if (payload.startsWith(`{"process":"${ownProcess}"`)) return undefined;
  const message = parsePayload(payload);
  if (!isObject(message)) return undefined;
  const { process, hello, watch, leave } = message;
  if (typeof process !== "string" || !/^[0-9a-f-]{1,40}$/.test(process)) return undefined;
  const watches = isObject(watch) ? Object.entries(watch) : [];
  return {
    process,
    hello: hello === true,
    watch: Object.fromEntries(watches.flatMap(([id, interest]) => (isInterest(interest) ? [[id, interest]] : []))),
    leave: Array.isArray(leave) ? leave.filter((id) => typeof id === "string") : [],
  };
}

function isInterest(value: unknown): value is Interest {
  return value === "events" || value === "end";
}
