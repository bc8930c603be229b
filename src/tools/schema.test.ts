import assert from "node:assert/strict";
import { test } from "node:test";
import type { StandardJSONSchemaV1, StandardSchemaV1 } from "@standard-schema/spec";
import { z } from "zod";
import type { JsonObject } from "../agent/json.ts";
import { compileSchema, describeProblems, type Schema } from "./schema.ts";

/** A schema of no known library: a string under "name", in upper case after parsing. */
function homemade(options: { jsonSchema?: boolean; asynchronous?: boolean } = {}): StandardSchemaV1<unknown, string> {
  const judge = (value: unknown): StandardSchemaV1.Result<string> => {
    const name = (value as JsonObject)["name"];
    if (typeof name === "string") return { value: name.toUpperCase() };
    return { issues: [{ message: "expected a name", path: [{ key: "name" }, 0, "a/b~c"] }] };
  };
  const describe = (): JsonObject => ({ type: "object", properties: { name: { type: "string" } } });
  const standard: StandardSchemaV1<unknown, string>["~standard"] & Partial<StandardJSONSchemaV1["~standard"]> = {
    version: 1,
    vendor: "homemade",
    validate: (value) => (options.asynchronous ? Promise.resolve(judge(value)) : judge(value)),
    ...(options.jsonSchema === false ? {} : { jsonSchema: { input: describe, output: describe } }),
  };
  return { "~standard": standard };
}

function problemsOf(schema: Schema, value: unknown): string[] {
  const parsed = schema.parse(value);
  assert.equal(parsed.ok, false);
  return parsed.ok ? [] : parsed.problems.map(({ path, message }) => `${path} ${message}`);
}

test("a Zod schema gives its JSON Schema without $schema, defaults and transforms", () => {
  const schema = compileSchema(
    z.object({ orderId: z.string(), count: z.number().default(1), at: z.string().transform(Number).optional() }),
    "input",
  );
  assert.deepEqual(schema.jsonSchema, {
    type: "object",
    properties: { orderId: { type: "string" }, count: { type: "number", default: 1 }, at: { type: "string" } },
    required: ["orderId"],
  });
  assert.deepEqual(schema.parse({ orderId: "A1", at: "7" }), { ok: true, value: { orderId: "A1", count: 1, at: 7 } });
});

test("a Zod schema's problems carry the path and what was expected", () => {
  const schema = compileSchema(
    z.object({ size: z.enum(["s", "m"]), lines: z.array(z.object({ n: z.number() })) }),
    "input",
  );
  assert.deepEqual(problemsOf(schema, { size: "xl", lines: [{ n: "1" }] }), [
    '/size Invalid option: expected one of "s"|"m"',
    "/lines/0/n Invalid input: expected number, received string",
  ]);
});

test("a Standard Schema of any library works, with path segments and escaped keys", () => {
  const schema = compileSchema(homemade(), "input");
  assert.deepEqual(schema.jsonSchema, { type: "object", properties: { name: { type: "string" } } });
  assert.deepEqual(schema.parse({ name: "ann" }), { ok: true, value: "ANN" });
  assert.deepEqual(problemsOf(schema, {}), ["/name/0/a~1b~0c expected a name"]);
});

test("a Standard Schema without a JSON Schema is refused with a way out", () => {
  assert.throws(() => compileSchema(homemade({ jsonSchema: false }), "input"), {
    code: "invalid_schema",
    message: /This homemade schema cannot tell its JSON Schema.*plain JSON Schema/,
  });
});

test("a Standard Schema that has no form in JSON Schema is refused", () => {
  assert.throws(() => compileSchema(z.object({ when: z.date() }), "input"), {
    code: "invalid_schema",
    message: /Date cannot be represented/,
  });
});

test("an asynchronous validator is refused when it answers", () => {
  const expected = { code: "async_schema_unsupported" };
  assert.throws(() => compileSchema(homemade({ asynchronous: true }), "input").parse({}), expected);
  const refined = compileSchema(z.object({ id: z.string().refine(async () => true) }), "input");
  assert.throws(() => refined.parse({ id: "1" }), expected);
});

