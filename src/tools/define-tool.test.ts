import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import type { JsonObject } from "../agent/json.ts";
import { createToolCatalogue } from "./catalogue.ts";
import { defineTool, type Tool, type ToolContext } from "./define-tool.ts";

/** Fails to compile, not to run, if the two types differ. */
function sameType<A, B>(
  _same: (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false,
): void {}

const valid = {
  name: "refund",
  version: "1.2.0",
  description: "Refund an order to its card.",
  effect: "once" as const,
  input: z.object({ orderId: z.string(), amountUsd: z.number().positive() }),
  run: () => null,
};

test("a tool is a frozen object with its schemas compiled and its defaults filled in", () => {
  const tool = defineTool(valid);
  assert.ok(Object.isFrozen(tool));
  assert.equal(tool.timeoutMs, 30_000);
  assert.equal(tool.output, null);
  assert.equal(tool.needsApproval({ orderId: "A1", amountUsd: 5 }), false);
  assert.deepEqual(tool.input.jsonSchema["required"], ["orderId", "amountUsd"]);
});

test("run and approval are typed by what the input schema parses to, and run's answer by the output schema", () => {
  const tool = defineTool({
    ...valid,
    input: z.object({ orderId: z.string(), amountUsd: z.number().default(1), day: z.string().transform(Number) }),
    output: z.object({ refundId: z.string(), note: z.string().default("") }),
    approval: (input) => {
      sameType<typeof input, { orderId: string; amountUsd: number; day: number }>(true);
      return input.amountUsd > 50;
    },
    run: async (input, context) => {
      sameType<typeof input, { orderId: string; amountUsd: number; day: number }>(true);
      sameType<typeof context, ToolContext>(true);
      return { refundId: `${input.orderId}-${context.idempotencyKey}` };
    },
  });
  sameType<Parameters<typeof tool.run>[0], { orderId: string; amountUsd: number; day: number }>(true);
  assert.equal(tool.needsApproval({ orderId: "A1", amountUsd: 51, day: 1 }), true);
  assert.equal(tool.needsApproval({ orderId: "A1", amountUsd: 50, day: 1 }), false);
  defineTool({
    ...valid,
    output: z.object({ refundId: z.string() }),
    // @ts-expect-error the output schema says refundId
    run: () => ({ refund: "r1" }),
  });
});

test("plain JSON Schema types the input as a JSON object", () => {
  const tool = defineTool({
    ...valid,
    input: { type: "object", properties: { orderId: { type: "string" } }, required: ["orderId"] },
    run: (input) => {
      sameType<typeof input, JsonObject>(true);
      return input["orderId"];
    },
  });
  assert.equal(tool.input.parse({}).ok, false);
});

test("tools of different inputs go into one list", () => {
  const tools: readonly Tool[] = [
    defineTool(valid),
    defineTool({ ...valid, name: "find", input: z.object({ q: z.string() }) }),
  ];
  assert.equal(createToolCatalogue(tools).tools.length, 2);
});

test("each wrong option is refused with its path", () => {
  const wrong: [string, Record<string, unknown>][] = [
    ["/name", { name: "Refund" }],
    ["/name", { name: "a".repeat(64) }],
    ["/name", { name: 5 }],
    ["/version", { version: "1.2" }],
    ["/version", { version: "v1.2.0" }],
    ["/version", { version: undefined }],
    ["/description", { description: " " }],
    ["/effect", { effect: "write" }],
    ["/approval", { approval: "yes" }],
    ["/timeoutMs", { timeoutMs: 0 }],
    ["/timeoutMs", { timeoutMs: Number.NaN }],
    ["/timeoutMs", { timeoutMs: 2 ** 31 }],
    ["/run", { run: null }],
    ["/input", { input: undefined }],
    ["/input", { input: { type: "string" } }],
    ["/input", { input: z.union([z.object({ a: z.string() }), z.object({ b: z.string() })]) }],
    ["/output", { output: { type: "nonsense" } }],
  ];
  for (const [path, options] of wrong) {
    assert.throws(
      () => defineTool({ ...valid, ...options } as typeof valid),
      { name: "InvalidInputError", code: "invalid_tool", path },
      JSON.stringify(options),
    );
  }
});

test("a human is asked on any doubt: an approval function that throws or answers no boolean", () => {
  const asks = (approval: unknown): boolean =>
    defineTool({ ...valid, approval: approval as () => boolean }).needsApproval({ orderId: "A1", amountUsd: 1 });
  assert.equal(asks(true), true);
  assert.equal(
    asks(() => false),
    false,
  );
  assert.equal(
    asks(() => undefined),
    true,
  );
  assert.equal(
    asks(async () => Promise.reject(new Error("late"))),
    true,
  );
  assert.equal(
    asks(() => {
      throw new Error("no price list");
    }),
    true,
  );
});
