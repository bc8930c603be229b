/**
 * Schemas and values that nobody thought of: if one schema is said to accept all that another accepts, then it does. fast-check
 * prints the seed. (That it is said often enough is what the table in schema-subset.test.ts is for.)
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { someValue, twoSchemas } from "../../../test/support/schemas.ts";
import { isObject, type Json, type JsonObject } from "../../agent/json.ts";
import { cannotCheck, compileSchema, type Schema } from "../schema.ts";
import { findGaps } from "./schema-subset.ts";

test("a schema that is said to accept all that another accepts does so", { timeout: 300_000 }, (t) => {
  let [said, told] = [0, 0];
  const pair = fc.tuple(twoSchemas, fc.array(someValue, { minLength: 20, maxLength: 40 }));
  fc.assert(
    fc.property(pair, ([[narrow, wide], values]) => {
      const [before, after] = [compiled(narrow), compiled(wide)];
      if (before === null || after === null) return;
      if (findGaps(narrow, wide).length > 0) return;
      said++;
      for (const value of [...values, ...valuesIn(narrow), ...valuesIn(wide)]) {
        if (accepts(before, value) !== true) continue;
        told++;
        assert.notEqual(accepts(after, value), false, `${JSON.stringify(value)} is lost`);
      }
    }),
    { numRuns: 3_000 },
  );
  t.diagnostic(`${said} pairs were said to be compatible, ${told} values tried on them`);
  assert.ok(said > 300 && told > 3_000, `${said} pairs, ${told} values`);
});

/** Null: no schema to the validator. */
function compiled(schema: JsonObject): Schema | null {
  try {
    return compileSchema(structuredClone(schema), "input");
  } catch {
    return null;
  }
}

/** Null: the validator stumbles. */
function accepts(schema: Schema, value: Json): boolean | null {
  const parsed = schema.parse(value);
  return !parsed.ok && parsed.problems[0]?.message.startsWith(cannotCheck) ? null : parsed.ok;
}

/** What a schema itself speaks of, near which its limits are. */
function valuesIn(schema: Json): Json[] {
  if (Array.isArray(schema)) return [schema, ...schema.flatMap(valuesIn)];
  if (!isObject(schema)) return [schema];
  return [...Object.values(schema).flatMap(valuesIn), ...Object.keys(schema).map((key): Json => ({ [key]: 1 }))];
}
