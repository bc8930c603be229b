import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { obedientModel } from "../../../test/support/obedient-model.ts";
import { startService, type TestService } from "../../../test/support/http-service.ts";

const resultFields = [
  "task_id",
  "session_id",
  "status",
  "output",
  "steps_used",
  "tokens_used",
  "tool_calls",
  "cost_usd",
  "error",
  "duration_ms",
];

const model = obedientModel();
let service: TestService;
before(async () => (service = await startService({ gateway: model })));
after(() => service.close());

const post = (path: string, body?: unknown, headers?: Record<string, string>) =>
  service.call("POST", path, { ...(body !== undefined && { body }), ...(headers !== undefined && { headers }) });
const get = (path: string) => service.call("GET", path);

async function run(prompt: string, fields: object = {}): Promise<string> {
  const { status, json } = await post("/run", { agent: "desk", prompt, ...fields });
  assert.equal(status, 200);
  return json.task_id as string;
}

async function submit(prompt: string, fields: object = {}): Promise<string> {
  return (await post("/tasks", { agent: "desk", prompt, ...fields })).json.task_id as string;
}

describe("Giving work", () => {
  test("a run answers with its result", async () => {
    const { status, json } = await post("/run", { agent: "desk", prompt: 'call find {"orderId":"A-1"}' });
    assert.equal(status, 200);
    assert.deepEqual(Object.keys(json), resultFields);
    const { output, status: ended, steps_used, tool_calls, error } = json;
    assert.deepEqual(
      { output, ended, steps_used, tool_calls, error },
      {
        output: "Done.",
        ended: "completed",
        steps_used: 2,
        tool_calls: 1,
        error: null,
      },
    );
  });

  test("a run that has not ended in time answers 202 with the task to poll, which goes on", async () => {
    const { status, json, headers } = await post("/run", { agent: "desk", prompt: "wait poll", wait_ms: 0 });
    assert.equal(status, 202);
    assert.equal(headers.get("location"), `/tasks/${json.task_id}`);
    assert.equal(json.links.self, `/tasks/${json.task_id}`);
    model.open("poll");
    assert.equal((await service.result(json.task_id as string)).output, "waited");
    assert.equal((await get(json.links.self as string)).json.status, "completed");
  });

  test("a submitted task is answered before it runs, with links that lead to it", async () => {
    const { status, json, headers } = await post("/tasks", { agent: "desk", prompt: "say hello", session_id: "s-1" });
    assert.equal(status, 202);
    assert.deepEqual(Object.keys(json), ["task_id", "session_id", "status", "links"]);
    assert.equal(json.session_id, "s-1");
    assert.equal(headers.get("location"), json.links.self);
    assert.equal((await get(json.links.self as string)).status, 200);
    assert.equal((await get(json.links.journal as string)).status, 200);
  });

  test("a repeat of an idempotency key answers the same task; with another body it is a conflict", async () => {
    const key = { "idempotency-key": "once-1" };
    const first = await post("/tasks", { agent: "desk", prompt: "say once" }, key);
    const again = await post("/tasks", { agent: "desk", prompt: "say once" }, key);
    assert.equal(again.status, 202);
    assert.equal(again.json.task_id, first.json.task_id);
    assert.equal(first.headers.get("idempotent-replayed"), null);
    assert.equal(again.headers.get("idempotent-replayed"), "true");
    const ran = await post("/run", { agent: "desk", prompt: "say once", wait_ms: 5_000 }, key);
    assert.equal(ran.json.task_id, first.json.task_id);
    const other = await post("/tasks", { agent: "desk", prompt: "say twice" }, key);
    assert.deepEqual([other.status, other.json.code], [409, "idempotency_key_reused"]);
  });

  test("a batch is taken as a whole, each task with its own answer", async () => {
    await post("/tasks", { agent: "desk", prompt: "say a" }, { "idempotency-key": "batch-1" });
    const { status, json } = await post("/tasks/batch", {
      tasks: [
        { agent: "desk", prompt: "say 1", session_id: "batch" },
        { agent: "desk", prompt: "say b", idempotency_key: "batch-1" },
        { agent: "desk", prompt: "say 2", session_id: "batch" },
      ],
    });
    assert.equal(status, 202);
    assert.equal(json.items[1].problem.code, "idempotency_key_reused");
    for (const item of [json.items[0], json.items[2]]) {
      assert.equal((await service.result(item.task.task_id as string)).status, "completed");
    }
    const said = (await get("/sessions/batch/messages")).json.items as { role: string; content: string }[];
    assert.deepEqual(
      said.map(({ content }) => content),
      ["say 1", "1", "say 2", "2"],
    );
  });

  test("of a batch with one malformed task nothing is stored", async () => {
    const rows = await service.countRows();
    const { status, json } = await post("/tasks/batch", {
      tasks: [
        { agent: "desk", prompt: "say 1" },
        { agent: "nobody", prompt: "say 2" },
      ],
    });
    assert.deepEqual([status, json.code, json.path], [400, "unknown_agent", "/tasks/1/agent"]);
    assert.deepEqual(await service.countRows(), rows);
  });

  test("what a user says is stored and answered as it is", async () => {
    const prompt = "say '; drop table task; -- \\u0000 \u{1F600} \u202E ../../etc/passwd ${x} {{y}} <script>";
    const context = { sessionId: "mine", nested: { camelCase: [1, null, { a_b: true }] } };
    const id = await run(prompt, { context, metadata: { someKey: "a_b" }, session_id: "x'; drop table session; --" });
    const { json } = await get(`/tasks/${id}`);
    assert.deepEqual([json.prompt, json.context, json.metadata], [prompt, context, { someKey: "a_b" }]);
    const { items } = (await get(`/sessions/${encodeURIComponent(json.session_id as string)}/messages`)).json;
    assert.match(items[0].content as string, /^say '; drop table task; --/);
  });
});

describe("Looking at tasks", () => {
  test("tasks are listed newest first, by filter, over pages without gap or repeat", async () => {
    const submitted: string[] = [];
    for (let index = 0; index < 5; index++) submitted.push(await run(`say ${index}`, { user_id: "pages" }));
    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const query = `user_id=pages&status=completed&agent=desk&limit=2${cursor === null ? "" : `&cursor=${cursor}`}`;
      const { json }: { json: { items: { task_id: string }[]; next_cursor: string | null } } = await get(
        `/tasks?${query}`,
      );
      assert.ok(json.items.length <= 2);
      seen.push(...json.items.map(({ task_id }) => task_id));
      cursor = json.next_cursor;
    } while (cursor !== null);
    assert.deepEqual(seen, submitted.reverse());
  });

  test("the journal is read in pages, and tells a turn with its calls and outcomes in the names of the API", async () => {
    const id = await run('call find {"orderId":"A-1"}');
    const { items, next_cursor: cursor } = (await get(`/tasks/${id}/journal?limit=2`)).json;
    assert.deepEqual(
      items.map(({ seq, kind }: { seq: number; kind: string }) => [seq, kind]),
      [
        [1, "model"],
        [2, "tool"],
      ],
    );
    const [turn, outcome] = items;
    assert.equal(turn.calls[0].needs_approval, false);
    assert.deepEqual(turn.parts[1].input, { orderId: "A-1" });
    assert.deepEqual(outcome.outcome, { ok: true, output: { orderId: "A-1", totalUsd: 80 } });
    const rest = (await get(`/tasks/${id}/journal?limit=2&cursor=${cursor}`)).json;
    assert.deepEqual(
      rest.items.map(({ kind }: { kind: string }) => kind),
      ["model", "end"],
    );
    assert.equal(rest.next_cursor, null);
  });

  test("a large outcome is in the journal with its beginning, and whole behind its hash", async () => {
    const id = await run('call dump {"length":300000}');
    const { items } = (await get(`/tasks/${id}/journal`)).json;
    const { large, output } = items[1].outcome;
    assert.ok(output.length < 300_000);
    const { text, status } = await get(`/tasks/${id}/values/${large.hash}`);
    assert.equal(status, 200);
    assert.equal(text, JSON.stringify("x".repeat(300_000)));
    assert.equal((await get(`/tasks/${id}/values/${"0".repeat(64)}`)).json.code, "large_value_not_found");
  });

  test("an unknown task is a 404 everywhere", async () => {
    const path = "/tasks/01890000-0000-7000-8000-000000000000";
    const calls = [
      get(path),
      get(`${path}/journal`),
      get(`${path}/events`),
      post(`${path}/cancel`),
      post(`${path}/retry`),
    ];
    for (const { status, json } of await Promise.all([...calls, post(`${path}/fork`)])) {
      assert.deepEqual([status, json.code], [404, "task_not_found"]);
    }
  });
});

