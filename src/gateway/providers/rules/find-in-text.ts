/** Exact values for an argument in the words of a clause: codes, addresses, amounts, dates, numbers, choices, names. */
import { accepted } from "./accept.ts";
import { findMentions, numberWord, type Mention } from "./mentions.ts";
import type { Clause } from "./request.ts";
import { choicesOf, type Property, type Scalar, type ToolProfile } from "./tool-profile.ts";
import { actionOf, isLightVerb, isStopWord } from "./vocabulary.ts";
import { stem, stemsOf, wordsOf } from "./words.ts";

export interface TextSearch {
  readonly clause: Clause;
  readonly tool: ToolProfile;
  /** Mentions that other arguments of this call took already. */
  readonly used: Set<Mention>;
  /** A code that no pattern confirms counts only where the text names what it is of. */
  readonly strict?: boolean;
}

/** The value a clause gives for an argument that is not free text, or null. What it takes is marked as used. */
export function findInText(property: Property, search: TextSearch): Scalar | null {
  const finder = finders[property.role];
  return finder === undefined ? null : finder(property, search);
}

/** Every value of the clause that fits an identifier or an address. */
export function allInText(property: Property, search: TextSearch): Scalar[] {
  const values = candidates(property, search).flatMap((mention) => accepted(property, mention.value) ?? []);
  return [...new Set(values)];
}

type Finder = (property: Property, search: TextSearch) => Scalar | null;

const finders: Partial<Record<Property["role"], Finder>> = {
  choice: findChoice,
  flag: findFlag,
  identifier: takeFirst,
  email: takeFirst,
  url: takeFirst,
  date: findDate,
  time: takeFirst,
  money: findMoney,
  number: findNumber,
  text: findName,
};

function takeFirst(property: Property, search: TextSearch): Scalar | null {
  return take(property, candidates(property, search), search.used);
}

function take(property: Property, mentions: readonly Mention[], used: Set<Mention>): Scalar | null {
  for (const mention of mentions) {
    if (used.has(mention)) continue;
    const value = accepted(property, asWanted(property, mention));
    if (value === null) continue;
    used.add(mention);
    return value;
  }
  return null;
}

/** Dollars were said where cents are wanted, or a day where a moment is wanted. */
function asWanted(property: Property, { kind, value }: Mention): Scalar {
  const inCents = property.words.some((word) => word === stem("cents") || word === "minor");
  if (property.role === "money" && kind === "money" && inCents) return Math.round(Number(value) * 100);
  const day = kind === "date" && property.schema.format === "date-time" && /^\d{4}-\d{2}-\d{2}$/u.test(String(value));
  return day ? `${value}T00:00:00Z` : value;
}

/** The mentions that may be meant, likeliest first. */
function candidates(property: Property, { clause, tool, used, strict = false }: TextSearch): Mention[] {
  const free = clause.mentions.filter((mention) => !used.has(mention));
  if (property.role !== "identifier") return free.filter(({ kind }) => kind === property.role);
  const entity = property.entity.length > 0 ? property.entity : tool.nouns;
  const exact = property.pattern !== null || property.shapes.length > 0;
  const codes = free.filter(
    ({ kind }) => kind === "code" || kind === "number" || kind === "quoted" || kind === "acronym",
  );
  const named = codes.filter((mention) => isNamedBy(mention, [...entity, ...property.words]));
  const others = codes.filter(
    (mention) => !named.includes(mention) && (mention.kind === "code" || (exact && mention.kind === "acronym")),
  );
  const isOthers = (mention: Mention): boolean => isNamedByOther(mention, property, tool);
  const likely = [...named, ...others.filter((mention) => !isOthers(mention)), ...others.filter(isOthers)];
  if (exact)
    return likely.length > 0 ? likely : codes.filter(({ kind, text }) => kind === "number" && text.length >= 3);
  return strict ? named : [...named, ...others.filter((mention) => !isOthers(mention) && !isNamedOtherwise(mention))];
}

const idWords = new Set(["number", "no", "id", "code", "nr", "num", "ref", "reference", "is"]);

/** "order A-1042", "order number 1042", "order #1042". */
function isNamedBy(mention: Mention, entity: readonly string[]): boolean {
  return entity.includes(stem(mention.before)) || (idWords.has(mention.before) && entity.length > 0);
}

function isNamedByOther(mention: Mention, property: Property, tool: ToolProfile): boolean {
  const before = stem(mention.before);
  return tool.properties.some(
    (other) => other !== property && other.role === "identifier" && [...other.entity, ...other.words].includes(before),
  );
}

