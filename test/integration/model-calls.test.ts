/** The gateway and the real provider packages, over HTTP, against the mock provider: every wire format, every fault. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Delta, Message, ToolOutcome } from "../../src/agent/conversation.ts";
import { createModelGateway } from "../../src/gateway/gateway.ts";
import { ModelCallError, type ModelReply, type ModelRequest } from "../../src/gateway/model-gateway.ts";
import { createProviders } from "../../src/gateway/providers/registry.ts";
import { neverAborts } from "../../src/platform/abort.ts";
import { type Clock, systemClock } from "../../src/platform/clock.ts";
import {
  type MockFault,
  type MockProvider,
  type MockScript,
  startMockProvider,
} from "../../src/testing/mock-provider.ts";
import { createVirtualClock } from "../../src/testing/virtual-clock.ts";
import { plainRoute } from "../../src/agent/route.ts";
import { someCaller, someRequest } from "../support/model-caller.ts";

const routes = ["openai/gpt-5", "anthropic/claude-sonnet-4-6", "compatible/llama"] as const;
type Route = (typeof routes)[number];

const tools = ["find_order", "refund"].map((name) => ({
  name,
  description: `Does ${name}.`,
  inputSchema: { type: "object", properties: { id: { type: "string" } }, required: ["id"] },
}));

/** A clock that does not wait, and says what it would have waited. */
function impatientClock(): Clock & { waits: number[] } {
  const waits: number[] = [];
  return { ...systemClock, waits, sleep: async (ms) => void waits.push(ms) };
}

interface Wired {
  readonly server: MockProvider;
  readonly deltas: Delta[];
  call(messages?: readonly Message[], signal?: AbortSignal): Promise<ModelReply>;
}

async function wire(
  route: Route,
  options: { script: MockScript; clock?: Clock; maxOutputTokens?: number },
): Promise<Wired & AsyncDisposable> {
  const server = await startMockProvider({ script: options.script });
  const at = { apiKey: "test", baseURL: `${server.url}/v1` };
  const gateway = createModelGateway({
    providers: createProviders({ openai: at, anthropic: at, compatible: at }),
    clock: options.clock ?? systemClock,
    random: () => 0,
  });
  const deltas: Delta[] = [];
  const request: Omit<ModelRequest, "messages" | "signal"> = {
    route: plainRoute([route]),
    system: "You help with orders.",
    tools,
    maxOutputTokens: options.maxOutputTokens ?? 500,
    caller: someCaller,
    onDelta: (delta) => deltas.push(delta),
  };
  return {
    server,
    deltas,
    call: (messages = [{ role: "user", text: "Hi" }], signal = neverAborts()) =>
      gateway.call({ ...request, messages, signal }),
    [Symbol.asyncDispose]: () => server.close(),
  };
}

const joined = (deltas: readonly Delta[]): string =>
  deltas.map((delta) => (delta.type === "restart" ? "|" : delta.text)).join("");

