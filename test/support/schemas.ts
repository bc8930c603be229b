// oxlint-disable unicorn/no-thenable -- `then` is a keyword of JSON Schema
/** JSON Schemas over a small world of names and values, so that two of them often speak of the same things; and such values. */
import fc from "fast-check";
import type { Json, JsonObject } from "../../src/agent/json.ts";

const names = ["a", "b", "c"] as const;
const name = fc.constantFrom(...names);
const number = fc.constantFrom(-1, 0, 0.5, 1, 2, 3, 4, 6);
const count = fc.constantFrom(0, 1, 2, 3);
const text = fc.constantFrom("", "a", "b", "ab", "aab", "2026-01-01");
const scalar: fc.Arbitrary<Json> = fc.oneof(fc.constant(null), fc.boolean(), number, text);

export const someValue: fc.Arbitrary<Json> = fc
  .letrec<{ value: Json }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 3 },
      { weight: 3, arbitrary: scalar },
      { weight: 2, arbitrary: fc.dictionary(name, tie("value"), { maxKeys: 3 }) },
      { weight: 1, arbitrary: fc.array(tie("value"), { maxLength: 3 }) },
    ),
  }))
  .value.map(plain);

/** As it comes from a text: fast-check's objects have no prototype, and the validator tells them from others. */
function plain<Value extends Json>(value: Value): Value {
  return JSON.parse(JSON.stringify(value)) as Value;
}

const type = fc.constantFrom("null", "boolean", "integer", "number", "string", "array", "object");
const pattern = fc.constantFrom("^a", "b", "c$");

/** A keyword with its value, and those that only matter beside it. */
function keyword(schema: fc.Arbitrary<Json>): fc.Arbitrary<JsonObject> {
  const one = (key: string, value: fc.Arbitrary<Json>): fc.Arbitrary<JsonObject> =>
    value.map((said) => ({ [key]: said }));
  const list = fc.array(schema, { minLength: 1, maxLength: 3 });
  const byName = fc.dictionary(name, schema, { minKeys: 1, maxKeys: 3 });
  return fc.oneof(
    one("type", fc.oneof(type, fc.uniqueArray(type, { minLength: 1, maxLength: 3 }))),
    one("type", fc.constant("object")),
    one("enum", fc.uniqueArray(someValue, { minLength: 1, maxLength: 3, selector: (value) => JSON.stringify(value) })),
    one("const", someValue),
    one("minimum", number),
    one("maximum", number),
    one("exclusiveMinimum", number),
    one("exclusiveMaximum", number),
    one("multipleOf", fc.constantFrom(0.5, 1, 2, 3)),
    one("minLength", count),
    one("maxLength", count),
    one("pattern", pattern),
    one("format", fc.constantFrom("date", "email")),
    one("minItems", count),
    one("maxItems", count),
    one("uniqueItems", fc.boolean()),
    one("items", schema),
    one("prefixItems", list),
    fc.record({ contains: schema, minContains: count, maxContains: count }, { requiredKeys: ["contains"] }),
    one("properties", byName),
    one("properties", byName),
    one("required", fc.uniqueArray(name, { maxLength: 2 })),
    one("additionalProperties", schema),
    one("additionalProperties", fc.constant(false)),
    one("patternProperties", fc.dictionary(pattern, schema, { minKeys: 1, maxKeys: 2 })),
    one("propertyNames", schema),
    one("minProperties", count),
    one("maxProperties", count),
    one("dependentRequired", fc.dictionary(name, fc.uniqueArray(name, { maxLength: 2 }), { minKeys: 1, maxKeys: 2 })),
    one("dependentSchemas", fc.dictionary(name, schema, { minKeys: 1, maxKeys: 1 })),
    one("allOf", list),
    one("anyOf", list),
    one("oneOf", list),
    one("not", schema),
    fc.record({ if: schema, then: schema, else: schema }, { requiredKeys: ["if"] }),
    one("default", someValue),
    one("$ref", fc.constantFrom("#/$defs/x", "#/$defs/y")),
    one("unevaluatedProperties", fc.boolean()),
    one("nullable", fc.boolean()),
    one("description", text),
  );
}

const inner: fc.Arbitrary<Json> = fc.letrec<{ schema: Json }>((tie) => ({
  schema: fc.oneof(
    { maxDepth: 2 },
    { weight: 1, arbitrary: fc.constantFrom<Json>(true, false, {}) },
    { weight: 3, arbitrary: fc.record({ type }) },
    { weight: 6, arbitrary: fc.array(keyword(tie("schema")), { minLength: 1, maxLength: 3 }).map(merged) },
  ),
})).schema;

function merged(parts: readonly JsonObject[]): JsonObject {
  const schema: JsonObject = Object.assign({}, ...parts);
  // The validator knows `nullable` only beside a type.
  if (!("type" in schema)) delete schema["nullable"];
  return schema;
}

export const someSchema: fc.Arbitrary<JsonObject> = fc
  .tuple(fc.array(keyword(inner), { minLength: 1, maxLength: 5 }), inner, inner)
  .map(([parts, x, y]) => plain({ ...merged(parts), $defs: { x: withoutReferences(x), y: withoutReferences(y) } }));

/** References among the definitions may lead round in a circle, which no validator survives. */
function withoutReferences(schema: Json): Json {
  return JSON.parse(JSON.stringify(schema).replaceAll('"$ref"', '"$comment"')) as Json;
}

/** A schema and one that differs from it in one place, in either order, or two that have nothing to do with each other. */
export const twoSchemas: fc.Arbitrary<readonly [JsonObject, JsonObject]> = fc.oneof(
  fc.tuple(someSchema, someSchema),
  ...[0, 1, 2].map(() =>
    fc
      .tuple(someSchema, keyword(inner), fc.nat(), fc.boolean())
      .map(([schema, other, place, swap]): readonly [JsonObject, JsonObject] => {
        const changed = changeAt(schema, other, place) as JsonObject;
        return swap ? [changed, schema] : [schema, changed];
      }),
  ),
);

/** Puts the keyword into one of the schemas inside, or takes one out there. */
function changeAt(schema: Json, change: JsonObject, place: number): Json {
  const places: JsonObject[] = [];
  const copy = structuredClone(schema);
  collect(copy, places);
  const target = places[place % Math.max(1, places.length)];
  if (target === undefined) return copy;
  const keys = Object.keys(target).filter((key) => key !== "$defs");
  if (place % 2 === 0 && keys.length > 0) delete target[keys[place % keys.length]!];
  else Object.assign(target, change);
  if (!("type" in target)) delete target["nullable"];
  return copy;
}

const holdSchemas = new Set([
  "items",
  "contains",
  "additionalProperties",
  "propertyNames",
  "not",
  "if",
  "then",
  "else",
]);
const holdMaps = new Set(["properties", "patternProperties", "dependentSchemas", "$defs"]);
const holdLists = new Set(["prefixItems", "allOf", "anyOf", "oneOf"]);

function collect(schema: Json, places: JsonObject[]): void {
  if (typeof schema !== "object" || schema === null || Array.isArray(schema)) return;
  places.push(schema);
  for (const [key, value] of Object.entries(schema)) {
    if (holdSchemas.has(key)) collect(value, places);
    if (holdMaps.has(key) && typeof value === "object" && value !== null)
      Object.values(value).forEach((one) => collect(one, places));
    if (holdLists.has(key) && Array.isArray(value)) value.forEach((one) => collect(one, places));
  }
}
