/** What the keywords of arrays demand. */
import { elementOf, kindsOf, least, most, prefixLength, type Kind } from "./schema-facts.ts";
import { below, flatten } from "./schema-node.ts";
import type { SchemaNode } from "./schema-node.ts";
import { gapAt, opaque, rule, wholeGaps, type Demand, type Gap, type KeywordRule } from "./keyword-rule.ts";

const arrays: readonly Kind[] = ["array"];

export const arrayRules: Readonly<Record<string, KeywordRule>> = {
  prefixItems: rule(arrays, prefixGaps),
  items: rule(arrays, itemsGaps, ["prefixItems"]),
  contains: rule(arrays, containsGaps, ["minContains", "maxContains"]),
  uniqueItems: rule(arrays, uniqueGaps),
  unevaluatedItems: rule(arrays, wholeGaps),
};

function prefixGaps(demand: Demand): readonly Gap[] {
  const { node, value } = demand;
  if (!Array.isArray(value)) return [];
  return value.flatMap((schema, at) => elementGaps(demand, at, below(node, schema, "prefixItems", String(at))));
}

/** Each place that has a schema of its own in the narrow one, and one place for all behind. */
function itemsGaps(demand: Demand): readonly Gap[] {
  const { node, value, narrow } = demand;
  const first = prefixLength([node]);
  const last = Math.max(first, prefixLength(narrow));
  const items = below(node, value, "items");
  return Array.from({ length: last - first + 1 }, (_, at) => elementGaps(demand, first + at, items)).flat();
}

function elementGaps({ narrow, comparison }: Demand, index: number, wide: SchemaNode): readonly Gap[] {
  if (index >= most(narrow, "maxItems")) return [];
  const elements = elementOf(narrow, index);
  return kindsOf(flatten(elements)).size === 0 ? [] : comparison.compare(elements, wide);
}

/** Where every element is one that is looked for, so many are contained as there are. */
function containsGaps(demand: Demand): readonly Gap[] {
  const { node, value, narrow, comparison } = demand;
  const { minContains = 1, maxContains } = node.schema;
  if (maxContains !== undefined) return opaque(demand);
  if (minContains === 0) return [];
  const wanted = below(node, value, "contains");
  const places = Array.from({ length: prefixLength(narrow) + 1 }, (_, at) => elementOf(narrow, at));
  const areAll = places.every((elements) => comparison.compare(elements, wanted).length === 0);
  return areAll && least(narrow, "minItems") >= Number(minContains) ? [] : opaque(demand);
}

function uniqueGaps(demand: Demand): readonly Gap[] {
  if (demand.value !== true || most(demand.narrow, "maxItems") <= 1) return [];
  return gapAt(demand, "is new");
}