/** "order A-1042" is no customer. */
function isNamedOtherwise({ before }: Mention): boolean {
  return before !== "" && !isStopWord(before) && actionOf(before) === null && !isLightVerb(before);
}

function findChoice(property: Property, { clause }: TextSearch): Scalar | null {
  const stems = new Set(clause.words.map(stem));
  const said = choicesOf(property.schema).filter((choice) => {
    const words = stemsOf(String(choice));
    return words.length > 0 && words.every((word) => stems.has(word));
  });
  const longest = said.toSorted((a, b) => String(b).length - String(a).length)[0];
  if (longest !== undefined) return longest;
  const initials = choicesOf(property.schema).find(
    (choice) =>
      typeof choice === "string" &&
      new RegExp(`(?<![\\p{L}\\p{N}])${escaped(choice)}(?![\\p{L}\\p{N}])`, "iu").test(clause.text),
  );
  return initials ?? null;
}

function findFlag(property: Property, { clause }: TextSearch): Scalar | null {
  const words = property.words.filter((word) => !["is", "has", "do", "with", "include"].includes(word));
  const stems = clause.words.map(stem);
  if (words.length === 0 || !words.every((word) => stems.includes(word))) return null;
  const at = stems.indexOf(words[0] ?? "");
  return !clause.words
    .slice(Math.max(0, at - 3), at)
    .some((word) => ["not", "no", "without", "don", "never"].includes(word));
}

const fromWords = new Set(["from", "since", "after", "starting", "between", "start"]);
const untilWords = new Set(["to", "until", "till", "before", "through", "by", "and", "end"]);

function findDate(property: Property, { clause, used }: TextSearch): Scalar | null {
  const dates = clause.mentions.filter((mention) => mention.kind === "date" && !used.has(mention));
  const wanted = property.words.some((word) => ["start", "from", "since", "after", "checkin"].includes(word))
    ? fromWords
    : property.words.some((word) => ["end", "to", "until", "befor", "checkout", "du"].includes(word))
      ? untilWords
      : null;
  const fitting = wanted === null ? dates : dates.filter((date) => wanted.has(date.before));
  return take(property, fitting.length > 0 || !property.required ? fitting : dates, used);
}

function findMoney(property: Property, { clause, tool, used }: TextSearch): Scalar | null {
  const amounts = clause.mentions.filter(({ kind }) => kind === "money");
  const bare = clause.mentions.filter((mention) => {
    if (mention.kind !== "number") return false;
    const said = [mention.before, mention.after].map(stem);
    const afterVerb =
      mention.before !== "" && (actionOf(mention.before) === tool.action || tool.nameWords.includes(mention.before));
    const isSum = afterVerb || ["of", "by"].includes(mention.before);
    return (
      said.some((word) => property.words.includes(word)) || (property.required && isSum && !countsSomething(mention))
    );
  });
  return take(property, [...amounts, ...bare], used);
}

/** "a refund of 20 for order A-1042" is a sum, "refund 2 mugs" is none. */
function countsSomething({ after }: Mention): boolean {
  return !["", "for", "from", "on", "to", "of", "back", "please", "because", "as", "since"].includes(after);
}

const howMany = new Set(stemsOf("limit max maximum count top size take"));

function findNumber(property: Property, search: TextSearch): Scalar | null {
  const { clause, tool, used } = search;
  const isLimit = property.words.some((word) => howMany.has(word));
  const isShare = property.words.some((word) => word.startsWith("percent") || word === "rat");
  const numbers = [
    ...clause.mentions.filter(({ kind }) => kind === "number" || (isShare && kind === "percent")),
    ...wordNumbers(clause),
  ];
  const named = numbers.filter((mention) => {
    const [before, after] = [stem(mention.before), stem(mention.after)];
    const counts = isLimit && (["top", "first", "last", "limit"].includes(before) || tool.nouns.includes(after));
    return property.words.includes(before) || property.words.includes(after) || counts || mention.kind === "percent";
  });
  const unclaimed = numbers.filter((mention) => !named.includes(mention) && !claimedByOther(mention, property, tool));
  return take(property, property.required ? [...named, ...unclaimed] : named, used);
}

function claimedByOther(mention: Mention, property: Property, tool: ToolProfile): boolean {
  const around = [stem(mention.before), stem(mention.after)].filter((word) => word !== "");
  return tool.properties.some(
    (other) => other !== property && around.some((word) => other.words.includes(word) || other.entity.includes(word)),
  );
}

