import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startService, type TestService } from "../../test/support/http-service.ts";
import { obedientModel } from "../../test/support/obedient-model.ts";
import { ConflictError, InvalidInputError, NotFoundError } from "../platform/errors.ts";
import { createVirtualClock } from "../testing/virtual-clock.ts";
import { createClient, type Client, type TaskEvent } from "./index.ts";

const model = obedientModel();
let service: TestService;
let client: Client;
before(async () => {
  service = await startService({ gateway: model });
  client = service.client;
});
after(() => service.close());

async function collect(events: AsyncIterable<TaskEvent>): Promise<TaskEvent[]> {
  const all: TaskEvent[] = [];
  for await (const event of events) all.push(event);
  return all;
}

const seqsOf = (events: readonly TaskEvent[]) =>
  events.flatMap((event) => (event.type === "entry" ? [event.entry.seq] : []));

describe("The client", () => {
  test("speaks to every route", async () => {
    const ran = await client.run({ agent: "desk", prompt: "say hello", session_id: "client" });
    assert.equal(ran.output, "hello");
    const { task_id: id } = await client.submit(
      { agent: "desk", prompt: "say bye", session_id: "client" },
      { idempotencyKey: "c-1" },
    );
    assert.equal((await collect(client.events(id))).at(-1)?.type, "result");
    assert.equal((await client.task(id)).output, "bye");
    assert.equal((await client.tasks({ session_id: "client", limit: 1 })).items.length, 1);
    assert.equal((await client.journal(id)).items.at(-1)?.kind, "end");
    assert.equal((await client.messages("client")).items.length, 4);
    assert.equal((await client.session("client")).open_tasks, 0);
    const [first] = await client.submitBatch([{ agent: "desk", prompt: "fail" }]);
    assert.ok(first !== undefined && "task" in first);
    await service.result(first.task.task_id);
    assert.equal((await client.deadLetters()).items[0]?.task_id, first.task.task_id);
    await client.retry(first.task.task_id);
    await service.result(first.task.task_id);
    await client.discard(first.task.task_id);
    const fork = await client.fork(id, { prompt: "say again" });
    assert.equal((await service.result(fork.task_id)).output, "again");
    assert.deepEqual((await client.approvals()).items, []);
    assert.equal((await client.agents()).items.length, 2);
    assert.equal((await client.agent("desk")).tools.length, 4);
    assert.equal((await client.ready()).status, "ready");
    await client.deleteSession("client");
    await assert.rejects(client.session("client"), NotFoundError);
  });

  test("throws what the service refuses, with its code and path", async () => {
    await assert.rejects(client.submit({ agent: "desk", prompt: "" }), (error) => {
      return error instanceof InvalidInputError && error.code === "invalid_request" && error.path === "/prompt";
    });
    await assert.rejects(client.approval("01890000-0000-7000-8000-000000000000"), { code: "approval_not_found" });
    const { task_id: id } = await client.run({ agent: "desk", prompt: "say x" });
    await assert.rejects(client.cancel(id), ConflictError);
  });

  test("says what to look at where no service answers, and where something else does", async () => {
    const nowhere = createClient({ baseUrl: "http://127.0.0.1:9" });
    await assert.rejects(nowhere.agents(), { code: "service_unreachable", message: /Is the service running\?/ });
    await assert.rejects(collect(nowhere.events("x")), { code: "service_unreachable" });
    const other = createClient({
      baseUrl: "http://x",
      fetch: async () => new Response("<h1>Bad gateway</h1>", { status: 502 }),
    });
    await assert.rejects(other.agents(), { code: "unexpected_answer", message: /502/ });
    const portal = createClient({ baseUrl: "http://x", fetch: async () => new Response("<h1>Sign in</h1>") });
    await assert.rejects(portal.agents(), { code: "unexpected_answer", message: /Sign in/ });
  });

  test("says so where an answer breaks off, and of an error too", async () => {
    for (const status of [200, 404]) {
      const broken = () => new ReadableStream({ start: (controller) => controller.error(new TypeError("terminated")) });
      const fetchBroken = async () => new Response(broken(), { status });
      const halfway = createClient({ baseUrl: "http://x", fetch: fetchBroken });
      await assert.rejects(halfway.agents(), { code: "service_unreachable", message: /terminated/ });
    }
  });

  test("says when to come again as the service did, and after a second if it did not", async () => {
    const headers = [{ "retry-after": "30" }, { "retry-after": "Fri, 01 Jan 2027 00:00:00 GMT" }, undefined];
    for (const [index, status] of [429, 503, 503].entries()) {
      const fetchRefusal = async () => Response.json({ code: "queue_full" }, { status, headers: headers[index] ?? {} });
      const busy = createClient({ baseUrl: "http://x", fetch: fetchRefusal });
      const retry = { afterMs: index === 0 ? 30_000 : 1_000 };
      await assert.rejects(busy.submit({ prompt: "say x" }), { name: "UnavailableError", code: "queue_full", retry });
    }
  });

  test("sends the headers it was given, and takes a base with a slash", async () => {
    const sent: [string, string | null][] = [];
    const spy = createClient({
      baseUrl: "http://x/holdfast/",
      headers: { authorization: "Bearer t" },
      fetch: async (url, init) => {
        const request = new Request(url, init);
        sent.push([request.url, request.headers.get("authorization")]);
        return Response.json({ items: [], next_cursor: null });
      },
    });
    await spy.tasks({ limit: 5, session_id: "a&b" });
    assert.deepEqual(sent, [["http://x/holdfast/tasks?limit=5&session_id=a%26b", "Bearer t"]]);
  });
});

