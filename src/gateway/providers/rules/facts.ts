/** What is known from before: the values in earlier results and the codes and addresses in what was said. */
import type { Json } from "../../../agent/json.ts";
import { isObject } from "../../../agent/json.ts";
import type { Call, Dialogue, Said } from "./dialogue.ts";
import { findMentions } from "./mentions.ts";
import type { Scalar } from "./tool-profile.ts";
import { nameWords, stem, stemsOf } from "./words.ts";

export interface Fact {
  readonly value: Scalar;
  /** The stems of its own name, "total" or "order id"; for something said, of the word before it. */
  readonly key: readonly string[];
  /** The stems of what it belongs to: the names above it and the nouns of the tool. */
  readonly owner: readonly string[];
  /** In lower case, what stands beside it: a value is about an order if the order's id stands here. */
  readonly scope: ReadonlySet<string>;
  /** The stems of the words of its own item, where it is one of several. */
  readonly item: readonly string[];
  /** The date in its own item by which the newest is chosen; "" if there is none. */
  readonly date: string;
  /** Facts of one list share this. */
  readonly group: string;
  /** Read for this very request. */
  readonly fresh: boolean;
  /** Said in a text and not read by a tool. */
  readonly saidOnly: boolean;
  /** The call itself was given this value. */
  readonly echo: boolean;
  /** Later facts have higher numbers. */
  readonly order: number;
}

// A long conversation must not make every turn slow: what counts is what was said and read lately.
const maxHistory = 24;
const maxOldFacts = 1000;
const maxFactsPerResult = 600;
const maxSaidLength = 6000;

/** The facts known before the given round of calls, oldest first. */
export function factsBefore(dialogue: Dialogue, round: number): Fact[] {
  const facts: Fact[] = [];
  for (const item of dialogue.history.slice(-maxHistory)) facts.push(...factsSaid(item, facts));
  facts.splice(0, facts.length - maxOldFacts);
  for (const call of dialogue.rounds.slice(0, round).flat())
    facts.push(...factsOfCall(call, { known: facts, fresh: true }));
  return facts;
}

function factsSaid(said: Said, known: readonly Fact[]): Fact[] {
  if (said.by === "tool") return factsOfCall(said.call, { known, fresh: false });
  const mentions = findMentions(said.text.slice(0, maxSaidLength)).filter(
    ({ kind }) => kind === "code" || kind === "email" || kind === "number",
  );
  const scope = new Set(mentions.map(({ text }) => text.toLowerCase()));
  return mentions.map((mention, index) => ({
    value: mention.value,
    key: mention.before === "" ? [] : [stem(mention.before)],
    owner: [],
    scope,
    item: [],
    date: "",
    group: `said ${known.length} ${mention.kind}`,
    fresh: false,
    saidOnly: true,
    echo: false,
    order: known.length + index,
  }));
}

function factsOfCall(call: Call, context: { known: readonly Fact[]; fresh: boolean }): Fact[] {
  if (call.outcome === null || !call.outcome.ok) return [];
  const inputs = scalarsIn(call.input).map(lower);
  const first = context.known.length;
  const linked = context.known.filter(
    (fact) => !fact.saidOnly && typeof fact.value === "string" && inputs.includes(lower(fact.value)),
  );
  const facts: Fact[] = [];
  const walk = (value: Json, place: Place): void => {
    if (facts.length >= maxFactsPerResult) return;
    if (Array.isArray(value)) {
      const listed = { ...place, path: `${place.path}[]`, inList: true };
      value.forEach((item) => walk(item, listed));
    } else if (isObject(value)) {
      const inner = place.inList || place.path === "" ? enter(value, place) : place;
      for (const [key, child] of Object.entries(value)) {
        const key_ = nameWords(key).map(stem);
        const below = Array.isArray(child) || isObject(child);
        walk(child, {
          ...inner,
          key: key_,
          owner: below ? [...place.owner, ...key_] : place.owner,
          path: `${place.path}.${key}`,
          inList: false,
        });
      }
    } else if (value !== null) {
      const { key, owner, scope, item, date, path } = place;
      const shared = {
        fresh: context.fresh,
        saidOnly: false,
        echo: inputs.includes(lower(value)),
        order: first + facts.length,
      };
      facts.push({
        value,
        key,
        owner,
        scope,
        item,
        date,
        group: `${call.tool} ${context.fresh ? "now" : "before"} ${first} ${path.replace(/^.*\[\]/u, "[]")}`,
        ...shared,
      });
    }
  };
  walk(call.outcome.value, {
    key: [],
    owner: nameWords(call.tool).map(stem),
    scope: new Set([...inputs, ...linked.flatMap((fact) => [...fact.scope])]),
    item: [],
    date: "",
    path: "",
    inList: false,
  });
  return facts;
}

interface Place {
  readonly key: readonly string[];
  readonly owner: readonly string[];
  readonly scope: ReadonlySet<string>;
  readonly item: readonly string[];
  readonly date: string;
  readonly path: string;
  /** The value is an item of a list. */
  readonly inList: boolean;
}

/** Into the root of a result or an item of a list: what stands here is what its values are about. */
function enter(record: { [key: string]: Json }, place: Place): Place {
  const own = ownScalars(record);
  return {
    ...place,
    scope: new Set([...place.scope, ...own.map(lower)]),
    item: place.inList
      ? own.flatMap((value) => (typeof value === "string" ? stemsOf(value.slice(0, 200)) : []))
      : place.item,
    date: place.inList ? (own.map(String).find((text) => /^\d{4}-\d{2}-\d{2}/u.test(text)) ?? place.date) : place.date,
  };
}

/** The values of a record and of the records in it, but not those of its lists. */
function ownScalars(value: Json): Scalar[] {
  if (Array.isArray(value) || value === null) return [];
  return isObject(value) ? Object.values(value).flatMap(ownScalars) : [value];
}

function scalarsIn(value: Json): Scalar[] {
  if (value === null) return [];
  if (Array.isArray(value)) return value.flatMap(scalarsIn);
  return isObject(value) ? Object.values(value).flatMap(scalarsIn) : [value];
}

function lower(value: Scalar): string {
  return String(value).toLowerCase();
}
