/** A part of a schema made a whole one, for the validator: what its `$ref`s point to travels with it. */
import { isObject, type Json, type JsonObject } from "../../agent/json.ts";
import type { SchemaNode } from "./schema-node.ts";

export function standalone({ schema, document }: SchemaNode): JsonObject {
  if (Array.isArray(schema["type"]) && schema["type"].length === 0) return { not: {} };
  if (!JSON.stringify(schema).includes('"$ref"')) return schema;
  return { ...(moved(schema) as JsonObject), $defs: { document: moved(document) } };
}

function moved(value: Json): Json {
  if (Array.isArray(value)) return value.map(moved);
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      key,
      key === "$ref" && typeof inner === "string" ? inner.replace(/^#/, "#/$defs/document") : moved(inner),
    ]),
  );
}