/** A fetch whose event streams break after that many bytes: all of them, or the first few. */
function breaking(
  bytes: number,
  mostBroken = Number.POSITIVE_INFINITY,
): { fetch: typeof fetch; connections: () => number } {
  let connections = 0;
  return {
    connections: () => connections,
    fetch: async (url, init) => {
      const response = await fetch(url, init);
      if (!new Request(url).url.endsWith("/events") || response.body === null) return response;
      connections += 1;
      if (connections > mostBroken) return response;
      let left = bytes;
      const cut = new TransformStream<Uint8Array, Uint8Array>({
        transform(chunk, controller) {
          controller.enqueue(chunk.subarray(0, left));
          left -= chunk.length;
          if (left <= 0) controller.error(new TypeError("terminated"));
        },
      });
      return new Response(response.body.pipeThrough(cut), response);
    },
  };
}

describe("The events of a task", () => {
  test("come without loss or repeat over connections that break anywhere", async () => {
    const { task_id: id } = await client.run({ agent: "desk", prompt: 'call find {"orderId":"A-1"}' });
    const whole = await collect(client.events(id));
    const { length } = await (await fetch(`${service.url}/tasks/${id}/events`)).text();
    let broken = 0;
    // The first entry must fit, or no connection would ever get further than the one before.
    for (let bytes = 700; bytes < length; bytes += 31) {
      const cut = breaking(bytes);
      const clock = createVirtualClock();
      const reading = collect(createClient({ baseUrl: service.url, fetch: cut.fetch, clock }).events(id));
      let isReading = true;
      const events = reading.finally(() => (isReading = false));
      while (isReading) await clock.advance(1_000);
      assert.deepEqual(seqsOf(await events), [1, 2, 3, 4], `cut after ${bytes} bytes`);
      assert.deepEqual((await events).at(-1), whole.at(-1));
      broken += cut.connections() - 1;
    }
    assert.ok(broken > 5, `only ${broken} connections broke`);
  });

  test("of a task that runs go on over a connection that breaks in the middle of an answer", async () => {
    const { task_id: id } = await client.submit({ agent: "desk", prompt: "wait resume" });
    await model.reached("resume");
    const cut = breaking(60, 1);
    const seen: TaskEvent[] = [];
    for await (const event of createClient({ baseUrl: service.url, fetch: cut.fetch }).events(id)) {
      seen.push(event);
      if (event.type === "partial") model.open("resume");
    }
    assert.deepEqual(seen[0], { type: "partial", text: "wai" });
    assert.deepEqual(seqsOf(seen), [1, 2]);
    assert.equal(cut.connections(), 2);
  });

  test("end when the caller leaves", async () => {
    const { task_id: id } = await client.submit({ agent: "desk", prompt: "wait leave" });
    await model.reached("leave");
    const leave = new AbortController();
    const seen: string[] = [];
    for await (const event of client.events(id, { signal: leave.signal })) {
      seen.push(event.type);
      leave.abort();
    }
    assert.deepEqual(seen, ["partial"]);
    model.open("leave");
  });
});

