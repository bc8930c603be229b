/** What holds of every value that satisfies a conjunction of schemas: each fact may be weaker than the truth, never stronger. */
import { canonicalJson, isObject, type Json, type JsonObject } from "../../agent/json.ts";
import { escapePointer } from "../../platform/json-pointer.ts";
import { below, type Conjunction, type SchemaNode } from "./schema-node.ts";

/** `number` of JSON Schema is `integer` or `fraction`. */
export type Kind = "null" | "boolean" | "object" | "array" | "string" | "integer" | "fraction";

export const allKinds: readonly Kind[] = ["null", "boolean", "object", "array", "string", "integer", "fraction"];

export function kindsOf(nodes: Conjunction): ReadonlySet<Kind> {
  return new Set(allKinds.filter((kind) => nodes.every((node) => kindsOfOne(node.schema).includes(kind))));
}

function kindsOfOne({ type, nullable }: JsonObject): readonly Kind[] {
  if (type === undefined) return allKinds;
  const kinds = [type].flat().flatMap((one): Kind[] => (one === "number" ? ["integer", "fraction"] : [one as Kind]));
  return nullable === true ? [...kinds, "null"] : kinds; // not of JSON Schema, but the validator goes by it
}

/** All values that may satisfy the schemas, and perhaps others; null: they are too many to name. */
export function candidates(nodes: Conjunction): readonly Json[] | null {
  for (const { schema } of nodes) {
    if ("const" in schema) return [schema["const"]!];
    if (Array.isArray(schema["enum"])) return schema["enum"];
  }
  const kinds = [...kindsOf(nodes)];
  if (!kinds.every((kind) => kind === "null" || kind === "boolean")) return null;
  return kinds.flatMap((kind): Json[] => (kind === "null" ? [null] : [true, false]));
}

export interface Bound {
  readonly value: number;
  readonly isExclusive: boolean;
}

export function lowerBound(nodes: Conjunction): Bound {
  return strictest(bounds(nodes, "minimum", "exclusiveMinimum"), { value: -Infinity, isExclusive: false }, 1);
}

export function upperBound(nodes: Conjunction): Bound {
  return strictest(bounds(nodes, "maximum", "exclusiveMaximum"), { value: Infinity, isExclusive: false }, -1);
}

function bounds(nodes: Conjunction, inclusive: string, exclusive: string): readonly Bound[] {
  return nodes.flatMap(({ schema }) => [
    ...numbers(schema, inclusive).map((value) => ({ value, isExclusive: false })),
    ...numbers(schema, exclusive).map((value) => ({ value, isExclusive: true })),
  ]);
}

function strictest(all: readonly Bound[], none: Bound, sign: 1 | -1): Bound {
  return all.reduce((best, bound) => {
    const ahead = sign * (bound.value - best.value);
    return ahead > 0 || (ahead === 0 && bound.isExclusive) ? bound : best;
  }, none);
}

/** Of `minLength`, `minItems` and `minProperties`; 0: none. */
export function least(nodes: Conjunction, keyword: string): number {
  const said = Math.max(0, ...nodes.flatMap(({ schema }) => numbers(schema, keyword)));
  return keyword === "minProperties" ? Math.max(said, requiredOf(nodes).size) : said;
}

/** Of `maxLength`, `maxItems` and `maxProperties`; Infinity: none. */
export function most(nodes: Conjunction, keyword: string): number {
  return Math.min(...nodes.flatMap(({ schema }) => numbers(schema, keyword)), Infinity);
}

function numbers(schema: JsonObject, keyword: string): readonly number[] {
  const value = schema[keyword];
  return typeof value === "number" ? [value] : [];
}

export function requiredOf(nodes: Conjunction): ReadonlySet<string> {
  return new Set(nodes.flatMap(({ schema }) => texts(schema["required"])));
}

export function texts(value: Json | undefined): readonly string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === "string") : [];
}

/** Schemas by name, of `properties`, `patternProperties` and the like. */
export function entriesOf(node: SchemaNode, keyword: string): readonly [name: string, node: SchemaNode][] {
  const map = node.schema[keyword];
  if (!isObject(map)) return [];
  return Object.entries(map).map(([name, schema]) => [name, below(node, schema, keyword, escapePointer(name))]);
}

export function namesOf(node: SchemaNode, keyword: string): readonly string[] {
  const map = node.schema[keyword];
  return isObject(map) ? Object.keys(map) : [];
}

export function matches(pattern: string, name: string): boolean {
  return new RegExp(pattern, "u").test(name);
}

/** What one schema demands of the property of that name. */
export function propertyOf(node: SchemaNode, name: string): readonly SchemaNode[] {
  const own = entriesOf(node, "properties").filter(([other]) => other === name);
  const byPattern = entriesOf(node, "patternProperties").filter(([pattern]) => matches(pattern, name));
  const found = [...own, ...byPattern].map(([, schema]) => schema);
  if (found.length > 0 || node.schema["additionalProperties"] === undefined) return found;
  return [below(node, node.schema["additionalProperties"], "additionalProperties")];
}

/** What is demanded of the element at that place of an array, or of all from there on. */
export function elementOf(nodes: Conjunction, index: number): readonly SchemaNode[] {
  return nodes.flatMap((node) => {
    const { prefixItems, items } = node.schema;
    if (Array.isArray(prefixItems) && index < prefixItems.length)
      return [below(node, prefixItems[index], "prefixItems", String(index))];
    return items === undefined ? [] : [below(node, items, "items")];
  });
}

export function prefixLength(nodes: Conjunction): number {
  return Math.max(
    0,
    ...nodes.map(({ schema: { prefixItems } }) => (Array.isArray(prefixItems) ? prefixItems.length : 0)),
  );
}

/** No value satisfies both. */
export function areDisjoint(one: Conjunction, other: Conjunction): boolean {
  const both = [...one, ...other];
  const kinds = kindsOf(both);
  if (kinds.size === 0) return true;
  return [...kinds].every((kind) => isEmpty(both, kind)) || haveNoCommonConstant(both);
}

/** No value of the kind satisfies the schemas, as far as can be seen. */
function isEmpty(nodes: Conjunction, kind: Kind): boolean {
  switch (kind) {
    case "integer":
    case "fraction": {
      const [lower, upper] = [lowerBound(nodes), upperBound(nodes)];
      return lower.value > upper.value || (lower.value === upper.value && (lower.isExclusive || upper.isExclusive));
    }
    case "string":
      return least(nodes, "minLength") > most(nodes, "maxLength");
    case "array":
      return least(nodes, "minItems") > most(nodes, "maxItems");
    case "object":
      return least(nodes, "minProperties") > most(nodes, "maxProperties") || someRequiredIsImpossible(nodes);
    default:
      return false;
  }
}

function someRequiredIsImpossible(nodes: Conjunction): boolean {
  return [...requiredOf(nodes)].some((name) => {
    const demanded = nodes.flatMap((node) => propertyOf(node, name));
    return kindsOf(demanded).size === 0 || haveNoCommonConstant(demanded);
  });
}

/** Some of them name their values, and none is named by all of those. */
function haveNoCommonConstant(nodes: Conjunction): boolean {
  const named = nodes.flatMap(({ schema }) => {
    if ("const" in schema) return [[schema["const"]!]];
    return Array.isArray(schema["enum"]) ? [schema["enum"]] : [];
  });
  const [first, ...rest] = named.map((values) => new Set(values.map((value) => canonicalJson(value))));
  return first !== undefined && rest.length > 0 && ![...first].some((value) => rest.every((set) => set.has(value)));
}
