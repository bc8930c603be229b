import assert from "node:assert/strict";
import { test } from "node:test";
import { type MockProviderOptions, startMockProvider } from "./mock-provider.ts";
import { createVirtualClock } from "./virtual-clock.ts";

const chat = { model: "m", messages: [{ role: "user", content: "Hi" }] };

async function serving(options: MockProviderOptions) {
  const server = await startMockProvider(options);
  const post = (path: string, body: unknown, signal?: AbortSignal): Promise<Response> =>
    fetch(`${server.url}${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: typeof body === "string" ? body : JSON.stringify(body),
      ...(signal && { signal }),
    });
  return { server, post, [Symbol.asyncDispose]: () => server.close() };
}

/** What lies at a path into parsed JSON. */
function at(value: unknown, ...path: (string | number)[]): unknown {
  return path.reduce((inner, key) => (inner as Record<string | number, unknown> | undefined)?.[key], value);
}

/** The data of each server-sent event, parsed; "[DONE]" stays text. */
function eventsOf(stream: string): unknown[] {
  const data = stream
    .split("\n")
    .filter((line) => line.startsWith("data: "))
    .map((line) => line.slice(6));
  return data.map((text) => (text === "[DONE]" ? text : JSON.parse(text)));
}

const tools = [{ name: "find_order", description: "", input_schema: { type: "object" } }];
const bodies = {
  "/v1/chat/completions": { ...chat, tools: tools.map((tool) => ({ type: "function", function: tool })) },
  "/v1/messages": { ...chat, system: "Be brief.", max_tokens: 10, tools },
  "/v1/responses": { model: "m", input: [{ role: "user", content: [{ type: "input_text", text: "Hi" }] }], tools },
};
const formats = {
  "/v1/chat/completions": "openai-chat",
  "/v1/messages": "anthropic",
  "/v1/responses": "openai-responses",
};

for (const [path, body] of Object.entries(bodies)) {
  test(`${path} records what it was asked`, async () => {
    await using mock = await serving({ script: [{ text: "Hello" }] });
    await mock.post(path, { ...body, stream: true });
    const [request] = mock.server.requests;
    assert.equal(request?.format, formats[path as keyof typeof formats]);
    assert.deepEqual(
      [request?.attempt, request?.model, request?.stream, request?.tools],
      [1, "m", true, ["find_order"]],
    );
    assert.deepEqual(request?.messages.at(-1), { role: "user", text: "Hi" });
  });

  test(`${path} answers without streaming where none is asked for`, async () => {
    await using mock = await serving({
      script: [{ text: "Hello", calls: [{ name: "find_order", input: { id: 7 } }] }],
    });
    const answered = await mock.post(path, body);
    assert.equal(answered.headers.get("content-type"), "application/json");
    const json = JSON.stringify(await answered.json());
    assert.match(json, /Hello/);
    assert.match(json, /find_order/);
  });

  test(`${path} gives text in pieces of the size asked for`, async () => {
    await using mock = await serving({ script: [{ text: "abcdefg", chunkChars: 3 }] });
    const stream = await (await mock.post(path, { ...body, stream: true })).text();
    const pieces = eventsOf(stream).flatMap((event) => {
      const delta = at(event, "choices", 0, "delta", "content") ?? at(event, "delta", "text") ?? at(event, "delta");
      return typeof delta === "string" && delta !== "" ? [delta] : [];
    });
    assert.deepEqual(pieces, ["abc", "def", "g"]);
  });
}

test("a script that is at its end says so, with an error no client tries again", async () => {
  await using mock = await serving({ script: [] });
  const answered = await mock.post("/v1/chat/completions", chat);
  assert.equal(answered.status, 400);
  assert.match(await answered.text(), /the script holds 0 steps, but this is request 1/);
});

test("a request that is not JSON is answered, not crashed on", async () => {
  await using mock = await serving({ script: [] });
  assert.equal((await mock.post("/v1/chat/completions", "{")).status, 400);
});

test("a function answers by what was said", async () => {
  await using mock = await serving({
    script: ({ messages, attempt }) => ({ text: `${attempt} ${messages[0]?.text}` }),
  });
  const answered = await (await mock.post("/v1/chat/completions", chat)).json();
  assert.equal(at(answered, "choices", 0, "message", "content"), "1 Hi");
});

test("usage is estimated, given, or left out", async () => {
  const usage = { input: 100, cached: 60, output: 30, reasoning: 10 };
  await using mock = await serving({ script: [{ text: "Hi" }, { text: "Hi", usage }, { text: "Hi", usage: null }] });
  const reported = async (): Promise<unknown> =>
    at(await (await mock.post("/v1/chat/completions", chat)).json(), "usage");
  assert.equal(at(await reported(), "completion_tokens"), 1);
  assert.deepEqual(await reported(), {
    prompt_tokens: 100,
    completion_tokens: 30,
    total_tokens: 130,
    prompt_tokens_details: { cached_tokens: 60 },
    completion_tokens_details: { reasoning_tokens: 10 },
  });
  assert.equal(await reported(), undefined);
});

test("latency and pauses pass on the clock that was given", async () => {
  const clock = createVirtualClock();
  await using mock = await serving({
    clock,
    script: [{ text: "abc", chunkChars: 1, latencyMs: 1_000, delayBetweenChunksMs: 100 }],
  });
  const answered = mock.post("/v1/chat/completions", { ...chat, stream: true }).then((response) => response.text());
  while (clock.pending === 0) await new Promise(setImmediate);
  await clock.advance(10_000);
  assert.equal(eventsOf(await answered).length, 7);
});

test("a status comes with its Retry-After and the format's own error body", async () => {
  await using mock = await serving({ script: [{ fault: "status", status: 529, retryAfter: 3 }] });
  const answered = await mock.post("/v1/messages", chat);
  assert.deepEqual([answered.status, answered.headers.get("retry-after")], [529, "3"]);
  assert.equal(at(await answered.json(), "error", "type"), "overloaded_error");
});

test("a cut connection breaks off after as many events as asked", async () => {
  await using mock = await serving({ script: [{ fault: "cut", after: 2 }] });
  const answered = await mock.post("/v1/chat/completions", { ...chat, stream: true });
  await assert.rejects(answered.text());
});

test("one event of a malformed stream is not JSON", async () => {
  await using mock = await serving({ script: [{ fault: "malformed" }] });
  const stream = await (await mock.post("/v1/chat/completions", { ...chat, stream: true })).text();
  assert.throws(() => eventsOf(stream), SyntaxError);
});

test("a recorded reply is served as it stands, on any path", async () => {
  const script = [
    { fault: "raw" as const, chunks: ['{"a":1}', '{"b":2}'] },
    { fault: "raw" as const, status: 418, contentType: "text/plain", body: "short and stout" },
  ];
  await using mock = await serving({ script });
  assert.equal(
    await (await mock.post("/v1beta/models/m:streamGenerateContent", {})).text(),
    'data: {"a":1}\n\ndata: {"b":2}\n\n',
  );
  const second = await mock.post("/anything", {});
  assert.deepEqual([second.status, await second.text()], [418, "short and stout"]);
});

test("closing cuts off the requests that hang", async () => {
  const server = await startMockProvider({ script: [{ fault: "hang" }] });
  const hanging = fetch(`${server.url}/v1/chat/completions`, { method: "POST", body: JSON.stringify(chat) });
  const failed = assert.rejects(hanging);
  while (server.requests.length === 0) await new Promise(setImmediate);
  await server.close();
  await failed;
});
