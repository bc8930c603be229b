/** Which of the known facts an argument takes, or which several it could be. */
import type { Fact } from "./facts.ts";
import { accepted } from "./accept.ts";
import type { Clause } from "./request.ts";
import type { Property, Scalar } from "./tool-profile.ts";
import { isStopWord } from "./vocabulary.ts";
import { stem, stemsOf } from "./words.ts";

export interface FactSearch {
  readonly facts: readonly Fact[];
  readonly clause: Clause;
  /** In lower case: codes that the clause names or the call already has. A fact must be about one of them. */
  readonly anchors: readonly string[];
  /** Amounts and numbers only from what was read for this request: they change. */
  readonly freshNumbers: boolean;
  /** The stems of the nouns of the tool to call. */
  readonly nouns: readonly string[];
}

export type Choice = { readonly value: Scalar } | { readonly options: readonly Scalar[] };

interface Candidate {
  readonly fact: Fact;
  readonly value: Scalar;
  readonly affinity: number;
  readonly overlap: number;
}

const leftOver = new Set(stemsOf("refundable remaining left balance outstanding due open"));
const wholeSum = new Set(stemsOf("total amount sum"));
const onePrice = new Set(stemsOf("price cost fee"));
const notTheSum = new Set(stemsOf("tax shipping discount vat tip unit refunded paid minimum maximum limit"));
const partial = /\b(?:half|third|quarter|part|partial|partly|some of)\b|%/iu;

/** Half of it, some of it: no amount that stands somewhere is the one that is meant. */
export function isPartial(clause: Clause): boolean {
  return partial.test(clause.text);
}

/** The value to take; the options if it could be several; null if nothing fits. */
export function chooseFact(property: Property, search: FactSearch): Choice | null {
  if (property.role === "money" && isPartial(search.clause)) return null;
  const known = search.facts.filter(
    (fact) => isAbout(fact, search) && !(isNumeric(property) && (fact.echo || (search.freshNumbers && !fact.fresh))),
  );
  // Where it is known what is left, a total must not stand in for it, least of all when nothing is left.
  const isLeft = known.some((fact) => isLeftOver(fact) && typeof fact.value === "number");
  const fitting = known
    .filter((fact) => property.role !== "money" || !isLeft || isLeftOver(fact) || overlapOf(fact, search.clause) > 0)
    .flatMap((fact): Candidate[] => {
      const value = accepted(property, fact.value);
      const affinity = value === null ? 0 : affinityOf(property, fact, search.nouns);
      return value === null || affinity === 0
        ? []
        : [{ fact, value, affinity, overlap: overlapOf(fact, search.clause) }];
    })
    .toSorted(byRank);
  const listed = fitting.filter(({ fact }) => fact.group.includes("[]"));
  const candidates = picks(search.clause) && listed.length > 0 ? listed : fitting;
  const best = candidates[0];
  if (best === undefined) return null;
  // The price of one item is the amount only if the request names that item.
  if (property.role === "money" && best.affinity <= 1 && best.overlap === 0) return null;
  if (property.role === "identifier" && several.test(search.clause.text)) return everyOf(candidates);
  const peers = candidates.filter(
    ({ fact, overlap, affinity }) =>
      fact.group === best.fact.group && overlap === best.overlap && affinity === best.affinity,
  );
  return pickOne(
    peers.toSorted((a, b) => a.fact.order - b.fact.order),
    search.clause,
  );
}

const several = /\b(?:both|all|each|every|them|those|these)\b/iu;

/** "Refund both": nobody is left out in silence. */
function everyOf(candidates: readonly Candidate[]): Choice {
  const values = [...new Set(candidates.map(({ value }) => value))];
  return values.length === 1 ? { value: values[0] as Scalar } : { options: values };
}

function byRank(a: Candidate, b: Candidate): number {
  return (
    Number(b.overlap > 0) - Number(a.overlap > 0) ||
    Number(b.fact.fresh) - Number(a.fact.fresh) ||
    b.overlap - a.overlap ||
    b.affinity - a.affinity ||
    b.fact.order - a.fact.order
  );
}

const newestOne = /\b(?:latest|newest|most recent|last)\b/iu;
const ordinals = ["first", "second", "third", "fourth", "fifth"];

