/**
 * Whether every value that one JSON Schema accepts is accepted by another. "Yes" is always true; "no" may also mean that it
 * cannot be told, as the question is undecidable in general (and costly where it is not). So a schema may be widened in any
 * of the ways people widen schemas, and is never narrowed by mistake.
 *
 * A demand of the wide schema is met if one of these holds:
 *   - it concerns a kind of value that the narrow schema excludes
 *   - the narrow schema makes the same demand, word for word
 *   - what the narrow schema says of this keyword implies it (keyword-rules.ts)
 *   - the values of the narrow schema can be named, and the wide one accepts each
 *   - it holds for each branch of the narrow schema's `anyOf`, `oneOf` or `if`, or for each type of its values
 */
import { canonicalJson, type Json, type JsonObject } from "../../agent/json.ts";
import { compileSchema } from "../schema.ts";
import { fillDefaults } from "./schema-defaults.ts";
import { candidates, kindsOf, type Kind } from "./schema-facts.ts";
import { below, flatten, IncomparableError, isSame, rootOf, textOf } from "./schema-node.ts";
import type { Conjunction, SchemaNode } from "./schema-node.ts";
import type { Comparison, Gap } from "./keyword-rule.ts";
import { keywordRules } from "./keyword-rules.ts";
import { standalone } from "./standalone.ts";

/** Compares so much before it gives up, in characters of schemas: some tenths of a second's worth. */
const mostCompared = 2_000_000;
const mostShown = 5;

/** @returns what stands against "every value of `narrow` is one of `wide`"; nothing: it is so */
export function findGaps(narrow: JsonObject, wide: JsonObject): readonly Gap[] {
  const gaps = new SubsetComparison().compare([rootOf(narrow)], rootOf(wide));
  return [...new Map(gaps.map((gap) => [gap.path + gap.message, gap])).values()];
}

class SubsetComparison implements Comparison {
  #compared = 0;
  /** Comparisons under way: met again deeper in the values, they hold if nothing else stands against them. */
  readonly #assumed = new Set<string>();

  compare(narrow: readonly SchemaNode[], wide: SchemaNode): readonly Gap[] {
    const tooMuch = [{ path: wide.path, message: "is too intricate to be compared" }];
    if (this.#compared > mostCompared) return tooMuch;
    const key = `${textOf(narrow)}<${textOf([wide])}`;
    this.#compared += key.length;
    if (this.#assumed.has(key)) return [];
    this.#assumed.add(key);
    try {
      const demands = flatten([wide]);
      return demands.length === 0 ? [] : this.#compareFlat(flatten(narrow), demands, wide);
    } catch (thrown) {
      if (!(thrown instanceof IncomparableError)) throw thrown;
      return [{ path: wide.path, message: `cannot be compared: ${thrown.message}` }];
    } finally {
      this.#assumed.delete(key);
    }
  }

  #compareFlat(narrow: Conjunction, demands: Conjunction, wide: SchemaNode): readonly Gap[] {
    if (kindsOf(narrow).size === 0) return [];
    const values = candidates(narrow);
    if (values !== null && !hasDefaults(narrow)) return refused(values, narrow, wide);
    const { narrow: known, gaps: fillingGaps, isFilled } = fillDefaults(narrow, demands);
    const gaps = [...fillingGaps, ...demands.flatMap((demand) => this.#demandGaps(known, demand))];
    if (gaps.length === 0 || fillingGaps.length > 0 || isFilled) return gaps;
    const cases = branches(known) ?? types(known, demands);
    if (cases === null) return gaps;
    return cases.flatMap((one) => this.compare([...one], wide));
  }

  #demandGaps(narrow: Conjunction, demand: SchemaNode): readonly Gap[] {
    const possible = kindsOf(narrow);
    return Object.entries(demand.schema).flatMap(([keyword, value]) => {
      const rule = keywordRules[keyword];
      if (rule === undefined || !rule.concerns.some((kind) => possible.has(kind))) return [];
      if (narrow.some((node) => makesSameDemand(node, demand, [keyword, ...rule.readsAlso]))) return [];
      return rule.gaps({ narrow, node: demand, keyword, value, comparison: this });
    });
  }
}

function makesSameDemand(node: SchemaNode, demand: SchemaNode, keywords: readonly string[]): boolean {
  return keywords.every((keyword) => {
    const [mine, other] = [node.schema[keyword], demand.schema[keyword]];
    if (mine === undefined || other === undefined) return mine === other;
    return isSame({ node, value: mine }, { node: demand, value: other });
  });
}

function hasDefaults(nodes: Conjunction): boolean {
  return nodes.some(({ schema, document }) => {
    const text = JSON.stringify(schema);
    return text.includes('"default":') || (text.includes('"$ref"') && JSON.stringify(document).includes('"default":'));
  });
}

/** Of the values that may satisfy `narrow`, those that do and that `wide` refuses. */
function refused(values: readonly Json[], narrow: Conjunction, wide: SchemaNode): readonly Gap[] {
  const rules = narrow.map((node) => compileSchema(standalone(node), "input"));
  const accepts = compileSchema(standalone(wide), "input");
  const lost = values.filter((value) => rules.every((rule) => rule.parse(value).ok) && !accepts.parse(value).ok);
  return lost.slice(0, mostShown).map((value) => ({ path: wide.path, message: `refuses ${canonicalJson(value)}` }));
}

/** The values of the first `anyOf`, `oneOf` or `if`, branch by branch; null: there is none. */
function branches(nodes: Conjunction): readonly Conjunction[] | null {
  for (const node of nodes) {
    const others = nodes.filter((other) => other !== node);
    for (const keyword of ["anyOf", "oneOf"]) {
      const { [keyword]: all, ...rest } = node.schema;
      if (!Array.isArray(all)) continue;
      return all.map((one, at) => [...others, { ...node, schema: rest }, below(node, one, keyword, String(at))]);
    }
    const { if: condition, then, else: otherwise, ...rest } = node.schema;
    if (condition === undefined) continue;
    const common = [...others, { ...node, schema: rest }];
    return [
      [...common, below(node, condition, "if"), below(node, then, "then")],
      [...common, below(node, { not: condition }), below(node, otherwise, "else")],
    ];
  }
  return null;
}

/** The values type by type, where a demand may be met in another way by each. */
function types(nodes: Conjunction, demands: Conjunction): readonly Conjunction[] | null {
  const names = new Set([...kindsOf(nodes)].map(typeOf));
  const depends = demands.some(({ schema }) => ["anyOf", "oneOf", "not", "if"].some((keyword) => keyword in schema));
  const [first] = nodes;
  if (names.size < 2 || !depends || first === undefined) return null;
  return [...names].map((type) => [...nodes, { ...first, schema: { type } }]);
}

function typeOf(kind: Kind): string {
  return kind === "integer" || kind === "fraction" ? "number" : kind;
}
