/**
 * A place in a schema, with the document that its `$ref`s point into; and what several schemas demand together, as a list of
 * places that must all hold. Nothing here knows what a keyword means, but `$ref` and `allOf`, which it dissolves.
 */
import { canonicalJson, isObject, type Json, type JsonObject } from "../../agent/json.ts";
import { unescapePointer } from "../../platform/json-pointer.ts";

export interface SchemaNode {
  readonly schema: JsonObject;
  readonly document: JsonObject;
  /** JSON pointer into the document. */
  readonly path: string;
}

/** All of them must hold; none of them has `$ref` or `allOf`. */
export type Conjunction = readonly SchemaNode[];

/** What cannot be compared: whoever catches it says so of the place it was found at. */
export class IncomparableError extends Error {}

export function rootOf(whole: JsonObject): SchemaNode {
  const { $id: _, ...document } = whole; // names the document, and says nothing of values
  return { schema: document, document, path: "" };
}

/** The schema that stands at a keyword, or deeper. */
export function below(node: SchemaNode, schema: Json | undefined, ...keys: readonly string[]): SchemaNode {
  return { schema: asObject(schema), document: node.document, path: [node.path, ...keys].join("/") };
}

/** @throws IncomparableError where a `$ref` leads out of the document, or round in a circle */
export function flatten(nodes: readonly SchemaNode[], seen: readonly JsonObject[] = []): Conjunction {
  return nodes.flatMap((node) => {
    const { $ref, allOf, ...rest } = withWholes(node.schema);
    if ("$dynamicRef" in rest || "$id" in rest) throw new IncomparableError("$dynamicRef and $id are not compared");
    if (seen.includes(node.schema)) throw new IncomparableError("a $ref leads round in a circle");
    const parts: SchemaNode[] = [];
    if ($ref !== undefined) parts.push(resolve(node, $ref));
    if (Array.isArray(allOf)) allOf.forEach((part, at) => parts.push(below(node, part, "allOf", String(at))));
    if (parts.length === 0) return Object.keys(rest).length > 0 ? [{ ...node, schema: rest }] : [];
    return [...flatten([{ ...node, schema: rest }]), ...flatten(parts, [...seen, node.schema])];
  });
}

const unevaluated = ["unevaluatedProperties", "unevaluatedItems"];

/** What is not evaluated depends on all that stands beside it, so it takes that along when the schema is taken apart. */
function withWholes(schema: JsonObject): JsonObject {
  const entries = unevaluated.flatMap((keyword): [string, Json][] => {
    const value = schema[keyword];
    return value === undefined || (isObject(value) && "$whole" in value) ? [] : [[keyword, { $whole: schema }]];
  });
  return entries.length === 0 ? schema : { ...schema, ...Object.fromEntries(entries) };
}

/** Two values of keywords that say the same. Where they refer elsewhere, what they refer to must be the same, too. */
export function isSame(one: { node: SchemaNode; value: Json }, other: { node: SchemaNode; value: Json }): boolean {
  const text = canonicalJson(one.value);
  if (text !== canonicalJson(other.value)) return false;
  return !text.includes('"$ref"') || canonicalJson(one.node.document) === canonicalJson(other.node.document);
}

export function textOf(nodes: readonly SchemaNode[]): string {
  return nodes.map(({ schema, document }) => `${idOf(document)}:${canonicalJson(schema)}`).join("&");
}

const ids = new WeakMap<JsonObject, number>();
let lastId = 0;
function idOf(document: JsonObject): number {
  const id = ids.get(document) ?? ++lastId;
  ids.set(document, id);
  return id;
}

/** `false` is a schema of no type, `true` one that demands nothing. */
function asObject(schema: Json | undefined): JsonObject {
  if (isObject(schema)) return schema;
  return schema === false ? { type: [] } : {};
}

function resolve(node: SchemaNode, reference: Json): SchemaNode {
  if (typeof reference !== "string" || !/^#(\/|$)/.test(reference))
    throw new IncomparableError(`the reference ${JSON.stringify(reference)} leads out of the schema`);
  let found: Json | undefined = node.document;
  for (const key of reference.split("/").slice(1)) {
    const name = unescapePointer(decodeURIComponent(key));
    found = Array.isArray(found) ? found[Number(name)] : isObject(found) ? found[name] : undefined;
  }
  if (found === undefined) throw new IncomparableError(`the reference "${reference}" leads nowhere`);
  return { schema: asObject(found), document: node.document, path: reference.slice(1) };
}
