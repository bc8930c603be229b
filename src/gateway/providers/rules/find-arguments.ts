/**
 * Fills the arguments of a call from the request and from what is known. Never invents: an argument that is required and
 * found nowhere is missing, and one that could be several values carries the options.
 */
import type { Json, JsonObject } from "../../../agent/json.ts";
import { chooseFact } from "./choose-fact.ts";
import { messageIn, queryIn, reasonIn, remainderIn, titleIn } from "./compose-text.ts";
import type { Fact } from "./facts.ts";
import { allInText, findInText } from "./find-in-text.ts";
import type { Mention } from "./mentions.ts";
import type { Clause } from "./request.ts";
import {
  changes,
  isScalar,
  patternOf,
  type Property,
  type Role,
  type Scalar,
  type ToolProfile,
} from "./tool-profile.ts";
import { isStopWord } from "./vocabulary.ts";

export interface Scope {
  /** The clause that asks for the call. */
  readonly clause: Clause;
  /** The other clauses of the request, nearest first: a code or an address may stand there. */
  readonly others: readonly Clause[];
  readonly facts: readonly Fact[];
  readonly freshNumbers: boolean;
  /** Only exact values, no composed text: for a call that nobody asked for in words. */
  readonly exactOnly?: boolean;
  /** Values that are already decided. */
  readonly given?: JsonObject;
}

export interface Filling {
  readonly input: JsonObject;
  readonly missing: readonly Missing[];
  /** How many arguments have an exact value that was found and not composed. */
  readonly exact: number;
}

export interface Missing {
  readonly property: Property;
  /** What it could be, if several values are known. */
  readonly options: readonly Scalar[];
}

const exactRoles = new Set<Role>(["identifier", "email", "url", "date", "money", "choice", "list"]);
const order: readonly Role[] = [
  "list",
  "identifier",
  "email",
  "url",
  "date",
  "time",
  "money",
  "choice",
  "number",
  "flag",
  "object",
];

export function findArguments(tool: ToolProfile, scope: Scope): Filling {
  const used = new Set<Mention>();
  const filling = fill(tool.properties, { tool, scope, used });
  const wanted = tool.properties.filter((property) => property.name in filling.input).map(({ name }) => name);
  // In the order of the schema, so that equal calls read alike.
  return { ...filling, input: Object.fromEntries(wanted.map((name) => [name, filling.input[name] as Json])) };
}

/** One filling, or several if the clause names several things of the kind the tool takes one of. */
export function findEveryCall(tool: ToolProfile, scope: Scope): Filling[] {
  const single = findArguments(tool, scope);
  const subjects = tool.properties.filter(
    (property) => property.required && (property.role === "identifier" || property.role === "email"),
  );
  const [subject] = subjects;
  if (subject === undefined || subjects.length > 1) return [single];
  const values = allInText(subject, { clause: scope.clause, tool, used: new Set() });
  if (values.length < 2) return [single];
  return values
    .slice(0, maxCalls)
    .map((value) => findArguments(tool, { ...scope, given: { ...scope.given, [subject.name]: value } }));
}

const maxCalls = 8;

interface Work {
  readonly tool: ToolProfile;
  readonly scope: Scope;
  readonly used: Set<Mention>;
}

function fill(properties: readonly Property[], work: Work): Filling {
  const input: JsonObject = {};
  const missing: Missing[] = [];
  let exact = 0;
  for (const property of properties.toSorted((a, b) => rank(a) - rank(b))) {
    const found = valueFor(property, work, input);
    if (found !== null && !("options" in found)) {
      input[property.name] = found.value;
      if (exactRoles.has(property.role)) exact += 1;
    } else if (property.required && property.schema.default === undefined) {
      missing.push({ property, options: found === null ? [] : found.options });
    }
  }
  return { input, missing, exact };
}

function rank(property: Property): number {
  const index = order.indexOf(property.role);
  return (index < 0 ? order.length : index) * 2 + Number(!property.required);
}

type Found = { readonly value: Json } | { readonly options: readonly Scalar[] } | null;

function valueFor(property: Property, work: Work, input: JsonObject): Found {
  const { scope, tool, used } = work;
  const given = scope.given?.[property.name];
  if (given !== undefined) return { value: given };
  if (property.role === "object") return objectFor(property, work);
  if (property.role === "list") return listFor(property, work);
  const inClause = findInText(property, { clause: scope.clause, tool, used, strict: scope.exactOnly === true });
  if (inClause !== null) return { value: inClause };
  const composed = scope.exactOnly === true ? null : compose(property, work);
  if (composed !== null) return { value: composed };
  const elsewhere = inOtherClauses(property, work);
  if (elsewhere !== null) return { value: elsewhere };
  return property.required && !namesItsOwnSum(property, work) ? fromFacts(property, work, input) : null;
}

