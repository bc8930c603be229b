import assert from "node:assert/strict";
import { test } from "node:test";
import { startService } from "../../../test/support/http-service.ts";
import { deskConfig, obedientModel } from "../../../test/support/obedient-model.ts";

const body = { agent: "desk", prompt: "say x" };

test("a full queue answers 429 and when to come again, to a batch too, and takes nothing", async () => {
  const service = await startService({
    gateway: obedientModel(),
    config: { maxWaiting: 2 },
    holdfast: { roles: ["api"], parts: { random: () => 0 } },
  });
  try {
    const submit = (key: string) => service.call("POST", "/tasks", { body, headers: { "idempotency-key": key } });
    const first = await submit("first");
    assert.deepEqual([first.status, (await submit("second")).status], [202, 202]);
    const rows = await service.countRows();
    for (const [path, each] of [
      ["/tasks", body],
      ["/run", body],
      ["/tasks/batch", { tasks: [body, body] }],
    ] as const) {
      const { status, json, headers } = await service.call("POST", path, { body: each });
      assert.deepEqual([status, json.code, headers.get("retry-after")], [429, "queue_full", "1"], path);
    }
    assert.deepEqual(await service.countRows(), rows);
    assert.equal((await submit("third")).status, 429);
    assert.equal((await submit("first")).json.task_id, first.json.task_id, "what was accepted is accepted again");
    await assert.rejects(service.client.submit(body), { code: "queue_full", retry: { afterMs: 1_000 } });
    const { json } = await service.call("GET", "/ready");
    assert.deepEqual(
      json.checks.map(({ name }: { name: string }) => name),
      ["store", "models", "routes"],
      "it has no worker to check",
    );
  } finally {
    await service.close();
  }
});

test("of a batch that fits in part the rest is refused task by task", async () => {
  const service = await startService({
    gateway: obedientModel(),
    config: { maxWaiting: 2 },
    holdfast: { roles: ["api"] },
  });
  try {
    const { status, json } = await service.call("POST", "/tasks/batch", { body: { tasks: [body, body, body] } });
    assert.equal(status, 202);
    assert.deepEqual(
      json.items.map((item: { problem?: { code: string } }) => item.problem?.code),
      [undefined, undefined, "queue_full"],
    );
  } finally {
    await service.close();
  }
});

test("without its store the service is alive but not ready, and says when to come again", async () => {
  const service = await startService({ gateway: obedientModel(), holdfast: { roles: ["api"] } });
  await service.holdfast.store.database.close();
  assert.equal((await service.call("GET", "/health")).status, 200);
  const ready = await service.call("GET", "/ready");
  assert.deepEqual([ready.status, ready.json.checks[0].ok], [503, false]);
  assert.equal((await service.client.ready()).status, "not_ready");
  const { status, headers, json } = await service.call("GET", "/tasks");
  assert.deepEqual([status, json.code, headers.get("retry-after")], [503, "store_closed", "1"]);
  await service.close();
});

test("a tenant, an agent and a session that have their fill are refused by their own codes, and others are not", async () => {
  const [desk, ...others] = deskConfig.agents;
  const service = await startService({
    gateway: obedientModel(),
    config: {
      agents: [{ ...desk!, queue: { maxRunning: null, maxWaiting: 2 } }, ...others],
      tenants: { default: { maxWaiting: 3 } },
      maxPerSession: 2,
    },
    holdfast: { roles: ["api"], parts: { random: () => 0 } },
  });
  const submit = async (each: object) => {
    const { status, json, headers } = await service.call("POST", "/tasks", { body: { ...body, ...each } });
    return status === 202 ? 202 : [status, json.code, headers.get("retry-after")];
  };
  try {
    const session = { session_id: "line" };
    assert.equal(await submit(session), 202);
    assert.equal(await submit(session), 202);
    assert.deepEqual(await submit(session), [429, "agent_queue_full", "1"], "for all this process knows, two wait");
    const other = { agent: others[0]!.name };
    assert.deepEqual(await submit({ ...other, ...session }), [429, "session_queue_full", "1"]);
    assert.equal(await submit(other), 202);
    assert.deepEqual(await submit(other), [429, "tenant_queue_full", "1"]);
    const { text } = await service.call("GET", "/metrics");
    assert.match(text, /holdfast_tasks_rejected_total\{code="session_queue_full"\} 1/);
  } finally {
    await service.close();
  }
});

test("a process that cannot keep up refuses new tasks and nothing else, until it can", async () => {
  let lagMs = 0;
  const eventLoop = { look: () => lagMs, stop: () => {} };
  const service = await startService({
    gateway: obedientModel(),
    holdfast: { parts: { eventLoop, random: () => 0.5 } },
  });
  const { overload } = service.holdfast;
  const look = (times: number): void => Array.from({ length: times }).forEach(() => overload.look());
  try {
    const { json: task } = await service.call("POST", "/tasks", { body });
    await service.result(task.task_id);
    lagMs = 2_000;
    look(2);
    const rows = await service.countRows();
    for (const path of ["/run", "/tasks", "/tasks/batch", `/tasks/${task.task_id}/fork`]) {
      // The body is not even looked at.
      const { status, json, headers } = await service.call("POST", path, { body: "{" });
      assert.deepEqual([status, json.code, headers.get("retry-after")], [503, "overloaded", "3"], path);
    }
    assert.deepEqual(await service.countRows(), rows);
    await assert.rejects(service.client.submit(body), { code: "overloaded", retry: { afterMs: 3_000 } });
    for (const path of ["/health", "/ready", "/tasks", `/tasks/${task.task_id}`, "/approvals", "/metrics"])
      assert.equal((await service.call("GET", path)).status, 200, path);
    assert.equal((await service.call("POST", `/tasks/${task.task_id}/cancel`)).json.code, "task_ended");
    assert.match((await service.call("GET", "/metrics")).text, /holdfast_process_shedding 1/);
    lagMs = 0;
    look(3);
    assert.equal((await service.call("POST", "/tasks", { body })).status, 202);
  } finally {
    await service.close();
  }
});