describe("Steering tasks", () => {
  test("a running task is cancelled, and one that has ended is a conflict", async () => {
    const id = await submit("wait forever");
    await model.reached("forever");
    const { status } = await post(`/tasks/${id}/cancel`, { by: "ana" });
    assert.ok(status === 202 || status === 200);
    assert.equal((await service.result(id)).status, "cancelled");
    assert.equal((await get(`/tasks/${id}`)).json.error_message, "Cancelled by ana.");
    const again = await post(`/tasks/${id}/cancel`);
    assert.deepEqual([again.status, again.json.code], [409, "task_ended"]);
  });

  test("a dead letter is listed, replayed with another prompt, and then no dead letter any more", async () => {
    const id = await run("fail");
    const listed = (await get("/dead-letters")).json.items.find((item: { task_id: string }) => item.task_id === id);
    assert.deepEqual([listed.error, listed.prompt, listed.dead_letter], ["model_auth", "fail", true]);
    assert.equal((await post(`/tasks/${id}/retry`, { prompt: "say better" })).status, 202);
    assert.equal((await service.result(id)).output, "better");
    const again = await post(`/tasks/${id}/retry`);
    assert.deepEqual([again.status, again.json.code], [409, "not_a_dead_letter"]);
  });

  test("a discarded dead letter stays failed and leaves the queue", async () => {
    const id = await run("fail");
    assert.equal((await service.call("DELETE", `/dead-letters/${id}`)).status, 204);
    const { items } = (await get("/dead-letters")).json;
    assert.ok(!items.some((item: { task_id: string }) => item.task_id === id));
    assert.equal((await get(`/tasks/${id}`)).json.status, "failed");
    assert.equal((await service.call("DELETE", `/dead-letters/${id}`)).status, 409);
  });

  test("a fork is a new task in a new session, from the step asked for", async () => {
    const id = await run('call find {"orderId":"A-1"}');
    const { status, json, headers } = await post(`/tasks/${id}/fork`, {
      step: 0,
      prompt: "say forked",
      model: "scripted/x",
    });
    assert.equal(status, 202);
    assert.equal(headers.get("location"), `/tasks/${json.task_id}`);
    assert.equal((await service.result(json.task_id as string)).output, "forked");
    assert.equal((await get(`/tasks/${json.task_id}`)).json.forked_from, id);
    const beyond = await post(`/tasks/${id}/fork`, { step: 99 });
    assert.deepEqual([beyond.status, beyond.json.code, beyond.json.path], [400, "no_such_step", "/step"]);
  });
});

