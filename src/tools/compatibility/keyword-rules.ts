/**
 * What each keyword of JSON Schema 2020-12 demands, and what implies it. A keyword that is not here says nothing of a value's
 * validity: annotations, and what the validator does not know.
 */
import { arrayRules } from "./array-rules.ts";
import { objectRules } from "./object-rules.ts";
import { allKinds, areDisjoint, kindsOf, least, lowerBound, most, upperBound } from "./schema-facts.ts";
import type { Bound, Kind } from "./schema-facts.ts";
import { gapAt, opaque, rule, type Demand, type Gap, type KeywordRule } from "./keyword-rule.ts";
import { below, flatten, type SchemaNode } from "./schema-node.ts";

const numeric: readonly Kind[] = ["integer", "fraction"];

export const keywordRules: Readonly<Record<string, KeywordRule>> = {
  type: rule(allKinds, typeGaps, ["nullable"]),
  enum: rule(allKinds, opaque),
  const: rule(allKinds, opaque),
  minimum: rule(numeric, (demand) => lowerGaps(demand, false)),
  exclusiveMinimum: rule(numeric, (demand) => lowerGaps(demand, true)),
  maximum: rule(numeric, (demand) => upperGaps(demand, false)),
  exclusiveMaximum: rule(numeric, (demand) => upperGaps(demand, true)),
  multipleOf: rule(numeric, multipleGaps),
  minLength: rule(["string"], leastGaps),
  maxLength: rule(["string"], mostGaps),
  pattern: rule(["string"], opaque),
  format: rule(["string", ...numeric], opaque),
  minItems: rule(["array"], leastGaps),
  maxItems: rule(["array"], mostGaps),
  minProperties: rule(["object"], leastGaps),
  maxProperties: rule(["object"], mostGaps),
  ...arrayRules,
  ...objectRules,
  anyOf: rule(allKinds, anyOfGaps),
  oneOf: rule(allKinds, oneOfGaps),
  not: rule(allKinds, notGaps),
  if: rule(allKinds, ifGaps, ["then", "else"]),
};

function typeGaps(demand: Demand): readonly Gap[] {
  const allowed = kindsOf([demand.node]);
  if (allowed.size === 0) return [{ path: demand.node.path, message: "is no longer allowed" }];
  const lost = [...kindsOf(demand.narrow)].filter((kind) => !allowed.has(kind));
  if (lost.length === 0) return [];
  const names = lost.map((kind) => (kind === "fraction" ? "number that is no integer" : kind));
  return gapAt(demand, `no longer allows: ${names.join(", ")}`);
}

function lowerGaps(demand: Demand, isExclusive: boolean): readonly Gap[] {
  const before = lowerBound(demand.narrow);
  return boundGaps(demand, { before, after: { value: demand.value as number, isExclusive }, sign: 1 });
}

function upperGaps(demand: Demand, isExclusive: boolean): readonly Gap[] {
  const before = upperBound(demand.narrow);
  return boundGaps(demand, { before, after: { value: demand.value as number, isExclusive }, sign: -1 });
}

function boundGaps(demand: Demand, bounds: { before: Bound; after: Bound; sign: 1 | -1 }): readonly Gap[] {
  const { before, after, sign } = bounds;
  const ahead = sign * (before.value - after.value);
  if (ahead > 0 || (ahead === 0 && (before.isExclusive || !after.isExclusive))) return [];
  return gapAt(demand, changed(before.value, after.value));
}

function changed(before: number, after: number): string {
  if (before === after) return `now excludes ${after}`;
  return Number.isFinite(before) && before !== 0 ? `was ${before} and is ${after}` : `is ${after}`;
}

function multipleGaps(demand: Demand): readonly Gap[] {
  const after = demand.value as number;
  const isImplied = demand.narrow.some(({ schema: { multipleOf: before } }) => {
    return (
      typeof before === "number" && Number.isSafeInteger(before) && Number.isSafeInteger(after) && before % after === 0
    );
  });
  const areIntegers = after === 1 && !kindsOf(demand.narrow).has("fraction");
  return isImplied || areIntegers ? [] : opaque(demand);
}

function leastGaps(demand: Demand): readonly Gap[] {
  const [before, after] = [least(demand.narrow, demand.keyword), demand.value as number];
  return before >= after ? [] : gapAt(demand, changed(before, after));
}

function mostGaps(demand: Demand): readonly Gap[] {
  const [before, after] = [most(demand.narrow, demand.keyword), demand.value as number];
  return before <= after ? [] : gapAt(demand, changed(before, after));
}

function anyOfGaps(demand: Demand): readonly Gap[] {
  const tried = alternatives(demand).map((node) => demand.comparison.compare(demand.narrow, node));
  if (tried.some((gaps) => gaps.length === 0)) return [];
  const [only] = tried;
  if (tried.length === 1 && only !== undefined) return only;
  return gapAt(demand, "is met by none of its alternatives for sure");
}

function oneOfGaps(demand: Demand): readonly Gap[] {
  const all = alternatives(demand);
  const isMet = all.some((node) => {
    const others = all.filter((other) => other !== node);
    return (
      others.every((other) => areDisjoint(demand.narrow, flatten([other]))) &&
      demand.comparison.compare(demand.narrow, node).length === 0
    );
  });
  return isMet ? [] : gapAt(demand, "is met by exactly one of its alternatives, but not for sure");
}

function alternatives({ node, keyword, value }: Demand): readonly SchemaNode[] {
  return Array.isArray(value) ? value.map((one, at) => below(node, one, keyword, String(at))) : [];
}

function notGaps(demand: Demand): readonly Gap[] {
  const excluded = flatten([below(demand.node, demand.value, "not")]);
  return excluded.length > 0 && areDisjoint(demand.narrow, excluded) ? [] : opaque(demand);
}

/** Those that satisfy the condition must satisfy `then`, the others `else`. */
function ifGaps({ narrow, node, value, comparison }: Demand): readonly Gap[] {
  const { then, else: otherwise } = node.schema;
  const meeting = [...narrow, below(node, value, "if")];
  const missing = [...narrow, below(node, { not: value }, "if")];
  return [
    ...(then === undefined || areDisjoint(narrow, flatten([below(node, value, "if")]))
      ? []
      : comparison.compare(meeting, below(node, then, "then"))),
    ...(otherwise === undefined ? [] : comparison.compare(missing, below(node, otherwise, "else"))),
  ];
}