test("plain JSON Schema fills defaults in without changing the caller's value", () => {
  const source = { type: "object", properties: { a: { type: "object", properties: { b: { default: 3 } } } } };
  const value = { a: {} };
  assert.deepEqual(compileSchema(source, "input").parse(value), { ok: true, value: { a: { b: 3 } } });
  assert.deepEqual(value, { a: {} });
});

test("plain JSON Schema names every problem with what would be right", () => {
  const schema = compileSchema(
    {
      $schema: "https://json-schema.org/draft/2020-12/schema",
      type: "object",
      properties: {
        id: { type: "string" },
        "a/b": { type: ["integer", "null"] },
        size: { enum: ["s", "m"] },
        fixed: { const: 1 },
        mail: { type: "string", format: "email" },
        rows: { type: "array", prefixItems: [{ type: "number", minimum: 1 }] },
      },
      required: ["id", "a/b"],
      additionalProperties: false,
    },
    "input",
  );
  assert.deepEqual(problemsOf(schema, { size: "xl", fixed: 2, mail: "nobody", rows: [0], extra: true }).sort(), [
    "/a~1b is required (integer or null)",
    '/extra is not allowed; allowed here: "id", "a/b", "size", "fixed", "mail", "rows"',
    "/fixed must be 1, but is 2",
    "/id is required (string)",
    '/mail must match format "email", but is "nobody"',
    "/rows/0 must be >= 1, but is 0",
    '/size must be one of "s", "m", but is "xl"',
  ]);
  assert.deepEqual(problemsOf(schema, "text"), [' must be object, but is "text"']);
});

test("a JSON Schema that is broken, asynchronous or of another draft is refused", () => {
  const refusals: [JsonObject, RegExp][] = [
    [{ type: "nonsense" }, /not valid: schema is invalid/],
    [{ $ref: "#/missing" }, /can't resolve reference/],
    [{ $async: true, type: "object" }, /must be synchronous/],
    [{ $schema: "http://json-schema.org/draft-07/schema#" }, /draft-07.*must be written in.*2020-12/],
  ];
  for (const [source, message] of refusals) {
    assert.throws(() => compileSchema(source, "input"), { code: "invalid_schema", message });
  }
  assert.throws(() => compileSchema(5 as unknown as JsonObject, "input"), { code: "invalid_schema" });
});

test("two JSON Schemas may use the same $id, and one is compiled once", () => {
  const text: JsonObject = { $id: "https://example.com/same", type: "object", properties: { a: { type: "string" } } };
  const number: JsonObject = { $id: "https://example.com/same", type: "object", properties: { a: { type: "number" } } };
  assert.equal(compileSchema(text, "input").parse({ a: "x" }).ok, true);
  assert.equal(compileSchema(number, "input").parse({ a: "x" }).ok, false);
  assert.equal(compileSchema(text, "input"), compileSchema(text, "input"));
});

test("a description of problems is bounded in lines and in length", () => {
  const problems = Array.from({ length: 12 }, (_, index) => ({ path: `/${index}`, message: "x".repeat(1_000) }));
  const lines = describeProblems(problems).split("\n");
  assert.equal(lines.length, 11);
  assert.equal(lines[0]?.length, 500);
  assert.equal(lines[10], "and 2 more");
  assert.equal(describeProblems([{ path: "", message: "is wrong" }]), "(the value): is wrong");
});

test("a schema that the validator stumbles over refuses the value, and says why", () => {
  const stumbling = {
    oneOf: [{ properties: { a: false }, minItems: 0 }, { oneOf: [true] }],
    patternProperties: { "^a": {} },
  };
  const parsed = compileSchema({ allOf: [stumbling] }, "input").parse({ a: 1 });
  assert.match(parsed.ok ? "" : parsed.problems[0]!.message, /^cannot be checked by its schema/);
});
