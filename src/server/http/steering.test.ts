/** `while_busy` over HTTP: every answer is held against /openapi.json. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startService, type TestService } from "../../../test/support/http-service.ts";
import { until } from "../../../test/support/running-holdfast.ts";
import { scriptedGateway } from "../../testing/scripted-model.ts";

/** Says "Once", and goes on when it is told something else. */
const gateway = scriptedGateway(({ messages }) => {
  const last = messages.at(-1);
  const told = last?.role === "user" ? last.text : "";
  return told === "wait" ? { first: "Once", gate: new Promise(() => {}) } : { text: `You said ${told}.` };
});
let service: TestService;
before(async () => (service = await startService({ gateway })));
after(() => service.close());

const post = (path: string, body: object, headers: Record<string, string> = {}) =>
  service.call("POST", path, { body, headers });

/** A task whose model turn lasts until it is interrupted. */
async function waiting(sessionId: string): Promise<string> {
  const before = gateway.requests.length;
  const { json } = await post("/tasks", { agent: "desk", prompt: "wait", session_id: sessionId });
  await until(() => gateway.requests.length > before);
  return json.task_id;
}

/** When it has ended, what it has not heard is a task of its own. */
async function cancel(taskId: string): Promise<void> {
  await post(`/tasks/${taskId}/cancel`, {});
  assert.equal((await service.result(taskId)).status, "cancelled");
}

describe("A message to a task at work", () => {
  test("is answered 202 with the task that takes it and the id of the message; the journal and the session show it", async () => {
    const taskId = await waiting("one");
    const body = { agent: "desk", prompt: "stop", session_id: "one", while_busy: "interrupt", context: { page: 7 } };
    const { status, json, headers } = await post("/tasks", { ...body, user_id: "ann" });
    assert.deepEqual([status, json.task_id, json.status], [202, taskId, "running"]);
    assert.equal(headers.get("location"), `/tasks/${taskId}`);
    assert.equal((await service.result(taskId)).status, "completed");
    const { items } = (await service.call("GET", `/tasks/${taskId}/journal`)).json;
    assert.deepEqual([items[0].finish, items[0].parts], ["interrupted", [{ type: "text", text: "Once" }]]);
    const { seq: _seq, at: _at, ...entry } = items[1];
    const told = { kind: "message", message_id: json.message_id, prompt: "stop", context: { page: 7 }, user_id: "ann" };
    assert.deepEqual(entry, told);
    const said = (await service.call("GET", "/sessions/one/messages")).json.items;
    assert.deepEqual(
      said.map(({ role, content }: { role: string; content: string }) => `${role}: ${content.split("\n")[0]}`),
      ["user: wait", "assistant: Once", "user: stop", "assistant: You said stop"],
    );
  });

  test("that is run answers with the result of that task", async () => {
    const taskId = await waiting("two");
    const body = { agent: "desk", prompt: "go", session_id: "two", while_busy: "interrupt" };
    const { status, json } = await post("/run", body);
    assert.deepEqual([status, json.task_id, json.output], [200, taskId, "You said go."]);
  });

  test("that is run and not answered in time is answered 202 with its id", async () => {
    const taskId = await waiting("three");
    const body = { agent: "desk", prompt: "go", session_id: "three", while_busy: "inject", wait_ms: 0 };
    const { status, json } = await post("/run", body);
    assert.deepEqual([status, json.task_id, typeof json.message_id], [202, taskId, "string"]);
    await cancel(taskId);
    assert.equal((await service.result(json.message_id)).output, "You said go.");
  });

  test("that repeats a key is the same message, and says so", async () => {
    const taskId = await waiting("four");
    const body = { agent: "desk", prompt: "go", session_id: "four", while_busy: "inject" };
    const key = { "idempotency-key": "steering-1" };
    const first = await post("/tasks", body, key);
    const again = await post("/tasks", body, key);
    assert.equal(again.headers.get("idempotent-replayed"), "true");
    assert.deepEqual(again.json, first.json);
    assert.equal((await post("/tasks", { ...body, while_busy: "queue" }, key)).json.code, "idempotency_key_reused");
    await cancel(taskId);
    await service.result(first.json.message_id);
  });

  test("comes in a batch, too", async () => {
    const taskId = await waiting("five");
    const task = { agent: "desk", prompt: "go", session_id: "five" };
    const { json } = await post("/tasks/batch", {
      tasks: [
        { ...task, while_busy: "interrupt" },
        { ...task, while_busy: "queue" },
      ],
    });
    const [message, queued] = json.items;
    assert.deepEqual([message.task.task_id, typeof message.task.message_id], [taskId, "string"]);
    assert.equal("message_id" in queued.task, false);
    assert.equal((await service.result(queued.task.task_id)).status, "completed");
  });

  test("is refused when twenty wait already, when it is too long, and when the mode is none", async () => {
    const taskId = await waiting("six");
    const body = { agent: "desk", prompt: "go", session_id: "six", while_busy: "inject" };
    for (let n = 0; n < 20; n++) assert.equal((await post("/tasks", body)).status, 202);
    const full = await post("/tasks", body);
    assert.deepEqual([full.status, full.json.code, full.headers.get("retry-after")], [429, "inbox_full", "1"]);
    const long = await post("/tasks", { ...body, prompt: "x".repeat(100_001) });
    assert.deepEqual([long.status, long.json.code, long.json.path], [400, "invalid_request", "/prompt"]);
    assert.equal((await post("/tasks", { ...body, while_busy: "rollback" })).json.path, "/while_busy");
    assert.equal((await post("/tasks", { ...body, while_busy: "queue" })).status, 202);
    await cancel(taskId);
  });
});
