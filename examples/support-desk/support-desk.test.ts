import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { converse, type Answers } from "../../test/support/rules-conversation.ts";
import { loadCatalogue } from "./catalogue.ts";
import { openDeskStore } from "./desk-store.ts";
import { createDesk } from "./tools/desk-tools.ts";

const directory = mkdtempSync(join(tmpdir(), "support-desk-"));
const desks: ReturnType<typeof createDesk>[] = [];
after(() => {
  for (const { store } of desks) store.close();
  rmSync(directory, { recursive: true });
});

function newDesk() {
  const desk = createDesk({ path: join(directory, `desk-${desks.length}.db`), refundMs: 0 });
  desks.push(desk);
  return desk;
}

function toolOf(desk: ReturnType<typeof newDesk>, name: string) {
  const tool = desk.tools.find((each) => each.name === name);
  assert.ok(tool !== undefined, `no tool ${name}`);
  return tool;
}

/** Runs a tool as the engine would: input and output checked against its schemas. */
async function run(desk: ReturnType<typeof newDesk>, name: string, { input, key }: { input: unknown; key: string }) {
  const tool = toolOf(desk, name);
  const parsed = tool.input.parse(input);
  assert.ok(parsed.ok, `${name} refuses ${JSON.stringify(input)}`);
  const names = { taskId: "task", sessionId: "session", tenant: "default", agent: "support", userId: null };
  const context = { idempotencyKey: key, signal: new AbortController().signal, ...names };
  const output = await tool.run(parsed.value as never, context);
  assert.equal(tool.output?.parse(output).ok, true, `${name} answers ${JSON.stringify(output)}`);
  return output as unknown as Record<string, unknown>;
}

/** A conversation of the rules model with the desk's own tools. */
async function play(requests: readonly string[], desk = newDesk()) {
  let calls = 0;
  const answers: Answers = Object.fromEntries(
    desk.tools.map(({ name }) => [name, (input: unknown) => run(desk, name, { input, key: `call-${(calls += 1)}` })]),
  );
  const offered = desk.tools.map(({ name, description, input }) => ({
    type: "function" as const,
    name,
    description,
    inputSchema: input.jsonSchema,
  }));
  return { ...(await converse(requests, { offered, answers })), desk };
}

describe("the support desk with the rules model", () => {
  test("says where an order is", async () => {
    const { made, last } = await play(["Where is order A-1042?"]);
    assert.deepEqual(made, [[["find_order", { orderId: "A-1042" }]]]);
    assert.match(last, /^Status delivered, carrier Parcel One/u);
  });

  test("lists the orders of a customer, all or by status", async () => {
    const email = "celia.hallam@example.com";
    const { made, last } = await play([`Show me the shipped orders of ${email}`, `List the orders of ${email}`]);
    assert.deepEqual(made, [[["list_orders", { email, status: "shipped" }]], [["list_orders", { email }]]]);
    assert.match(last, /A-1042/u);
  });

  test("refunds what the customer names, with the reason", async () => {
    const { made, desk } = await play(["refund $80 of order A-1042, it arrived broken"]);
    assert.deepEqual(made, [[["refund", { orderId: "A-1042", amountUsd: 80, reason: "it arrived broken" }]]]);
    assert.deepEqual(desk.store.refunds(), [{ orderId: "A-1042", cents: 8000, reason: "it arrived broken" }]);
  });

  test("writes to the customer of an order", async () => {
    const { made, desk } = await play(["email the customer of A-1042 that a replacement is on its way"]);
    const email = {
      to: "celia.hallam@example.com",
      subject: "A replacement is on its way",
      body: "A replacement is on its way.",
    };
    assert.deepEqual(made, [
      [
        ["find_order", { orderId: "A-1042" }],
        ["send_email", email],
      ],
    ]);
    assert.deepEqual(desk.store.emails(), [email]);
  });

  test("answers about policies", async () => {
    const { made, last } = await play(["What is your return policy?"]);
    assert.deepEqual(made, [[["find_policy", { query: "return policy" }]]]);
    assert.match(last, /within 30 days of delivery/u);
  });

  test("refunds what is left of the order that was spoken of", async () => {
    const { made } = await play(["Refund $8 of A-1042", "refund it", "Has it been refunded?"]);
    assert.deepEqual(made.slice(1), [
      [
        ["find_order", { orderId: "A-1042" }],
        ["refund", { orderId: "A-1042", amountUsd: 150 }],
      ],
      [["find_order", { orderId: "A-1042" }]],
    ]);
  });

  test("reads, refunds and writes in one request", async () => {
    const { made, last } = await play([
      "I want a refund for A-1060 because it never came, and let the customer know that we are sorry",
    ]);
    const names = made[0]?.map(([name]) => name);
    assert.deepEqual(names, ["find_order", "refund", "send_email"]);
    assert.match(last, /Done: refund .*\n(?:.*\n)*.*Done: send email/u);
  });

  test("asks for the order before it refunds one", async () => {
    const { made, desk } = await play(["Refund $20 of my order", "A-1055"]);
    assert.deepEqual(made, [[], [["refund", { orderId: "A-1055", amountUsd: 20 }]]]);
    assert.equal(desk.store.refundedCents("A-1055"), 2000);
  });

  test("says that an order is unknown, and does nothing more", async () => {
    const { made, last, desk } = await play(["Refund order A-9999"]);
    assert.deepEqual(made, [[["find_order", { orderId: "A-9999" }]]]);
    assert.match(last, /There is no order A-9999\./u);
    assert.deepEqual(desk.store.refunds(), []);
  });
});