for (const route of routes) {
  test(`${route}: text comes in deltas, with cached and reasoning tokens and a price`, async () => {
    const usage = { input: 1_000, cached: 600, output: 300, reasoning: 100 };
    await using wired = await wire(route, { script: [{ text: "It was shipped.", chunkChars: 4, usage }] });
    const reply = await wired.call();
    assert.equal(reply.parts.map((part) => part.type === "text" && part.text).join(""), "It was shipped.");
    assert.deepEqual(reply.usage, { ...usage, estimated: false });
    assert.deepEqual([reply.finish, reply.model, reply.attempts], ["stop", route, []]);
    assert.deepEqual(
      wired.deltas,
      "It w|as s|hipp|ed.".split("|").map((text) => ({ type: "text", text })),
    );
    assert.equal(reply.costMicros === null, route === "compatible/llama");
    assert.ok(reply.ttftMs > 0);
  });

  test(`${route}: a stream that reports no usage is estimated, not counted as nothing`, async () => {
    await using wired = await wire(route, { script: [{ text: "x".repeat(400), usage: null }] });
    const { usage } = await wired.call();
    assert.ok(usage.estimated && usage.input > 20 && usage.output >= 100, JSON.stringify(usage));
  });

  test(`${route}: an answer cut short by its limit, or withheld, says so`, async () => {
    await using wired = await wire(route, {
      script: [
        { text: "It was", finish: "length" },
        { text: "No", finish: "content_filter" },
      ],
    });
    assert.equal((await wired.call()).finish, "length");
    assert.equal((await wired.call()).finish, "content_filter");
  });

  test(`${route}: arguments that are not JSON arrive as the text they are, and the conversation goes on`, async () => {
    await using wired = await wire(route, {
      script: [{ calls: [{ id: "call_1", name: "find_order", input: '{"id": "A-1' }] }, { text: "Sorry." }],
    });
    const { parts, finish } = await wired.call();
    const call = parts.find((part) => part.type === "call");
    assert.deepEqual([finish, call?.input], ["calls", '{"id": "A-1']);
    const outcome: ToolOutcome = { ok: false, code: "invalid_arguments", message: "not JSON" };
    const after = await wired.call([
      { role: "user", text: "Where is A-1?" },
      { role: "assistant", parts },
      { role: "tool", callId: "call_1", tool: "find_order", outcome },
    ]);
    assert.equal(after.finish, "stop");
    const sent = JSON.stringify(wired.server.requests[1]?.body);
    assert.match(sent, /unparsed_input/);
    assert.match(sent, /invalid_arguments: not JSON/);
  });

  const passing: [name: string, fault: MockFault, said: string, attempt: string][] = [
    ["a 500", { fault: "status", status: 500 }, "", "model_unavailable"],
    ["a 529", { fault: "status", status: 529 }, "", "model_unavailable"],
    ["a 429", { fault: "status", status: 429, retryAfter: 3 }, "", "model_rate_limited"],
    ["a connection cut at once", { fault: "cut", after: 0 }, "", "model_unavailable"],
    ["a stream cut in the middle", { fault: "cut", after: 7 }, "This .*\\|", "model_(unavailable|stream_broken)"],
    [
      "a stream cut within a call's arguments",
      { fault: "cut", after: 5, reply: { calls: [{ name: "refund", input: { id: "A-1" } }], chunkChars: 2 } },
      "",
      "model_(unavailable|stream_broken)",
    ],
    ["a malformed event", { fault: "malformed" }, "(This .*\\|)?", "model_unavailable"],
  ];
  for (const [name, fault, said, attempt] of passing) {
    test(`${route}: ${name} is passed over by the next attempt`, async () => {
      const clock = impatientClock();
      await using wired = await wire(route, { script: [fault, { text: "Here." }], clock });
      const reply = await wired.call();
      assert.deepEqual(
        reply.parts.map((part) => part.type === "text" && part.text),
        ["Here."],
      );
      assert.equal(reply.attempts.length, 1);
      assert.match(reply.attempts[0]?.code ?? "", new RegExp(`^${attempt}$`));
      assert.match(joined(wired.deltas), new RegExp(`^${said}Here\\.$`));
      assert.deepEqual(clock.waits, [name === "a 429" ? 3_000 : 0]);
    });
  }

  for (const [name, fault] of [
    ["does not begin", { fault: "hang" }],
    ["stops in the middle", { fault: "hang", after: 7 }],
  ] as const) {
    test(`${route}: a stream that ${name} is given up in time`, async () => {
      const clock = createVirtualClock();
      await using wired = await wire(route, { script: [fault, { text: "Here." }], clock });
      const reply = wired.call();
      while (wired.server.requests.length < 1) await new Promise(setImmediate);
      const begun = "after" in fault;
      while (begun && !joined(wired.deltas).includes("This reply")) await new Promise(setImmediate);
      await clock.advance(60_000);
      assert.deepEqual(
        (await reply).attempts.map(({ code, ms }) => [code, ms]),
        [["model_timeout", 60_000]],
      );
      assert.match(joined(wired.deltas), begun ? /^This reply.*\|Here\.$/ : /^Here\.$/);
    });
  }

  const lasting: [status: number, code: string][] = [
    [400, "model_bad_request"],
    [401, "model_auth"],
    [404, "model_auth"],
    [413, "model_context_too_long"],
  ];
  for (const [status, code] of lasting) {
    test(`${route}: a ${status} is not tried again`, async () => {
      await using wired = await wire(route, { script: [{ fault: "status", status }] });
      await assert.rejects(wired.call(), (thrown) => {
        assert.ok(thrown instanceof ModelCallError);
        assert.deepEqual([thrown.code, thrown.retry, thrown.attempts.length], [code, "never", 1]);
        return true;
      });
      assert.equal(wired.server.requests.length, 1);
    });
  }

  test(`${route}: faults that do not end exhaust the attempts`, async () => {
    await using wired = await wire(route, {
      script: () => ({ fault: "status", status: 503 }),
      clock: impatientClock(),
    });
    await assert.rejects(wired.call(), { code: "model_unavailable", retry: { afterMs: 10_000 } });
    assert.equal(wired.server.requests.length, 3);
  });

  test(`${route}: an abort closes the connection and rejects with the signal's reason`, async () => {
    await using wired = await wire(route, { script: [{ fault: "hang" }] });
    const stop = new AbortController();
    const reply = wired.call(undefined, stop.signal);
    while (wired.server.requests.length < 1) await new Promise(setImmediate);
    stop.abort(new Error("cancelled"));
    await assert.rejects(reply, /^Error: cancelled$/);
  });
}

