/** What the keywords of objects demand. */
import { isObject, type Json } from "../../agent/json.ts";
import { escapePointer } from "../../platform/json-pointer.ts";
import { defaultsOf } from "./schema-defaults.ts";
import { entriesOf, kindsOf, matches, namesOf, propertyOf, requiredOf, texts, type Kind } from "./schema-facts.ts";
import { below, flatten, type Conjunction, type SchemaNode } from "./schema-node.ts";
import { gapAt, opaque, rule, wholeGaps, show, type Demand, type Gap, type KeywordRule } from "./keyword-rule.ts";

const objects: readonly Kind[] = ["object"];

export const objectRules: Readonly<Record<string, KeywordRule>> = {
  required: rule(objects, requiredGaps),
  properties: rule(objects, propertiesGaps),
  patternProperties: rule(objects, patternGaps),
  additionalProperties: rule(objects, additionalGaps, ["properties", "patternProperties"]),
  propertyNames: rule(objects, namesGaps),
  dependentRequired: rule(objects, dependentRequiredGaps),
  dependentSchemas: rule(objects, dependentSchemasGaps),
  dependencies: rule(objects, opaque),
  unevaluatedProperties: rule(objects, wholeGaps),
};

function requiredGaps(demand: Demand): readonly Gap[] {
  const [required, filled] = [requiredOf(demand.narrow), defaultsOf([demand.node])];
  const missing = texts(demand.value).filter((name) => !required.has(name) && !filled.has(name));
  return missing.flatMap((name) => gapAt(demand, `now requires "${name}"`));
}

function propertiesGaps(demand: Demand): readonly Gap[] {
  return entriesOf(demand.node, "properties").flatMap(([name, wide]) => {
    const gaps = propertyGaps(demand, name, wide);
    const wasOpen = demand.narrow.every((node) => propertyOf(node, name).length === 0);
    return gaps.length > 0 && wasOpen
      ? [{ path: wide.path, message: "was not named, so that anything was let through" }]
      : gaps;
  });
}

function propertyGaps({ narrow, comparison }: Demand, name: string, wide: SchemaNode): readonly Gap[] {
  const values = narrow.flatMap((node) => propertyOf(node, name));
  return isNever(values) ? [] : comparison.compare(values, wide);
}

function patternGaps(demand: Demand): readonly Gap[] {
  return entriesOf(demand.node, "patternProperties").flatMap(([pattern, wide]) => {
    const named = knownNames(demand.narrow).filter((name) => matches(pattern, name));
    return [
      ...named.flatMap((name) => propertyGaps(demand, name, wide)),
      ...otherGaps(demand, wide, (node) => unnamedOf(node, pattern)),
    ];
  });
}

/** What one schema demands of a property that nobody names and that matches the pattern. */
function unnamedOf(node: SchemaNode, pattern: string): readonly SchemaNode[] {
  const patterns = entriesOf(node, "patternProperties");
  const same = patterns.filter(([other]) => other === pattern).map(([, schema]) => schema);
  return patterns.length > 0 ? same : additionalOf(node);
}

/**
 * Of properties that the wide schema neither names nor knows by a pattern: those that the narrow one names, those that match
 * only its patterns, and all others.
 */
function additionalGaps(demand: Demand): readonly Gap[] {
  const { node, narrow, value, comparison } = demand;
  const wide = below(node, value, "additionalProperties");
  const patterns = namesOf(node, "patternProperties");
  const isOther = (name: string): boolean =>
    !namesOf(node, "properties").includes(name) && !patterns.some((pattern) => matches(pattern, name));
  const named = knownNames(narrow).filter(isOther);
  const byPattern = narrow
    .flatMap((one) => entriesOf(one, "patternProperties"))
    .filter(([pattern]) => !patterns.includes(pattern));
  return [
    ...named.flatMap((name) => ownedGaps(demand, name, wide)),
    ...byPattern.flatMap(([, values]) => (isNever([values]) ? [] : comparison.compare([values], wide))),
    ...otherGaps(demand, wide, additionalOf),
  ];
}

function ownedGaps(demand: Demand, name: string, wide: SchemaNode): readonly Gap[] {
  return propertyGaps(demand, name, wide).map(({ message }) => ({
    path: `${demand.node.path}/additionalProperties`,
    message: `"${name}" is no longer a property of its own: ${message}`,
  }));
}

function otherGaps(
  { narrow, comparison }: Demand,
  wide: SchemaNode,
  valuesOf: (node: SchemaNode) => readonly SchemaNode[],
): readonly Gap[] {
  const values = narrow.flatMap(valuesOf);
  return isNever(values) ? [] : comparison.compare(values, wide);
}

function additionalOf(node: SchemaNode): readonly SchemaNode[] {
  const { additionalProperties } = node.schema;
  return additionalProperties === undefined ? [] : [below(node, additionalProperties, "additionalProperties")];
}

function namesGaps(demand: Demand): readonly Gap[] {
  const { narrow, node, value, comparison } = demand;
  const wide = below(node, value, "propertyNames");
  const text: SchemaNode = { ...node, schema: { type: "string" } };
  const said = narrow.flatMap((one) =>
    "propertyNames" in one.schema ? [below(one, one.schema["propertyNames"])] : [],
  );
  const closed = narrow.find(isClosed);
  const named = closed === undefined ? [] : namesOf(closed, "properties");
  if (closed !== undefined && named.length === 0) return [];
  const names = closed === undefined ? [] : [{ ...node, schema: { enum: [...named] } }];
  return comparison.compare([...names, text, ...said], wide);
}

/** Has no other properties than those it names. */
function isClosed(node: SchemaNode): boolean {
  return node.schema["additionalProperties"] === false && namesOf(node, "patternProperties").length === 0;
}

function dependentRequiredGaps(demand: Demand): readonly Gap[] {
  const { narrow, value } = demand;
  const required = requiredOf(narrow);
  return dependent(demand, value).flatMap(([name, wanted]) => {
    const known = narrow.flatMap(({ schema: { dependentRequired } }) =>
      isObject(dependentRequired) ? texts(dependentRequired[name]) : [],
    );
    const missing = texts(wanted).filter((other) => !required.has(other) && !known.includes(other));
    return missing.flatMap((other) => gapAt(demand, `now requires ${show(other)} beside ${show(name)}`));
  });
}

function dependentSchemasGaps(demand: Demand): readonly Gap[] {
  const { narrow, node, value, comparison } = demand;
  return dependent(demand, value).flatMap(([name, schema]) => {
    const having: Conjunction = [...narrow, { ...node, schema: { required: [name] } }];
    return comparison.compare(having, below(node, schema, "dependentSchemas", escapePointer(name)));
  });
}

/** The entries whose property the narrow schema allows. */
function dependent({ narrow }: Demand, value: Json): readonly [string, Json][] {
  if (!isObject(value)) return [];
  return Object.entries(value).filter(([name]) => !isNever(narrow.flatMap((node) => propertyOf(node, name))));
}

function knownNames(narrow: Conjunction): readonly string[] {
  return [...new Set(narrow.flatMap((node) => [...namesOf(node, "properties"), ...requiredOf([node])]))];
}

function isNever(values: readonly SchemaNode[]): boolean {
  return kindsOf(flatten(values)).size === 0;
}
