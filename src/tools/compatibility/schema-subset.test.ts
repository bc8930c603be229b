// oxlint-disable unicorn/no-thenable -- `then` is a keyword of JSON Schema
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Json, JsonObject } from "../../agent/json.ts";
import { findGaps } from "./schema-subset.ts";

const text = { type: "string" };
const number = { type: "number" };
const integer = { type: "integer" };
const object = (properties: JsonObject, more: JsonObject = {}): JsonObject => ({ type: "object", properties, ...more });
const base = object({ a: text, n: integer }, { required: ["a"] });

/** A change by its name: before, after, and where the gaps are; none: whatever was valid stays valid. */
const changes: Record<string, [before: JsonObject, after: JsonObject, paths: string[]]> = {
  nothing: [base, base, []],
  "another description, title, example, comment": [
    base,
    { ...base, title: "B", description: "x", examples: [1], $comment: "y" },
    [],
  ],
  "an optional property more": [base, object({ a: text, n: integer, b: text }, { required: ["a"] }), ["/properties/b"]],
  "an optional property more, where no others were allowed": [
    object({ a: text }, { additionalProperties: false }),
    object({ a: text, b: text }, { additionalProperties: false }),
    [],
  ],
  "a required property more": [
    object({ a: text }, { additionalProperties: false }),
    object({ a: text, b: text }, { required: ["b"], additionalProperties: false }),
    ["/required"],
  ],
  "a required property more, with a default": [
    object({ a: text }, { additionalProperties: false }),
    object({ a: text, b: { ...text, default: "x" } }, { required: ["b"], additionalProperties: false }),
    [],
  ],
  "a required property more, with a default that is none": [
    object({ a: text }, { additionalProperties: false }),
    object({ a: text, b: { ...text, default: 5 } }, { required: ["b"], additionalProperties: false }),
    ["/properties/b"],
  ],
  "a default taken from a required property": [
    object({ a: { ...text, default: "x" } }, { required: ["a"] }),
    object({ a: text }, { required: ["a"] }),
    ["/required"],
  ],
  "another default": [object({ a: { ...text, default: "x" } }), object({ a: { ...text, default: "y" } }), []],
  "a new default that another rule refuses": [
    object({ a: text, b: text }, { maxProperties: 1 }),
    object({ a: text, b: { ...text, default: "x" } }, { maxProperties: 1 }),
    ["/maxProperties"],
  ],
  "a required property less": [base, object({ a: text, n: integer }), []],
  "an optional property that is required": [base, { ...base, required: ["a", "n"] }, ["/required"]],
  "a property taken away, others allowed": [base, object({ a: text }, { required: ["a"] }), []],
  "a property taken away, no others allowed": [
    object({ a: text, n: integer }, { additionalProperties: false }),
    object({ a: text }, { additionalProperties: false }),
    ["/additionalProperties"],
  ],
  "others no longer allowed": [base, { ...base, additionalProperties: false }, ["/additionalProperties"]],
  "others allowed": [{ ...base, additionalProperties: false }, base, []],
  "others of a wider type": [
    object({}, { additionalProperties: integer }),
    object({}, { additionalProperties: number }),
    [],
  ],
  "others of a narrower type": [
    object({}, { additionalProperties: number }),
    object({}, { additionalProperties: integer }),
    ["/additionalProperties/type"],
  ],
  "integer to number": [integer, number, []],
  "number to integer": [number, integer, ["/type"]],
  "a type more": [text, { type: ["string", "null"] }, []],
  "a type less": [{ type: ["string", "null"] }, text, ["/type"]],
  "another type": [text, number, ["/type"]],
  "no type any more": [text, {}, []],
  "a value more in an enum": [{ enum: ["a", "b"] }, { enum: ["a", "b", "c"] }, []],
  "a value less in an enum": [{ enum: ["a", "b"] }, { enum: ["a"] }, [""]],
  "an enum for a type": [{ enum: ["a", "b"] }, text, []],
  "a type for an enum": [text, { enum: ["a", "b"] }, ["/enum"]],
  "an enum for a boolean, complete": [{ type: "boolean" }, { enum: [true, false] }, []],
  "a constant in an enum": [{ const: 1 }, { enum: [1, 2] }, []],
  "an enum for a constant": [{ enum: [1, 2] }, { const: 1 }, [""]],
  "a lower minimum": [{ ...number, minimum: 5 }, { ...number, minimum: 1 }, []],
  "a higher minimum": [{ ...number, minimum: 1 }, { ...number, minimum: 5 }, ["/minimum"]],
  "a minimum that becomes exclusive": [
    { ...number, minimum: 1 },
    { ...number, exclusiveMinimum: 1 },
    ["/exclusiveMinimum"],
  ],
  "an exclusive minimum that becomes inclusive": [{ ...number, exclusiveMinimum: 1 }, { ...number, minimum: 1 }, []],
  "a lower maximum": [{ ...number, maximum: 9 }, { ...number, maximum: 5 }, ["/maximum"]],
  "a higher maximum": [{ ...number, maximum: 5 }, { ...number, maximum: 9 }, []],
  "multiples of a divisor": [{ ...integer, multipleOf: 6 }, { ...integer, multipleOf: 3 }, []],
  "multiples of something else": [{ ...integer, multipleOf: 6 }, { ...integer, multipleOf: 4 }, ["/multipleOf"]],
  "a longer text allowed": [{ ...text, maxLength: 5 }, { ...text, maxLength: 9 }, []],
  "a shorter text demanded": [{ ...text, maxLength: 9 }, { ...text, maxLength: 5 }, ["/maxLength"]],
  "a longer text demanded": [text, { ...text, minLength: 1 }, ["/minLength"]],
  "a pattern": [text, { ...text, pattern: "^a" }, ["/pattern"]],
  "another pattern": [{ ...text, pattern: "^a" }, { ...text, pattern: "^b" }, ["/pattern"]],
  "no pattern any more": [{ ...text, pattern: "^a" }, text, []],
  "a format": [text, { ...text, format: "date" }, ["/format"]],
  "no format any more": [{ ...text, format: "date" }, text, []],
  "a pattern that no number has to match": [number, { ...number, pattern: "^a" }, []],
  "more items allowed": [{ type: "array", maxItems: 3 }, { type: "array", maxItems: 5 }, []],
  "fewer items allowed": [{ type: "array" }, { type: "array", maxItems: 5 }, ["/maxItems"]],
  "one item at least": [{ type: "array" }, { type: "array", minItems: 1 }, ["/minItems"]],
  "items of a wider type": [{ type: "array", items: integer }, { type: "array", items: number }, []],
  "items of a narrower type": [{ type: "array", items: number }, { type: "array", items: integer }, ["/items/type"]],
  "items that must differ": [{ type: "array" }, { type: "array", uniqueItems: true }, ["/uniqueItems"]],
  "a single value or a list of them": [text, { anyOf: [text, { type: "array", items: text }] }, []],
  "a list for a single value": [text, { type: "array", items: text }, ["/type"]],
  "a first item of its own": [
    { type: "array", items: number },
    { type: "array", prefixItems: [integer], items: number },
    ["/prefixItems/0/type"],
  ],
  "places made alike": [
    { type: "array", prefixItems: [integer, number], items: false },
    { type: "array", items: number },
    [],
  ],
  "something it must contain": [{ type: "array" }, { type: "array", contains: integer }, ["/contains"]],
  "something that it contains anyway": [
    { type: "array", items: integer, minItems: 1 },
    { type: "array", contains: number },
    [],
  ],
  "a property deep inside that is required": [
    object({ a: object({ b: object({ c: text }) }) }),
    object({ a: object({ b: object({ c: text }, { required: ["c"] }) }) }),
    ["/properties/a/properties/b/required"],
  ],
  "properties by a pattern, where all were allowed": [
    object({}),
    { type: "object", patternProperties: { "^x-": text } },
    ["/patternProperties/^x-/type"],
  ],
  "properties by the same pattern, wider": [
    { type: "object", patternProperties: { "^x-": integer } },
    { type: "object", patternProperties: { "^x-": number } },
    [],
  ],
  "names that must be short": [
    object({}),
    object({}, { propertyNames: { maxLength: 3 } }),
    ["/propertyNames/maxLength"],
  ],
  "names that are short anyway": [
    object({ abc: text }, { additionalProperties: false }),
    object({}, { propertyNames: { maxLength: 3 } }),
    [],
  ],
  "at least one property, where one is required": [base, { ...base, minProperties: 1 }, []],
  "at most one property": [base, { ...base, maxProperties: 1 }, ["/maxProperties"]],
  "a property that needs another": [base, { ...base, dependentRequired: { n: ["b"] } }, ["/dependentRequired"]],
  "a property that needs one which is required": [base, { ...base, dependentRequired: { n: ["a"] } }, []],
  "a property that brings a rule": [
    base,
    { ...base, dependentSchemas: { n: { required: ["b"] } } },
    ["/dependentSchemas/n/required"],
  ],
  "an alternative more": [{ anyOf: [text, integer] }, { anyOf: [text, integer, { type: "null" }] }, []],
  "an alternative less": [{ anyOf: [text, integer, { type: "null" }] }, { anyOf: [text, integer] }, [""]],
  "alternatives made one type": [{ anyOf: [text, integer] }, { type: ["string", "number"] }, []],
  "one type made alternatives": [{ type: ["string", "number"] }, { anyOf: [text, number] }, []],
  "one of two that exclude each other": [
    { anyOf: [object({ k: { const: "x" } }, { required: ["k"] }), object({ k: { const: "y" } }, { required: ["k"] })] },
    { oneOf: [object({ k: { const: "x" } }, { required: ["k"] }), object({ k: { const: "y" } }, { required: ["k"] })] },
    [],
  ],
  "one of two that overlap": [{ anyOf: [number, integer] }, { oneOf: [number, integer] }, ["/oneOf"]],
  "all of two taken apart": [{ allOf: [base, { minProperties: 1 }] }, base, []],
  "all of two put together": [base, { allOf: [base, { required: ["n"] }] }, ["/allOf/1/required"]],
  "something excluded": [number, { ...number, not: { const: 5 } }, ["/not"]],
  "something excluded that it never was": [number, { ...number, not: text }, []],
  "a condition": [base, { ...base, if: { required: ["n"] }, then: { required: ["b"] } }, ["/then/required"]],
  "a condition whose consequence holds anyway": [
    base,
    { ...base, if: { required: ["n"] }, then: { required: ["a"] } },
    [],
  ],
  "a definition for what stood in place": [
    object({ a: text }),
    object({ a: { $ref: "#/$defs/t" } }, { $defs: { t: text } }),
    [],
  ],
  "a narrower definition": [
    object({ a: { $ref: "#/$defs/t" } }, { $defs: { t: text } }),
    object({ a: { $ref: "#/$defs/t" } }, { $defs: { t: { ...text, maxLength: 3 } } }),
    ["/$defs/t/maxLength"],
  ],
  "a tree with a wider leaf": [tree(integer), tree(number), []],
  "a tree with a narrower leaf": [tree(number), tree(integer), ["/$defs/node/properties/leaf/type"]],
  "a reference that leads nowhere": [object({ a: text }), object({ a: { $ref: "#/$defs/t" } }), ["/properties/a"]],
  "what is not evaluated elsewhere no longer allowed": [
    base,
    { ...base, unevaluatedProperties: false },
    ["/unevaluatedProperties"],
  ],
  "what is not evaluated elsewhere, where that changes": [
    { allOf: [object({ a: text, b: text })], unevaluatedProperties: false },
    { allOf: [object({ a: text })], unevaluatedProperties: false },
    ["/unevaluatedProperties"],
  ],
  "nor, where what evaluates them goes": [
    { additionalProperties: text, unevaluatedProperties: false },
    { unevaluatedProperties: false },
    ["/unevaluatedProperties"],
  ],
  "a keyword that nobody knows": [text, { ...text, "x-hint": "big" }, []],
};