/** A service that answers each connection with the next of these, and then none any more. */
function scripted(answers: readonly (string | Error | Response)[]): { fetch: typeof fetch; asked: (string | null)[] } {
  const asked: (string | null)[] = [];
  return {
    asked,
    fetch: async (_url, init) => {
      const answer = answers[asked.length] ?? new TypeError("connection refused");
      asked.push(new Headers(init?.headers).get("last-event-id"));
      if (answer instanceof Error) throw answer;
      return answer instanceof Response
        ? answer
        : new Response(answer, { headers: { "content-type": "text/event-stream" } });
    },
  };
}

const entry = (seq: number): string =>
  `id: ${seq}\nevent: entry\ndata: {"seq":${seq},"kind":"replay","prompt":null,"by":"x"}\n\n`;
const result = 'event: result\ndata: {"task_id":"t","status":"completed"}\n\n';

async function follow(answers: readonly (string | Error | Response)[], after = 0) {
  const { fetch: scriptedFetch, asked } = scripted(answers);
  const clock = createVirtualClock();
  const reading = collect(createClient({ baseUrl: "http://x", fetch: scriptedFetch, clock }).events("t", { after }));
  let isReading = true;
  const settled = reading
    .then(
      (events) => ({ events, error: undefined }),
      (error: unknown) => ({ events: [], error }),
    )
    .finally(() => (isReading = false));
  while (isReading) await clock.advance(1_000);
  return { ...(await settled), asked, elapsedMs: clock.now() };
}

describe("A broken stream", () => {
  test("is followed from the last entry, and what comes again is left out", async () => {
    const { events, asked } = await follow([
      entry(1) + entry(2),
      new TypeError("refused"),
      entry(2) + entry(3) + result,
    ]);
    assert.deepEqual(seqsOf(events), [1, 2, 3]);
    assert.deepEqual(asked, [null, "2", "2"]);
  });

  test("that swallowed an entry is asked again", async () => {
    const { events, asked } = await follow([entry(1) + entry(3), entry(2) + entry(3) + result]);
    assert.deepEqual(seqsOf(events), [1, 2, 3]);
    assert.deepEqual(asked, [null, "1"]);
  });

  test("of a task that has ended in between brings the result", async () => {
    const task = { task_id: "t", status: "completed", output: "x", prompt: "p" };
    const { events } = await follow([entry(1), new Response(null, { status: 204 }), Response.json(task)]);
    assert.deepEqual(seqsOf(events), [1]);
    const last = events.at(-1);
    assert.equal(last?.type === "result" && last.result.output, "x");
  });

  test("that falls silent is given up for another", async () => {
    const silent = new Response(
      new ReadableStream({ start: (controller) => controller.enqueue(new TextEncoder().encode(entry(1))) }),
    );
    const { events, elapsedMs } = await follow([silent, entry(2) + result]);
    assert.deepEqual(seqsOf(events), [1, 2]);
    assert.ok(elapsedMs >= 45_000, `after ${elapsedMs} ms`);
  });

  test("of a service that is gone for good is an error after some minutes, and not before", async () => {
    const { error, asked, elapsedMs } = await follow([entry(1)]);
    assert.equal((error as { code: string }).code, "service_unreachable");
    assert.equal(asked.length, 22);
    assert.ok(elapsedMs > 60_000 && elapsedMs < 600_000, `after ${elapsedMs} ms`);
  });

  test("is left alone for as long as a busy service asks for, but not for more than a minute", async () => {
    for (const [asked, least, most] of [
      [30, 30_000, 40_000],
      [3_600, 60_000, 70_000],
    ] as const) {
      const busy = Response.json({ code: "overloaded" }, { status: 503, headers: { "retry-after": String(asked) } });
      const { events, elapsedMs } = await follow([entry(1), busy, entry(2) + result]);
      assert.deepEqual(seqsOf(events), [1, 2]);
      assert.ok(elapsedMs >= least && elapsedMs <= most, `asked for ${asked} s, came after ${elapsedMs} ms`);
    }
  });

  test("whose task was deleted is an error at once", async () => {
    const gone = Response.json({ code: "task_not_found", detail: "There is no task t." }, { status: 404 });
    const { error, asked } = await follow([entry(1), gone]);
    assert.equal((error as { code: string }).code, "task_not_found");
    assert.equal(asked.length, 2);
  });
});
