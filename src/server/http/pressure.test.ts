import assert from "node:assert/strict";
import { test } from "node:test";
import { startService } from "../../../test/support/http-service.ts";
import { obedientModel } from "../../../test/support/obedient-model.ts";

const body = { agent: "desk", prompt: "say x" };

test("a full queue answers 429 and when to come again, to a batch too, and takes nothing", async () => {
  const service = await startService({
    gateway: obedientModel(),
    config: { maxWaiting: 2 },
    holdfast: { roles: ["api"] },
  });
  try {
    for (let count = 0; count < 2; count++) assert.equal((await service.call("POST", "/tasks", { body })).status, 202);
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
    await assert.rejects(service.client.submit(body), { code: "queue_full", retry: { afterMs: 1_000 } });
    const { json } = await service.call("GET", "/ready");
    assert.deepEqual(
      json.checks.map(({ name }: { name: string }) => name),
      ["store", "models"],
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
  await service.server.close();
});