describe("a refund", () => {
  const input = { orderId: "A-1042", amountUsd: 80 };

  test("is booked once however often it is asked for with one key", async () => {
    const desk = newDesk();
    const first = await run(desk, "refund", { input, key: "a" });
    assert.deepEqual(first, { refundId: "R-1", leftToRefundUsd: 78 });
    assert.deepEqual(await run(desk, "refund", { input, key: "a" }), first);
    assert.equal(desk.store.refunds().length, 1);
  });

  test("never takes more than is left, even when two come at once", async () => {
    const desk = newDesk();
    const results = await Promise.allSettled(["a", "b"].map((key) => run(desk, "refund", { input, key })));
    assert.deepEqual(results.map(({ status }) => status).toSorted(), ["fulfilled", "rejected"]);
    assert.equal(desk.store.refundedCents("A-1042"), 8000);
    await assert.rejects(run(desk, "refund", { input, key: "c" }), /only \$78\.00 left/u);
  });

  test("needs a human above $50", () => {
    const tool = toolOf(newDesk(), "refund");
    assert.deepEqual(
      [50, 50.01].map((amountUsd) => tool.needsApproval({ orderId: "A-1042", amountUsd } as never)),
      [false, true],
    );
  });

  test("is still there when the store is opened again", async () => {
    const desk = newDesk();
    await run(desk, "refund", { input, key: "a" });
    desk.store.close();
    const reopened = openDeskStore(join(directory, `desk-${desks.length - 1}.db`));
    assert.equal(reopened.refundNumber("a"), 1);
    reopened.close();
  });
});

describe("an email", () => {
  test("is sent once with one key", async () => {
    const desk = newDesk();
    const input = { to: "ann@example.com", subject: "Hello", body: "Your order is ready." };
    assert.deepEqual(await run(desk, "send_email", { input, key: "a" }), { emailId: "E-1" });
    assert.deepEqual(await run(desk, "send_email", { input, key: "a" }), { emailId: "E-1" });
    assert.deepEqual(desk.store.emails(), [input]);
  });
});

describe("the catalogue", () => {
  test("is consistent: every order has its customer and adds up", () => {
    const catalogue = loadCatalogue();
    let orders = 0;
    for (let number = 1001; number <= 1320; number += 1) {
      const order = catalogue.order(`A-${number}`);
      const goods = order.items.reduce((sum, { quantity, priceUsd }) => sum + quantity * priceUsd, 0);
      assert.equal(Math.round((goods + order.shippingUsd) * 100), Math.round(order.totalUsd * 100), order.id);
      assert.ok(catalogue.ordersOf(catalogue.customer(order.customerId).email).includes(order));
      orders += 1;
    }
    assert.ok(orders >= 250 && catalogue.policies.length >= 20);
  });
});
