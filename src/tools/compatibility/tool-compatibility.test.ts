import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import type { Effect } from "../../agent/journal.ts";
import { defineTool, type Tool } from "../define-tool.ts";
import type { SchemaSource } from "../schema.ts";
import { findBreaks } from "./tool-compatibility.ts";

function tool(input: SchemaSource, more: { output?: SchemaSource; effect?: Effect } = {}): Tool {
  const { output, effect = "read" } = more;
  const given = { name: "a", version: "1.0.0", description: "A tool.", effect, input, run: () => ({}) };
  return (output === undefined ? defineTool(given) : defineTool({ ...given, output })) as Tool;
}

const empty = z.object({});
const breaks = (before: Tool, after: Tool): string[] =>
  findBreaks(before, after).map(({ path, message }) => `${path} ${message}`);

test("an input may grow wider, an output narrower", () => {
  const narrow = z.strictObject({ n: z.int() });
  const wide = z.strictObject({ n: z.number(), m: z.string().default("x") });
  assert.deepEqual(breaks(tool(narrow), tool(wide)), []);
  assert.deepEqual(
    breaks(tool(empty, { output: z.object({ n: z.number() }) }), tool(empty, { output: z.object({ n: z.int() }) })),
    [],
  );
});

test("and not the other way round, which is said with the place", () => {
  const int = z.strictObject({ n: z.int() });
  const number = z.strictObject({ n: z.number() });
  const [first = "", ...others] = breaks(tool(number), tool(int));
  assert.match(first, /^\/input\/properties\/n\/type no longer allows: number that is no integer$/);
  assert.ok(others.every((gap) => gap.startsWith("/input/properties/n/")));
  assert.match(
    breaks(tool(empty, { output: int }), tool(empty, { output: number }))[0]!,
    /^\/output\/properties\/n\/type /,
  );
});

test("a promised output stays promised", () => {
  assert.deepEqual(breaks(tool(empty), tool(empty, { output: z.object({}) })), []);
  assert.match(breaks(tool(empty, { output: z.object({}) }), tool(empty))[0]!, /^\/output\/type no longer allows/);
});

test("another effect class is a break", () => {
  assert.deepEqual(breaks(tool(empty), tool(empty, { effect: "once" })), ['/effect was "read" and is "once"']);
});

test("a field more is no break where others were refused, and one where any were let through", () => {
  const more = { a: z.string(), b: z.string().optional() };
  assert.deepEqual(breaks(tool(z.strictObject({ a: z.string() })), tool(z.strictObject(more))), []);
  assert.deepEqual(breaks(tool(z.object({ a: z.string() })), tool(z.object(more))), [
    "/input/properties/b was not named, so that anything was let through",
  ]);
});