test("a candidate that is down is followed by the next one, on another wire", async () => {
  const server = await startMockProvider({
    script: ({ format }) => (format === "openai-responses" ? { fault: "status", status: 500 } : { text: "Here." }),
  });
  const at = { apiKey: "test", baseURL: `${server.url}/v1` };
  const providers = createProviders({ openai: at, anthropic: at });
  const reply = await createModelGateway({ providers, clock: impatientClock(), random: () => 0 }).call(
    someRequest(plainRoute(["compatible/llama", "openai/gpt-5", "anthropic/claude-sonnet-4-6"])),
  );
  await server.close();
  assert.equal(reply.model, "anthropic/claude-sonnet-4-6");
  assert.deepEqual(
    reply.attempts.map(({ model, code }) => `${model} ${code}`),
    ["compatible/llama model_key_missing", ...Array(3).fill("openai/gpt-5 model_unavailable")],
  );
});

// A conversation of five turns: reasoning and a call; two calls at once, one of which fails; an answer; another question, with
// a call whose id the model has used before; an answer.
const outcomes: Record<string, ToolOutcome> = {
  find_order: { ok: true, output: { id: "A-1", totalUsd: 80 } },
  refund: { ok: false, code: "approval_denied", message: "Over the limit." },
};
const script: MockScript = [
  { reasoning: "Look it up.", calls: [{ id: "call_a", name: "find_order", input: { id: "A-1" } }] },
  {
    text: "Two things at once.",
    calls: [
      { id: "call_b", name: "refund", input: { id: "A-1" } },
      { id: "call_c", name: "find_order", input: { id: "A-2" } },
    ],
  },
  { text: "It could not be refunded." },
  { reasoning: "Again.", calls: [{ id: "call_a", name: "find_order", input: { id: "A-3" } }] },
  { text: "It is on its way." },
];

async function converse(route: Route): Promise<{ replies: ModelReply[]; last: Record<string, unknown> }> {
  await using wired = await wire(route, { script });
  const messages: Message[] = [{ role: "user", text: "Refund A-1." }];
  const replies: ModelReply[] = [];
  while (replies.length < 5) {
    const reply = await wired.call(messages);
    replies.push(reply);
    // Through JSON and back, as the journal keeps it.
    messages.push({ role: "assistant", parts: JSON.parse(JSON.stringify(reply.parts)) });
    for (const part of reply.parts) {
      if (part.type !== "call") continue;
      messages.push({ role: "tool", callId: part.id, tool: part.tool, outcome: outcomes[part.tool]! });
    }
    if (reply.finish === "stop") messages.push({ role: "user", text: "And A-3?" });
  }
  return { replies, last: wired.server.requests[4]!.body };
}

function checkReplies(replies: readonly ModelReply[]): void {
  assert.deepEqual(
    replies.map(({ finish }) => finish),
    ["calls", "calls", "stop", "calls", "stop"],
  );
  const said = replies.map(({ parts }) =>
    parts.map((part) => (part.type === "call" ? `${part.id} ${part.tool} ${JSON.stringify(part.input)}` : part.text)),
  );
  assert.deepEqual(said, [
    ["Look it up.", 'call_a find_order {"id":"A-1"}'],
    ["Two things at once.", 'call_b refund {"id":"A-1"}', 'call_c find_order {"id":"A-2"}'],
    ["It could not be refunded."],
    ["Again.", 'call_a find_order {"id":"A-3"}'],
    ["It is on its way."],
  ]);
}

const order = '{"id":"A-1","totalUsd":80}';
const denied = "approval_denied: Over the limit.";