/** One of a list is picked out by its place. */
function picks(clause: Clause): boolean {
  return newestOne.test(clause.text) || ordinals.some((word) => clause.words.includes(word));
}

/** "The second one", "the latest order"; without such a word several values are a question. */
function pickOne(peers: readonly Candidate[], clause: Clause): Choice {
  const values = [...new Set(peers.map(({ value }) => value))];
  if (values.length === 1) return { value: values[0] as Scalar };
  if (newestOne.test(clause.text)) {
    const newest = peers.toSorted((a, b) => (a.fact.date < b.fact.date ? 1 : -1))[0];
    if (newest !== undefined && newest.fact.date !== "") return { value: newest.value };
  }
  const index = ordinals.findIndex((word) => clause.words.includes(word));
  const named = index < 0 ? undefined : values[index];
  return named === undefined ? { options: values } : { value: named };
}

function isAbout(fact: Fact, { anchors }: FactSearch): boolean {
  return (
    anchors.length === 0 ||
    anchors.some((anchor) => fact.scope.has(anchor) || (/^\d+$/u.test(anchor) && hasCode(fact, anchor)))
  );
}

/** "1042" said for A-1042. */
function hasCode(fact: Fact, digits: string): boolean {
  return [...fact.scope].some((text) => text.endsWith(digits) && !/\d/u.test(text.slice(0, -digits.length)));
}

function isLeftOver(fact: Fact): boolean {
  return fact.key.some((word) => leftOver.has(word));
}

function overlapOf(fact: Fact, clause: Clause): number {
  return new Set(fact.item.filter((word) => word.length > 2 && !isStopWord(word) && clause.stems.has(word))).size;
}

function isNumeric(property: Property): boolean {
  return property.role === "money" || property.role === "number";
}

/** 0: another thing altogether; from 1, a weak resemblance, to 4, the same name. */
function affinityOf(property: Property, fact: Fact, nouns: readonly string[]): number {
  switch (property.role) {
    case "identifier":
      return affinityOfIdentifier(property, fact, nouns);
    case "email":
      return typeof fact.value === "string" && fact.value.includes("@")
        ? 2 + Number(property.words.some((word) => [...fact.key, ...fact.owner].includes(word)))
        : 0;
    case "money":
      return affinityOfMoney(property, fact);
    case "choice":
    case "number":
    case "text":
    case "url":
    case "date":
    case "time":
      return affinityOfName(property, fact);
    default:
      return 0;
  }
}

function affinityOfIdentifier(property: Property, fact: Fact, nouns: readonly string[]): number {
  const exact = property.pattern !== null || property.shapes.length > 0;
  const entity = property.entity.length > 0 ? property.entity : nouns;
  const names = [...fact.key, ...fact.owner];
  const ofEntity = entity.some((word) => names.includes(word));
  if (fact.saidOnly) return ofEntity ? 3 : exact && typeof fact.value === "string" ? 2 : 0;
  if (sameWords(fact.key, property.words) && (property.entity.length > 0 || ofEntity)) return 4;
  if (fact.key.some((word) => idKeys.has(word)) && ofEntity) {
    // `order.customerId` is not the id of the order.
    return fact.key.every((word) => idKeys.has(word) || entity.includes(word)) ? 4 : 0;
  }
  return exact && property.pattern !== null ? 1 : 0;
}

const idKeys = new Set(["id", "code", "number", "ref", "sku", "uuid", "key"].map(stem));

function affinityOfMoney(property: Property, fact: Fact): number {
  if (typeof fact.value !== "number" || fact.saidOnly || fact.key.some((word) => notTheSum.has(word))) return 0;
  if (isLeftOver(fact)) return 3.5;
  if (sameWords(fact.key, property.words)) return 4;
  if (fact.key.some((word) => wholeSum.has(word))) return 3;
  return fact.key.some((word) => onePrice.has(word)) ? 1 : 0;
}

function affinityOfName(property: Property, fact: Fact): number {
  if (fact.saidOnly) return 0;
  if (sameWords(fact.key, property.words)) return 4;
  const names = new Set([...fact.key, ...fact.owner]);
  return property.words.length > 1 &&
    property.words.every((word) => names.has(word)) &&
    property.words.at(-1) === fact.key.at(-1)
    ? 3
    : 0;
}

function sameWords(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((word, index) => word === b[index]);
}
