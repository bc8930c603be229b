/** What a rule for a keyword is given and answers. */
import { canonicalJson, type Json } from "../../agent/json.ts";
import type { Kind } from "./schema-facts.ts";
import type { Conjunction, SchemaNode } from "./schema-node.ts";

/** A value may be accepted by the narrow schema and refused by the wide one. */
export interface Gap {
  /** JSON pointer to the demand in the wide schema. */
  readonly path: string;
  readonly message: string;
}

export interface Comparison {
  /** The values that satisfy all of `narrow` against those of `wide`. */
  compare(narrow: readonly SchemaNode[], wide: SchemaNode): readonly Gap[];
}

/** One keyword of the wide schema, to be met by the values of the narrow one. */
export interface Demand {
  readonly narrow: Conjunction;
  /** The schema that the keyword stands in. */
  readonly node: SchemaNode;
  readonly keyword: string;
  readonly value: Json;
  readonly comparison: Comparison;
}

export interface KeywordRule {
  /** The kinds of values that it says anything of. */
  readonly concerns: readonly Kind[];
  /** Keywords beside it without which it means something else. */
  readonly readsAlso: readonly string[];
  gaps(demand: Demand): readonly Gap[];
}

export function rule(
  concerns: readonly Kind[],
  gaps: KeywordRule["gaps"],
  readsAlso: readonly string[] = [],
): KeywordRule {
  return { concerns, readsAlso, gaps };
}

/** Only the same words imply it. */
export function opaque(demand: Demand): readonly Gap[] {
  const before = demand.narrow.map(({ schema }) => schema[demand.keyword]).find((value) => value !== undefined);
  return gapAt(demand, before === undefined ? "is new" : `was ${show(before)} and is ${show(demand.value)}`);
}

/** The same words mean the same only where all words beside them do. */
export function wholeGaps(demand: Demand): readonly Gap[] {
  return gapAt(demand, "is compared only where nothing beside it changes");
}

export function gapAt({ node, keyword }: Demand, message: string): readonly Gap[] {
  return [{ path: `${node.path}/${keyword}`, message }];
}

export function show(value: Json): string {
  const text = canonicalJson(value);
  return text.length <= 60 ? text : `${text.slice(0, 59)}…`;
}