test("openai: five turns, with reasoning sent back encrypted under its item id", async () => {
  const { replies, last } = await converse("openai/gpt-5");
  checkReplies(replies);
  assert.equal(last["store"], false);
  assert.deepEqual(last["include"], ["reasoning.encrypted_content"]);
  const call = (id: string, name: string, order: string) => ({
    type: "function_call",
    call_id: id,
    name,
    arguments: `{"id":"${order}"}`,
  });
  const output = (id: string, text: string) => ({ type: "function_call_output", call_id: id, output: text });
  const reasoning = (attempt: number, text: string) => ({
    type: "reasoning",
    id: `rs_${attempt}`,
    encrypted_content: `encrypted_${attempt}`,
    summary: [{ type: "summary_text", text }],
  });
  assert.deepEqual(last["input"], [
    { role: "developer", content: "You help with orders." },
    { role: "user", content: [{ type: "input_text", text: "Refund A-1." }] },
    reasoning(1, "Look it up."),
    call("call_a", "find_order", "A-1"),
    output("call_a", order),
    { role: "assistant", content: "Two things at once." },
    call("call_b", "refund", "A-1"),
    call("call_c", "find_order", "A-2"),
    output("call_b", JSON.stringify({ error: denied })),
    output("call_c", order),
    { role: "assistant", content: "It could not be refunded." },
    { role: "user", content: [{ type: "input_text", text: "And A-3?" }] },
    reasoning(4, "Again."),
    call("call_a_2", "find_order", "A-3"),
    output("call_a_2", order),
  ]);
});

/** Without what only says how far the provider is to keep the prompt. */
function unmarked(said: unknown): unknown {
  return JSON.parse(JSON.stringify(said, (key, value: unknown) => (key === "cache_control" ? undefined : value)));
}

test("anthropic: five turns, with thinking sent back under its signature", async () => {
  const { replies, last } = await converse("anthropic/claude-sonnet-4-6");
  checkReplies(replies);
  assert.deepEqual(unmarked(last["system"]), [{ type: "text", text: "You help with orders." }]);
  const use = (id: string, name: string, order: string) => ({ type: "tool_use", id, name, input: { id: order } });
  const result = (id: string, content: string) => ({ type: "tool_result", tool_use_id: id, content });
  const text = (said: string) => ({ type: "text", text: said });
  const thinking = (said: string, signature: string) => ({ type: "thinking", thinking: said, signature });
  assert.deepEqual(unmarked(last["messages"]), [
    { role: "user", content: [text("Refund A-1.")] },
    { role: "assistant", content: [thinking("Look it up.", "signature_1"), use("call_a", "find_order", "A-1")] },
    { role: "user", content: [result("call_a", order)] },
    {
      role: "assistant",
      content: [text("Two things at once."), use("call_b", "refund", "A-1"), use("call_c", "find_order", "A-2")],
    },
    { role: "user", content: [{ ...result("call_b", denied), is_error: true }, result("call_c", order)] },
    { role: "assistant", content: [text("It could not be refunded.")] },
    { role: "user", content: [text("And A-3?")] },
    { role: "assistant", content: [thinking("Again.", "signature_4"), use("call_a_2", "find_order", "A-3")] },
    { role: "user", content: [result("call_a_2", order)] },
  ]);
});

test("compatible: five turns of chat completions", async () => {
  const { replies, last } = await converse("compatible/llama");
  checkReplies(replies);
  assert.deepEqual(last["stream_options"], { include_usage: true });
  const calling = (content: string | null, ...calls: [id: string, name: string, order: string][]) => ({
    role: "assistant",
    content,
    tool_calls: calls.map(([id, name, order]) => ({
      id,
      type: "function",
      function: { name, arguments: `{"id":"${order}"}` },
    })),
  });
  const result = (id: string, content: string) => ({ role: "tool", tool_call_id: id, content });
  assert.deepEqual(last["messages"], [
    { role: "system", content: "You help with orders." },
    { role: "user", content: "Refund A-1." },
    { ...calling(null, ["call_a", "find_order", "A-1"]), reasoning_content: "Look it up." },
    result("call_a", order),
    calling("Two things at once.", ["call_b", "refund", "A-1"], ["call_c", "find_order", "A-2"]),
    result("call_b", denied),
    result("call_c", order),
    { role: "assistant", content: "It could not be refunded." },
    { role: "user", content: "And A-3?" },
    { ...calling(null, ["call_a_2", "find_order", "A-3"]), reasoning_content: "Again." },
    result("call_a_2", order),
  ]);
});
