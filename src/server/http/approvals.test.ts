import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startService, type TestService } from "../../../test/support/http-service.ts";
import { obedientModel } from "../../../test/support/obedient-model.ts";
import type { Approval } from "../../client/wire.ts";

const model = obedientModel();
let service: TestService;
before(async () => (service = await startService({ gateway: model })));
after(() => service.close());

const answer = (id: string, body: object) => service.call("POST", `/approvals/${id}`, { body });

/** Submits a task and waits for what it asks. */
async function ask(prompt: string, agent = "desk"): Promise<{ taskId: string; approval: Approval }> {
  const { task_id: taskId } = await service.client.submit({ agent, prompt });
  for await (const event of service.client.events(taskId)) {
    if (event.type !== "entry" || event.entry.kind !== "question") continue;
    const { json } = await service.call("GET", `/approvals?task_id=${taskId}`);
    return { taskId, approval: json.items[0] as Approval };
  }
  throw new Error("The task asked nothing.");
}

const refund = 'call refund {"orderId":"A-1","amountUsd":80}';

describe("A question about a tool", () => {
  test("says what is asked, and approved the tool runs", async () => {
    const { taskId, approval } = await ask(refund);
    const { kind, tool, input, status, agent } = approval;
    assert.deepEqual(
      { kind, tool, input, status, agent, task_id: approval.task_id },
      {
        kind: "tool",
        tool: "refund",
        input: { orderId: "A-1", amountUsd: 80 },
        status: "pending",
        agent: "desk",
        task_id: taskId,
      },
    );
    const { status: code, json } = await answer(approval.id, { decision: "approve", comment: "fine", by: "ana" });
    assert.equal(code, 200);
    assert.deepEqual(
      [json.status, json.answered_by, json.answer],
      ["answered", "ana", { decision: "approve", comment: "fine" }],
    );
    assert.equal((await service.result(taskId)).output, "Done.");
    const { items } = (await service.call("GET", `/tasks/${taskId}/journal`)).json;
    assert.deepEqual(
      items.map(({ kind: each }: { kind: string }) => each),
      ["model", "question", "answer", "intent", "tool", "model", "end"],
    );
  });

  test("denied, the comment is what the agent hears", async () => {
    const { taskId, approval } = await ask(refund);
    const { json } = await answer(approval.id, { decision: "deny", comment: "Not before Monday." });
    assert.deepEqual(
      [json.answered_by, json.answer],
      ["operator", { decision: "deny", comment: "Not before Monday." }],
    );
    await service.result(taskId);
    assert.match((await service.call("GET", `/tasks/${taskId}/journal`)).text, /Not before Monday\./);
  });

  test("edited, the tool runs with other arguments, which must fit it", async () => {
    const { taskId, approval } = await ask(refund);
    const wrong = await answer(approval.id, { decision: "edit", input: { orderId: "A-1", amountUsd: "ten" } });
    assert.deepEqual([wrong.status, wrong.json.code, wrong.json.path], [400, "invalid_arguments", "/input"]);
    const { status } = await answer(approval.id, { decision: "edit", input: { orderId: "A-1", amountUsd: 10 } });
    assert.equal(status, 200);
    assert.equal((await service.result(taskId)).status, "completed");
  });

  test("of two answers at the same time one counts and the other is a conflict", async () => {
    const { taskId, approval } = await ask(refund);
    const answers = await Promise.all([
      answer(approval.id, { decision: "approve" }),
      answer(approval.id, { decision: "deny" }),
    ]);
    assert.deepEqual(
      answers.map(({ status }) => status).sort((a, b) => a - b),
      [200, 409],
    );
    const late = await answer(approval.id, { decision: "approve" });
    assert.deepEqual([late.status, late.json.code], [409, "approval_answered"]);
    await service.result(taskId);
  });

  test("that nobody needs any more is a conflict", async () => {
    const { taskId, approval } = await ask(refund);
    await service.client.cancel(taskId);
    assert.equal((await answer(approval.id, { decision: "approve" })).status, 409);
    assert.equal((await service.call("GET", `/approvals/${approval.id}`)).json.status, "cancelled");
  });
});

describe("Questions of other kinds", () => {
  test("an uncertain outcome is told by a human, and the agent goes on with it", async () => {
    const { taskId, approval } = await ask("call transfer {}");
    assert.equal(approval.kind, "uncertain");
    const { status } = await answer(approval.id, { decision: "succeeded", output: { reference: "T-1" } });
    assert.equal(status, 200);
    assert.equal((await service.result(taskId)).output, "Done.");
  });

  test("a limit is raised in the terms of the API, or ends the task", async () => {
    const raised = await ask('call find {"orderId":"A-1"}', "short");
    assert.equal(raised.approval.kind, "limit");
    const { json } = await answer(raised.approval.id, {
      decision: "continue",
      limits: { max_steps: 5, cost_usd: 0.5 },
    });
    assert.deepEqual(json.answer, { decision: "continue", advice: "", limits: { max_steps: 5, cost_usd: 0.5 } });
    assert.equal((await service.result(raised.taskId)).output, "Done.");
    const ended = await ask('call find {"orderId":"A-1"}', "short");
    await answer(ended.approval.id, { decision: "end" });
    assert.equal((await service.result(ended.taskId)).error, "max_steps_reached");
  });
});

describe("An answer that does not fit", () => {
  test("is refused with the path of what is wrong, and the question stays open", async () => {
    const { taskId, approval } = await ask(refund);
    const cases: [body: object, code: string, path: string][] = [
      [{ decision: "continue" }, "invalid_decision", "/decision"],
      [{ decision: "succeeded", output: 1 }, "invalid_decision", "/decision"],
      [{ decision: "maybe" }, "invalid_request", "/decision"],
      [{}, "invalid_request", "/decision"],
      [{ decision: "edit" }, "invalid_request", "/input"],
      [{ decision: "approve", input: {} }, "invalid_request", "/input"],
      [{ decision: "end", comment: "x" }, "invalid_request", "/comment"],
      [{ decision: "continue", limits: { maxSteps: 1 } }, "invalid_request", "/limits/maxSteps"],
      [{ decision: "deny", comment: "a\0b" }, "invalid_request", "/comment"],
      [{ decision: "approve", by: "" }, "invalid_request", "/by"],
    ];
    for (const [body, code, path] of cases) {
      const { status, json } = await answer(approval.id, body);
      assert.deepEqual([status, json.code, json.path], [400, code, path], JSON.stringify(body));
    }
    assert.equal((await service.call("GET", `/approvals/${approval.id}`)).json.status, "pending");
    await service.client.cancel(taskId);
  });

  test("to a question that is not there is a 404", async () => {
    const { status, json } = await answer("01890000-0000-7000-8000-000000000000", { decision: "approve" });
    assert.deepEqual([status, json.code], [404, "approval_not_found"]);
  });
});

test("Questions are listed oldest first, by status, over pages", async () => {
  const asked = [await ask(refund), await ask(refund), await ask(refund)];
  const ids = asked.map(({ approval }) => approval.id);
  const first = (await service.call("GET", "/approvals?limit=2")).json;
  const second = (await service.call("GET", `/approvals?limit=2&cursor=${first.next_cursor}`)).json;
  const listed = [...first.items, ...second.items].map(({ id }: { id: string }) => id);
  assert.deepEqual(listed, ids);
  for (const { taskId } of asked) await service.client.cancel(taskId);
  assert.deepEqual((await service.call("GET", "/approvals")).json.items, []);
  assert.ok((await service.call("GET", "/approvals?status=answered")).json.items.length > 0);
});
