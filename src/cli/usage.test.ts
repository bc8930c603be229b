import assert from "node:assert/strict";
import { test } from "node:test";
import type { UsageSum } from "../client/wire.ts";
import { renderTable } from "./table.ts";
import { usageColumns } from "./usage.ts";

const sum: UsageSum = {
  agent: "support",
  user_id: null,
  calls: 1_234,
  failed_calls: 2,
  estimated_calls: 3,
  unpriced_calls: 0,
  input_tokens: 1_000_000,
  cached_tokens: 400_000,
  output_tokens: 20_000,
  reasoning_tokens: 0,
  cost_usd: 12.5,
};

const paint = (_format: unknown, text: string): string => text;
const table = (sums: readonly UsageSum[], width?: number): string[] =>
  renderTable(sums, usageColumns(["agent", "user"]), { width, paint });

test("the usage of models is a table of numbers, the cost at its end", () => {
  assert.deepEqual(table([sum]), [
    "AGENT    USER  CALLS      INPUT   CACHED  OUTPUT  REASONING  FAILED  ESTIMATED    COST",
    "support  –     1,234  1,000,000  400,000  20,000          0       2          3  $12.50",
  ]);
});

test("a cost that is unknown, or known in part only, says so", () => {
  const [, unknown = "", part = ""] = table([
    { ...sum, cost_usd: null, unpriced_calls: 1_234 },
    { ...sum, unpriced_calls: 1 },
  ]);
  assert.match(unknown, / \?$/);
  assert.match(part, /\$12\.50 \+$/);
});

test("in a narrow terminal the cost stays", () => {
  for (const line of table([sum], 50)) assert.match(line, /(COST|\$12\.50)$/);
});