/** "Refund eighty dollars", "2 of the mugs": a sum was meant that is not read here, and a total would be another. */
function namesItsOwnSum(property: Property, { scope: { clause }, used }: Work): boolean {
  if (property.role !== "money") return false;
  const sums = clause.mentions.some(
    (mention) => !used.has(mention) && ["number", "money", "percent"].includes(mention.kind),
  );
  return sums || clause.words.some((word) => /^(?:dollars?|usd|eur|euros?|bucks|cents?|pounds?)$/u.test(word));
}

/** A code or an address that another clause of the request names; for a required argument only. */
function inOtherClauses(property: Property, { scope, tool }: Work): Scalar | null {
  if (!property.required || (property.role !== "identifier" && property.role !== "email" && property.role !== "url"))
    return null;
  for (const clause of scope.others) {
    const values = allInText(property, { clause, tool, used: new Set(), strict: scope.exactOnly === true });
    if (values[0] !== undefined) return values[0];
  }
  return null;
}

function fromFacts(property: Property, { scope, tool }: Work, input: JsonObject): Found {
  const identifiers = tool.properties
    .flatMap(({ role, name }) => (role === "identifier" ? (input[name] ?? []) : []))
    .filter(isScalar)
    .map(String);
  const codes = scope.clause.mentions.filter(isCode).map(({ text }) => text.replace(/^#/u, ""));
  const anchors = (identifiers.length > 0 ? identifiers : codes).map((text) => text.toLowerCase());
  const search = {
    facts: scope.facts,
    clause: scope.clause,
    anchors,
    freshNumbers: scope.freshNumbers,
    nouns: tool.nouns,
  };
  return chooseFact(property, search);
}

/** "A-1042", and the 1042 of "order 1042". */
function isCode({ kind, text, before }: Mention): boolean {
  return kind === "code" || (kind === "number" && /^\d{3,}$/u.test(text) && before !== "" && !isStopWord(before));
}

function compose(property: Property, { tool, scope: { clause } }: Work): string | null {
  const text = composeRole(property, { tool, clause });
  const { minLength, maxLength } = property.schema;
  if (text === null || (typeof minLength === "number" && text.length < minLength)) return null;
  return typeof maxLength === "number" ? text.slice(0, maxLength) : text;
}

function composeRole(property: Property, { tool, clause }: { tool: ToolProfile; clause: Clause }): string | null {
  const { role, required } = property;
  switch (role) {
    case "reason":
      return reasonIn(clause, tool) ?? (required ? `As asked: ${clause.text}` : null);
    case "message":
      if (!required) return changes(tool) ? optionalMessage(tool, clause) : null;
      return messageIn(clause) ?? (changes(tool) ? null : remainderIn(clause, tool));
    case "title":
      return required ? titleIn(clause) : null;
    case "query":
      return required || tool.properties.length === 1 ? queryIn(clause, tool) : null;
    case "text":
      return required && !changes(tool) && onlyText(property, tool) ? remainderIn(clause, tool) : null;
    default:
      return null;
  }
}

/** A note that may be left out is written only if the request says something more than the order itself. */
function optionalMessage(tool: ToolProfile, clause: Clause): string | null {
  const takesReason = tool.properties.some(({ role }) => role === "reason");
  return takesReason ? null : reasonIn(clause, tool);
}

function onlyText(property: Property, tool: ToolProfile): boolean {
  return (
    tool.properties.filter(({ role, required }) => required && role === "text").length === 1 && property.role === "text"
  );
}

function objectFor(property: Property, work: Work): Found {
  const { input, missing, exact } = fill(property.properties, work);
  const isEmpty = Object.keys(input).length === 0;
  return missing.length > 0 ||
    (isEmpty && (!property.required || property.properties.length > 0)) ||
    (!property.required && exact === 0)
    ? null
    : { value: input };
}

function listFor(property: Property, { tool, scope: { clause }, used }: Work): Found {
  const items = itemOf(property);
  const values = allInText(items, { clause, tool, used });
  const quoted =
    items.role === "text" ? clause.mentions.filter(({ kind }) => kind === "quoted").map(({ text }) => text) : [];
  const found = values.length > 0 ? values : quoted;
  return found.length === 0 ? null : { value: found };
}

/** The items of a list as an argument of their own, under the name of the list. */
function itemOf(property: Property): Property {
  const { items } = property.schema;
  const schema = typeof items === "object" && items !== null && !Array.isArray(items) ? items : {};
  const pattern = patternOf(schema);
  const isEmail = schema.format === "email" || property.words.some((word) => word === "email" || word === "mail");
  const isNumber = schema.type === "number" || schema.type === "integer";
  const isCode =
    pattern !== null || property.shapes.length > 0 || property.words.some((word) => word === "id" || word === "ids");
  const role: Role = isEmail ? "email" : isCode ? "identifier" : isNumber ? "number" : "text";
  return {
    ...property,
    schema,
    pattern,
    role,
    entity: role === "identifier" ? property.words.filter((word) => word !== "id" && word !== "ids") : [],
  };
}
