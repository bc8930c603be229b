/**
 * Defaults, which the validator writes into a value where a property is missing. It does so when it comes to the keywords of
 * objects (`required`, `maxProperties`, …), after those of all values (`anyOf`, `not`, …) and after `allOf` and `$ref`. So the
 * keywords of one schema may speak of two values, one filled and one not, and what is known of the one is not known of the
 * other.
 */
import { canonicalJson, isObject, type Json, type JsonObject } from "../../agent/json.ts";
import { compileSchema } from "../schema.ts";
import type { Gap } from "./keyword-rule.ts";
import { entriesOf, propertyOf, requiredOf } from "./schema-facts.ts";
import type { Conjunction, SchemaNode } from "./schema-node.ts";
import { standalone } from "./standalone.ts";

export interface Filled {
  /** What is known of a value in the state in which the demands are made of it. */
  readonly narrow: Conjunction;
  readonly gaps: readonly Gap[];
  /** Both sides fill in something: what a branch of the narrow schema says is known of another state. */
  readonly isFilled: boolean;
}

/** Keywords of all values that may be met or not met by a property. */
const ofAllValues = ["not", "anyOf", "oneOf", "if"];
/** Keywords of objects that a property more may break. */
const ofObjects = ["maxProperties", "propertyNames", "unevaluatedProperties"];
/** The same, by the names of properties. */
const ofNames = ["dependentRequired", "dependentSchemas", "dependencies"];
/** Keywords in whose schemas the validator fills in some defaults and not others. */
const alternatives = [...ofAllValues, "then", "else", "contains", "dependentSchemas", "dependencies"];

export function fillDefaults(narrow: Conjunction, demands: Conjunction): Filled {
  const hidden = demands.filter((demand) => hidesDefaults(demand) && !narrow.some((node) => isEqual(node, demand)));
  const gaps: Gap[] = hidden.map(({ path }) => ({
    path,
    message: "has a default within alternatives, and cannot be compared",
  }));
  const known = narrow.map((node) => (hidesDefaults(node) ? without(node, alternatives) : node));
  const [before, after] = [defaultsOf(narrow), defaultsOf(demands)];
  if (before.size === 0 && after.size === 0) return { narrow: known, gaps, isFilled: false };
  const isSame =
    narrow.length === 1 && demands.length === 1 && canonicalJson(textsOf(before)) === canonicalJson(textsOf(after));
  if (isSame) return { narrow: known, gaps, isFilled: true };
  const raw = known.map((node) => unfilled(node, [...before.keys()]));
  const required = requiredOf(raw);
  for (const [name, value] of after) if (!required.has(name)) gaps.push(...fillingGaps(demands, name, value));
  return { narrow: raw, gaps, isFilled: true };
}

/** The properties that a schema fills in. */
export function defaultsOf(nodes: Conjunction): ReadonlyMap<string, Json> {
  const defaults = nodes.flatMap((node) =>
    entriesOf(node, "properties").flatMap(([name, { schema }]): [string, Json][] =>
      "default" in schema ? [[name, schema["default"]!]] : [],
    ),
  );
  return new Map(defaults.toReversed());
}

function textsOf(defaults: ReadonlyMap<string, Json>): JsonObject {
  return Object.fromEntries([...defaults].map(([name, value]) => [`:${name}`, value]));
}

/** What is known of a value that may lack the properties. */
function unfilled(node: SchemaNode, names: readonly string[]): SchemaNode {
  if (names.length === 0) return node;
  const isLost = (name: Json): boolean => typeof name === "string" && names.includes(name);
  const kept = (list: Json): Json => (Array.isArray(list) ? list.filter((name) => !isLost(name)) : []);
  const { schema: known } = without(node, [
    ...ofAllValues,
    "unevaluatedProperties",
    "dependentSchemas",
    "dependencies",
  ]);
  const { required, minProperties, dependentRequired, ...schema } = known;
  if (required !== undefined) schema["required"] = kept(required);
  if (typeof minProperties === "number") schema["minProperties"] = Math.max(0, minProperties - names.length);
  if (isObject(dependentRequired))
    schema["dependentRequired"] = Object.fromEntries(
      Object.entries(dependentRequired).map(([name, wanted]) => [name, kept(wanted)]),
    );
  return { ...node, schema };
}

/** What may go wrong where a property appears with its default that was not there. */
function fillingGaps(demands: Conjunction, name: string, value: Json): readonly Gap[] {
  const affected = demands.length === 1 ? ofObjects : [...ofObjects, ...ofAllValues];
  return demands.flatMap((demand) => {
    const refusing = propertyOf(demand, name).filter(
      (node) => !compileSchema(standalone(node), "input").parse(value).ok,
    );
    const touched = [
      ...affected.filter((keyword) => keyword in demand.schema),
      ...ofNames.filter((keyword) => isObject(demand.schema[keyword]) && name in demand.schema[keyword]),
    ];
    return [
      ...refusing.map(({ path }) => ({ path, message: `refuses the default of "${name}"` })),
      ...touched.map((keyword) => ({
        path: `${demand.path}/${keyword}`,
        message: `may refuse the default of "${name}"`,
      })),
    ];
  });
}

function hidesDefaults({ schema, document }: SchemaNode): boolean {
  return alternatives.some((keyword) => {
    const text = JSON.stringify(schema[keyword] ?? null);
    return text.includes('"default":') || (text.includes('"$ref"') && JSON.stringify(document).includes('"default":'));
  });
}

function without(node: SchemaNode, keywords: readonly string[]): SchemaNode {
  const kept = Object.entries(node.schema).filter(([keyword]) => !keywords.includes(keyword));
  return { ...node, schema: Object.fromEntries(kept) };
}

function isEqual(node: SchemaNode, demand: SchemaNode): boolean {
  return (
    canonicalJson(node.schema) === canonicalJson(demand.schema) &&
    canonicalJson(node.document) === canonicalJson(demand.document)
  );
}