function wordNumbers(clause: Clause): Mention[] {
  return clause.words.flatMap((word, index) => {
    const value = word === "one" ? undefined : numberWord(word);
    const around = { before: clause.words[index - 1] ?? "", after: clause.words[index + 1] ?? "" };
    return value === undefined ? [] : [{ kind: "number" as const, text: word, value, start: -1, end: -1, ...around }];
  });
}

const prepositions: readonly (readonly [readonly string[], string])[] = [
  [stemsOf("city location place country region address timezone venue room town where"), "in|at|for|near"],
  [stemsOf("from origin source departure"), "from"],
  [stemsOf("to destination target arrival language channel"), "to|into|in"],
  [
    stemsOf("name customer person user author assignee owner recipient attendee contact who guest"),
    "for|by|to|of|with|from",
  ],
];

/** A name or another short text: "city: Oslo", a quotation, "in Oslo", or a capitalised word that nothing else took. */
function findName(property: Property, search: TextSearch): Scalar | null {
  const { clause, used } = search;
  const explicit = afterOwnName(property, clause.text);
  if (explicit !== null) return accepted(property, explicit);
  if (!property.required) return null;
  const known = prepositions.find(([words]) => property.words.some((word) => words.includes(word)))?.[1];
  const hinted = known === undefined ? null : afterPreposition(known, clause);
  if (hinted !== null) return accepted(property, hinted);
  const quoted = clause.mentions.find((mention) => mention.kind === "quoted" && !used.has(mention));
  if (quoted !== undefined && !hasProse(search.tool)) {
    used.add(quoted);
    return accepted(property, quoted.text);
  }
  const named = known === undefined ? afterPreposition("for|of|about|called|named", clause) : null;
  return named === null ? capitalisedName(property, search) : accepted(property, named);
}

/** What stands in quotation marks is rather the text that this tool wants. */
function hasProse(tool: ToolProfile): boolean {
  return tool.properties.some(
    ({ role, required }) => required && (role === "message" || role === "title" || role === "query"),
  );
}

function afterPreposition(prepositionPattern: string, clause: Clause): string | null {
  const named = new RegExp(`\\b(?:${prepositionPattern})\\s+(?:the\\s+)?(${name})`, "u").exec(clause.text)?.[1];
  return named === undefined || isTaken(named, clause) ? null : named;
}

const name = "\\p{Lu}[\\p{L}'’.-]*(?:\\s+\\p{Lu}[\\p{L}'’-]*)*|\\p{Ll}[\\p{L}'’-]{2,}";

function afterOwnName(property: Property, text: string): string | null {
  const own = wordsOf(property.name.replaceAll(/([a-z])([A-Z])/gu, "$1 $2"))
    .map(escaped)
    .join("[\\s_-]");
  const joint = property.required
    ? "(?:\\s+(?:is|of|called|named|to|as)\\s+|\\s*[:=]\\s*|\\s+(?=\\p{Lu}|[\"“']))"
    : "(?:\\s+(?:is|called|named)\\s+|\\s*[:=]\\s*)";
  const match = new RegExp(
    `(?<![\\p{L}])${own}${joint}["“']?([^"”',.;?!]{1,200}?)(?=\\s+(?:and|with|for|in|on|at|from|to)\\b|["”',.;?!]|$)`,
    "iu",
  ).exec(text);
  const value = match?.[1]?.trim() ?? "";
  return value === "" || isStopWord(value.toLowerCase()) ? null : value;
}

function capitalisedName(property: Property, { clause, tool }: TextSearch): Scalar | null {
  const names = [...clause.text.matchAll(/(?<=\s)\p{Lu}[\p{L}'’-]*(?:\s+\p{Lu}[\p{L}'’-]*)*/gu)].map(
    (match) => match[0],
  );
  const own = new Set(tool.nameWords.map(stem));
  const free = names.find(
    (each) => !isStopWord(each.toLowerCase()) && !isTaken(each, clause) && !own.has(stem(each.toLowerCase())),
  );
  return free === undefined ? null : accepted(property, free);
}

function isTaken(text: string, clause: Clause): boolean {
  return (
    isStopWord(text.toLowerCase()) ||
    clause.mentions.some((mention) => mention.text === text) ||
    findMentions(text).length > 0
  );
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/gu, "\\$&");
}
