/**
 * A customer of the service: says what the recorded one said, one message after another, over HTTP. Whatever breaks is tried
 * again, with the same Idempotency-Key or from the last event that came.
 */
import assert from "node:assert/strict";
import { createParser, type EventSourceMessage } from "eventsource-parser";
import type { Accepted, AgentResult, Entry, Page, TaskBody } from "../../../src/client/wire.ts";
import { systemClock } from "../../../src/platform/clock.ts";
import type { Recording } from "./recordings.ts";

export interface Api {
  get<Answer>(path: string): Promise<Answer>;
  post<Answer>(path: string, request: { body: object; key: string }): Promise<Answer>;
  /** All pages of a list. */
  list<Item>(path: string): Promise<Page<Item>["items"][]>;
  /** The task's events until its end. */
  watch(taskId: string): Promise<Watched>;
  /** Requests and streams that broke and were tried again. */
  readonly broken: number;
}

export interface Watched {
  readonly entries: readonly Entry[];
  readonly result: AgentResult;
  /** Texts that a reader was shown in the making, and that were not what came of them. */
  readonly misshown: readonly string[];
}

/** Nothing in these tests takes as long as this, whatever is killed. */
const patienceMs = 60_000;
/** Between two attempts: a process that says no must not be asked without end. */
const pauseMs = 20;

export function createApi(url: () => Promise<string>): Api {
  let broken = 0;

  /** Reads an answer whole, from whichever process gives one. */
  async function insist<Result>(path: string, read: (at: string) => Promise<Result | undefined>): Promise<Result> {
    const giveUpAt = systemClock.monotonic() + patienceMs;
    for (;;) {
      const base = await url();
      let problem: unknown = "it was put off";
      try {
        const result = await read(base + path);
        if (result !== undefined) return result;
      } catch (error) {
        if (error instanceof assert.AssertionError) throw error;
        problem = error;
      }
      broken += 1;
      await systemClock.sleep(pauseMs);
      if (systemClock.monotonic() > giveUpAt) throw new Error(`${path} cannot be had.`, { cause: problem });
    }
  }

  async function ask<Answer>(path: string, init: RequestInit = {}): Promise<Answer> {
    return insist(path, async (at) => {
      const response = await fetch(at, { ...init, signal: AbortSignal.timeout(patienceMs) });
      const text = await response.text();
      if (response.status === 503) return undefined;
      assert.ok(response.ok, `${init.method ?? "GET"} ${path}: ${response.status} ${text}`);
      return JSON.parse(text) as Answer;
    });
  }

  const get = <Answer>(path: string): Promise<Answer> => ask<Answer>(path);
  return {
    get,
    post: (path, { body, key }) =>
      ask(path, {
        method: "POST",
        headers: { "content-type": "application/json", "idempotency-key": key },
        body: JSON.stringify(body),
      }),
    async list<Item>(path: string) {
      const pages: Item[][] = [];
      for (let cursor: string | null = ""; cursor !== null;) {
        const from: string = cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`;
        const page: Page<Item> = await get(path + from);
        pages.push(page.items);
        cursor = page.next_cursor;
      }
      return pages;
    },
    async watch(taskId) {
      const reader = createReader();
      const path = `/tasks/${taskId}/events`;
      const result = await insist(path, async (at) => {
        const headers: Record<string, string> = reader.lastId === "" ? {} : { "last-event-id": reader.lastId };
        const response = await fetch(at, { headers, signal: AbortSignal.timeout(patienceMs) });
        if (response.status === 503) return undefined;
        // All entries had come, and only the result was cut off.
        if (response.status === 204) return get<AgentResult>(`/tasks/${taskId}`);
        assert.equal(response.status, 200, path);
        return reader.read(response);
      });
      return { entries: reader.entries, result, misshown: reader.misshown };
    },
    get broken() {
      return broken;
    },
  };
}

/** What a client keeps across connections. */
function createReader() {
  const entries: Entry[] = [];
  const misshown: string[] = [];
  let lastId = "";
  let shown = "";
  /** Without any, a partial text may be of the turn before: it is kept a moment longer than the turn is in flight. */
  let hasDeltas = false;
  let result: AgentResult | undefined;

  function onEvent({ event, data, id }: EventSourceMessage): void {
    const told = JSON.parse(data) as never;
    if (event === "result") result = told;
    if (event === "partial") shown = (told as { text: string }).text;
    if (event === "delta") {
      const delta = told as { type: string; text?: string };
      shown = delta.type === "restart" ? "" : shown + (delta.text ?? "");
      hasDeltas = shown !== "";
    }
    if (event !== "entry") return;
    const entry = told as Entry;
    lastId = id ?? "";
    entries.push(entry);
    if (entry.kind !== "model") return;
    const text = entry.parts.map((part) => (part.type === "text" ? part.text : "")).join("");
    if (hasDeltas && !text.startsWith(shown)) misshown.push(shown);
    shown = "";
    hasDeltas = false;
  }

  return {
    entries,
    misshown,
    get lastId() {
      return lastId;
    },
    async read(response: Response): Promise<AgentResult | undefined> {
      const parser = createParser({ onEvent });
      const decoder = new TextDecoder();
      // Of a turn in flight a new connection begins with all there is, or from its start.
      shown = "";
      hasDeltas = false;
      for await (const chunk of response.body ?? []) parser.feed(decoder.decode(chunk as Uint8Array, { stream: true }));
      return result;
    },
  };
}

/** Has the whole conversation. @returns what was watched of each task */
export async function converse(api: Api, { name, exchanges }: Recording): Promise<Watched[]> {
  const tasks: Watched[] = [];
  for (const [index, { prompt }] of exchanges.entries()) {
    const body: TaskBody = { agent: name, session_id: name, prompt };
    const key = `${name} ${index}`;
    // Both doors: one waits for the end, the other is watched from the beginning.
    const { task_id: taskId } =
      index % 2 === 0
        ? await api.post<Accepted>("/tasks", { body, key })
        : await api.post<AgentResult>("/run", { body: { ...body, wait_ms: patienceMs / 2 }, key });
    const watched = await api.watch(taskId);
    tasks.push(watched);
    assert.equal(watched.result.status, "completed", `${name}, task ${index}: ${JSON.stringify(watched.result)}`);
  }
  return tasks;
}
