import assert from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import { after, before, describe, test } from "node:test";
import { createParser, type EventSourceMessage } from "eventsource-parser";
import { openSocket, startService, type TestService } from "../../../test/support/http-service.ts";
import { obedientModel } from "../../../test/support/obedient-model.ts";
import { scriptedGateway } from "../../testing/scripted-model.ts";
import { createVirtualClock } from "../../testing/virtual-clock.ts";

const model = obedientModel();
const clock = createVirtualClock();
let service: TestService;
before(async () => (service = await startService({ gateway: model, http: { clock } })));
after(() => service.close());

async function submit(prompt: string, fields: object = {}): Promise<string> {
  return (await service.call("POST", "/tasks", { body: { agent: "desk", prompt, ...fields } })).json.task_id as string;
}

interface Stream {
  readonly response: Response;
  /** The next event, or undefined at the end. */
  next(): Promise<EventSourceMessage | undefined>;
  rest(): Promise<EventSourceMessage[]>;
  comments: string[];
  leave(): void;
}

async function open(
  taskId: string,
  { query = "", lastEventId }: { query?: string; lastEventId?: number } = {},
): Promise<Stream> {
  const leave = new AbortController();
  const response = await fetch(`${service.url}/tasks/${taskId}/events${query}`, {
    headers: lastEventId === undefined ? {} : { "last-event-id": String(lastEventId) },
    signal: leave.signal,
  });
  const events: EventSourceMessage[] = [];
  const comments: string[] = [];
  const parser = createParser({ onEvent: (event) => events.push(event), onComment: (text) => comments.push(text) });
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  const next = async (): Promise<EventSourceMessage | undefined> => {
    for (;;) {
      const event = events.shift();
      if (event !== undefined) return event;
      const seen = comments.length;
      const chunk = await reader?.read();
      if (chunk === undefined || chunk.done) return undefined;
      parser.feed(chunk.value);
      if (comments.length > seen && events.length === 0) return { event: "comment", data: comments.at(-1) ?? "" };
    }
  };
  const rest = async (): Promise<EventSourceMessage[]> => {
    const all: EventSourceMessage[] = [];
    for (let event = await next(); event !== undefined; event = await next()) all.push(event);
    return all;
  };
  return { response, next, rest, comments, leave: () => leave.abort() };
}

const kindsOf = (events: readonly EventSourceMessage[]) => events.map(({ event }) => event);
const idsOf = (events: readonly EventSourceMessage[]) =>
  events.flatMap(({ id }) => (id === undefined ? [] : [Number(id)]));

/** Goes on as soon as the condition holds; a condition that never does fails the test. */
async function until(holds: () => boolean): Promise<void> {
  for (let turn = 0; !holds(); turn++) {
    assert.ok(turn < 100_000, "it never came to that");
    await nextTurn();
  }
}

describe("The stream of a task that has ended", () => {
  test("has every entry with its number as the id, then the result, and ends", async () => {
    const id = await submit('call find {"orderId":"A-1"}');
    await service.result(id);
    const stream = await open(id);
    assert.equal(stream.response.headers.get("content-type"), "text/event-stream; charset=utf-8");
    const events = await stream.rest();
    assert.deepEqual(idsOf(events), [1, 2, 3, 4]);
    assert.deepEqual(kindsOf(events), ["entry", "entry", "entry", "entry", "result"]);
    assert.equal(events.at(-1)?.id, undefined);
    const { items } = (await service.call("GET", `/tasks/${id}/journal`)).json;
    assert.deepEqual(
      events.slice(0, -1).map(({ data }) => JSON.parse(data) as unknown),
      items,
    );
  });

  test("resumes after any entry with what comes after it, and tells an EventSource that has all to stop", async () => {
    const id = await submit('call find {"orderId":"A-1"}');
    await service.result(id);
    for (const seq of [0, 1, 2, 3]) {
      const events = await (await open(id, { lastEventId: seq })).rest();
      assert.deepEqual(
        idsOf(events),
        [1, 2, 3, 4].filter((each) => each > seq),
      );
      assert.equal(events.at(-1)?.event, "result");
    }
    assert.equal((await open(id, { lastEventId: 4 })).response.status, 204);
    assert.deepEqual(kindsOf(await (await open(id, { query: "?after=4" })).rest()), ["result"]);
    assert.deepEqual(kindsOf(await (await open(id, { query: "?after=0", lastEventId: 3 })).rest()), [
      "entry",
      "result",
    ]);
    assert.deepEqual(kindsOf(await (await open(id, { lastEventId: 99 })).rest()), ["result"]);
  });
});

describe("The stream of a task that runs", () => {
  test("begins with the text so far for a reader who comes late, and goes on with deltas, none of which has an id", async () => {
    const id = await submit("wait partial");
    await model.reached("partial");
    const stream = await open(id);
    assert.deepEqual(await stream.next(), { id: undefined, event: "partial", data: '{"text":"wai"}' });
    const second = await open(id);
    assert.equal((await second.next())?.data, '{"text":"wai"}');
    model.open("partial");
    for (const each of [stream, second]) {
      const events = await each.rest();
      assert.deepEqual(kindsOf(events), ["delta", "entry", "entry", "result"]);
      assert.deepEqual(events[0], { id: undefined, event: "delta", data: '{"type":"text","text":"ted"}' });
    }
  });

  test("gives a sign of life every 15 seconds", async () => {
    const id = await submit("wait heart");
    await model.reached("heart");
    const stream = await open(id);
    await stream.next();
    for (let beat = 1; beat <= 3; beat++) {
      await clock.advance(15_000);
      assert.equal((await stream.next())?.data, "heartbeat");
    }
    stream.leave();
    model.open("heart");
  });

  test("is let go of when its reader leaves", async () => {
    const id = await submit("wait leave");
    await model.reached("leave");
    await until(() => clock.pending === 0);
    const stream = await open(id);
    await stream.next();
    assert.equal(clock.pending, 1);
    stream.leave();
    await until(() => clock.pending === 0);
    model.open("leave");
    assert.equal((await service.result(id)).status, "completed");
  });
});

test("A reader that takes nothing is dropped, with little in memory for it, and the task goes on", async () => {
  const piece = "x".repeat(1_000_000);
  const scripted = scriptedGateway([{ text: "done" }]);
  let isTalking = true;
  const own = createVirtualClock();
  const flooded = await startService({
    gateway: {
      async call(request) {
        for (; isTalking; await nextTurn()) request.onDelta({ type: "reasoning", text: piece });
        return scripted.call(request);
      },
    },
    http: { clock: own },
  });
  try {
    const { task_id: id } = await flooded.client.submit({ agent: "desk", prompt: "flood" });
    const connection = once(flooded.server.fastify.server, "connection") as Promise<[Socket]>;
    const reader = openSocket(flooded.url);
    reader.on("error", () => {});
    reader.pause();
    reader.write(`GET /tasks/${id}/events HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    const [socket] = await connection;
    const closed = once(socket, "close");
    // The heartbeat, and the patience with a reader that is behind.
    await until(() => own.pending === 2);
    const { writableLength } = socket;
    for (let turn = 0; turn < 100; turn++) await nextTurn();
    assert.equal(socket.writableLength, writableLength, "more was sent to a reader that is behind");
    assert.ok(socket.writableLength < 4_000_000, `${socket.writableLength} bytes wait for a reader that takes none`);
    await own.advance(10_000);
    await closed;
    assert.equal(own.pending, 0);
    isTalking = false;
    assert.equal((await flooded.result(id)).output, "done");
    reader.destroy();
  } finally {
    isTalking = false;
    await flooded.close();
  }
});