function tree(leaf: Json): JsonObject {
  const children = { type: "array", items: { $ref: "#/$defs/node" } };
  return { $ref: "#/$defs/node", $defs: { node: object({ leaf, children }) } };
}

describe("Of two schemas, the values of the first are values of the second after", () => {
  for (const [change, [before, after, paths]] of Object.entries(changes))
    test(`${change}: ${paths.length === 0 ? "yes" : "no"}`, () => {
      assert.deepEqual([...new Set(findGaps(before, after).map(({ path }) => path))], paths);
    });
});

test("a gap says what was and what is", () => {
  const said = (before: JsonObject, after: JsonObject): string[] =>
    findGaps(before, after).map(({ message }) => message);
  assert.deepEqual(said({ ...number, minimum: 1 }, { ...number, minimum: 5 }), ["was 1 and is 5"]);
  assert.deepEqual(said({ enum: ["a", "b"] }, { enum: ["a"] }), ['refuses "b"']);
  assert.deepEqual(said(base, { ...base, required: ["a", "n"] }), ['now requires "n"']);
  assert.deepEqual(said(number, integer), ["no longer allows: number that is no integer"]);
});

test("a schema that is made to be intricate is given up soon", () => {
  const either = (depth: number): JsonObject =>
    depth === 0
      ? { const: 1 }
      : { anyOf: [0, 1, 2, 3].map((n) => ({ minimum: n, allOf: [either(depth - 1)], not: { const: n } })) };
  const gaps = findGaps({ type: "number", ...either(6) }, { ...either(7), maximum: -1 });
  assert.ok(gaps.length > 0);
});
