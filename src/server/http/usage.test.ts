import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { obedientModel } from "../../../test/support/obedient-model.ts";
import { startService, type TestService } from "../../../test/support/http-service.ts";
import { InvalidInputError } from "../../platform/errors.ts";
import { systemId } from "../../platform/ids.ts";

const day = Date.UTC(2026, 10, 20);
const usage = { input: 100, cached: 40, output: 20, reasoning: 5, estimated: false };
const call = { model: "openai/gpt-5", code: null, at: day, usage, costMicros: 1_500 };
const owner = { tenant: "default", agent: null, sessionId: null, keyId: "k-1" };

describe("GET /usage", () => {
  let service: TestService;
  before(async () => {
    service = await startService({ gateway: obedientModel() });
    await service.holdfast.store.recordUsage([
      { id: systemId(), ...call, ...owner, userId: "ann" },
      { id: systemId(), ...call, ...owner, userId: '=HYPERLINK("http://evil")' },
      { id: systemId(), ...call, ...owner, userId: "bob, the builder", model: "compatible/own", costMicros: null },
      // After the stretches of time that the tests look at.
      { id: systemId(), ...call, ...owner, userId: "eve", at: day + 2 * 86_400_000, purpose: "evaluation" },
      { id: systemId(), ...call, ...owner, userId: "ann", tenant: "another", costMicros: 9_999_999 },
    ]);
  });
  after(() => service.close());
  const get = (query: string, headers: Record<string, string> = {}) =>
    service.call("GET", `/usage${query}`, { headers });

  const sum = { failed_calls: 0, estimated_calls: 0, unpriced_calls: 0 };
  const tokens = { input_tokens: 100, cached_tokens: 40, output_tokens: 20, reasoning_tokens: 5 };

  test("answers sums by what is asked for, of this tenant alone", async () => {
    const { status, json } = await get("?by=model,day&user_id=ann&to=2026-11-21");
    assert.equal(status, 200);
    const one = { model: "openai/gpt-5", day: "2026-11-20", calls: 1, ...sum, ...tokens, cost_usd: 0.0015 };
    assert.deepEqual(json, { items: [one], next_cursor: null });
  });

  test("tells evaluations apart", async () => {
    const { json } = await get("?by=purpose&purpose=evaluation");
    const one = { purpose: "evaluation", calls: 1, ...sum, ...tokens, cost_usd: 0.0015 };
    assert.deepEqual(json, { items: [one], next_cursor: null });
    assert.equal((await get("?purpose=other")).status, 400);
  });

  test("says of a price that is unknown null, and of how many calls it knows none", async () => {
    const { json } = await get("?by=model&to=2026-11-21");
    assert.deepEqual(
      json.items.map(({ model, cost_usd, unpriced_calls }: Record<string, unknown>) => [
        model,
        cost_usd,
        unpriced_calls,
      ]),
      [
        ["openai/gpt-5", 0.003, 0],
        ["compatible/own", null, 1],
      ],
    );
    const [all] = (await get("?to=2026-11-21")).json.items;
    assert.deepEqual([all.calls, all.cost_usd, all.unpriced_calls], [3, 0.003, 1]);
  });

  test("counts what tasks used, as their results do", async () => {
    const run = await service.call("POST", "/run", {
      body: { agent: "desk", prompt: 'call find {"orderId":"A-1"}', session_id: "paid", user_id: "carl" },
    });
    const { json } = await get("?by=agent,session,user&session_id=paid");
    assert.equal(json.items.length, 1);
    const { agent, session_id, user_id, calls, input_tokens, output_tokens, cost_usd } = json.items[0];
    assert.deepEqual([agent, session_id, user_id], ["desk", "paid", "carl"]);
    assert.deepEqual([calls, input_tokens + output_tokens], [run.json.steps_used, run.json.tokens_used]);
    assert.equal(cost_usd, run.json.cost_usd);
  });

  test("comes in pages", async () => {
    const first = (await get("?by=user&limit=2&to=2026-11-21")).json;
    const second = (await get(`?by=user&limit=2&to=2026-11-21&cursor=${first.next_cursor}`)).json;
    assert.deepEqual([first.items.length, second.items.length, second.next_cursor], [2, 1, null]);
    const all = (await get("?by=user&to=2026-11-21")).json.items;
    assert.deepEqual([...first.items, ...second.items], all);
  });

  test("is a table for spreadsheets if that is asked for, in which no text is a formula", async () => {
    const query = "?by=user,key&to=2026-11-21";
    const asked = await get(query, { accept: "text/csv" });
    assert.equal(asked.headers.get("content-type"), "text/csv; charset=utf-8");
    assert.equal(asked.text, (await get(`${query}&format=csv`)).text);
    const lines = asked.text.split("\r\n");
    assert.deepEqual(lines, [
      "user_id,key_id,calls,failed_calls,estimated_calls,unpriced_calls,input_tokens,cached_tokens,output_tokens," +
        "reasoning_tokens,cost_usd",
      `"'=HYPERLINK(""http://evil"")",k-1,1,0,0,0,100,40,20,5,0.0015`,
      "ann,k-1,1,0,0,0,100,40,20,5,0.0015",
      '"bob, the builder",k-1,1,0,0,1,100,40,20,5,',
      "",
    ]);
    assert.match((await get(query, { accept: "application/json, text/csv" })).headers.get("content-type")!, /json/);
    assert.match((await get(`${query}&format=json`, { accept: "text/csv" })).headers.get("content-type")!, /json/);
  });

  test("names the next page of a table in its Link", async () => {
    const first = await get("?by=user&limit=2&to=2026-11-21", { accept: "text/csv" });
    const next = /^<(\/usage\?.*)>; rel="next"$/.exec(first.headers.get("link") ?? "")?.[1];
    const second = await service.call("GET", next!);
    assert.equal(second.text.split("\r\n").length, 3);
    assert.equal(second.headers.get("link"), null);
  });

  test("is what the client asks for", async () => {
    const page = await service.client.usage({ by: ["user", "key"], to: "2026-11-21" });
    assert.equal(page.items.length, 3);
    assert.deepEqual((await service.client.usage({ to: "2026-11-21" })).items[0]?.calls, 3);
    assert.match(await service.client.usageCsv({ by: ["user"], to: "2026-11-21" }), /^user_id,calls,/);
    await assert.rejects(service.client.usage({ by: ["shoe" as "user"] }), InvalidInputError);
  });

  for (const [query, path] of [
    ["?by=colour", "/query/by"],
    ["?by=user,", "/query/by"],
    ["?from=yesterday", "/query/from"],
    ["?to=2026-02-30", "/query/to"],
    ["?limit=10001", "/query/limit"],
    ["?format=xml", "/query/format"],
    ["?tenant=another", "/query/tenant"],
    ["?cursor=abc", "/query/cursor"],
  ]) {
    test(`refuses ${query}`, async () => {
      const { status, json } = await get(query!);
      assert.deepEqual([status, json.path], [400, path]);
    });
  }
});