describe("Sessions", () => {
  test("a conversation is read from its end, page by page, and says what was called and what came of it", async () => {
    await run('call find {"orderId":"A-1"}', { session_id: "talk" });
    await run("say two", { session_id: "talk" });
    const newest = (await get("/sessions/talk/messages?limit=1")).json;
    assert.deepEqual(
      newest.items.map(({ content }: { content: string }) => content),
      ["say two", "two"],
    );
    const older = (await get(`/sessions/talk/messages?limit=1&cursor=${newest.next_cursor}`)).json;
    assert.equal(older.next_cursor, null);
    assert.deepEqual(
      older.items.map(({ role }: { role: string }) => role),
      ["user", "assistant", "tool", "assistant"],
    );
    assert.deepEqual(older.items[1].tool_calls[0].arguments, { orderId: "A-1" });
    assert.equal(older.items[2].content, '{"orderId":"A-1","totalUsd":80}');
    assert.equal((await get("/sessions/talk")).json.open_tasks, 0);
  });

  test("a conversation is deleted with everything in it, but not while a task of it is open", async () => {
    const id = await run("say bye", { session_id: "a/b?c#d é" });
    const path = `/sessions/${encodeURIComponent("a/b?c#d é")}`;
    assert.equal((await service.call("DELETE", path)).status, 204);
    assert.equal((await get(path)).json.code, "session_not_found");
    assert.equal((await get(`${path}/messages`)).json.code, "session_not_found");
    assert.equal((await get(`/tasks/${id}`)).status, 404);
    await submit("wait busy", { session_id: "busy" });
    await model.reached("busy");
    assert.equal((await service.call("DELETE", "/sessions/busy")).json.code, "session_busy");
    model.open("busy");
  });
});
