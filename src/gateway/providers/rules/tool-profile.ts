/** A tool as the rules weigh it: what it does, the words it answers to, and what each of its arguments wants to be. */
import type { LanguageModelV4FunctionTool } from "@ai-sdk/provider";

import type { Json, JsonObject } from "../../../agent/json.ts";
import { isObject } from "../../../agent/json.ts";
import { actionOf, isStopWord, type Action } from "./vocabulary.ts";
import { nameWords, stem, stemsOf, wordsOf } from "./words.ts";

export interface ToolProfile {
  readonly name: string;
  readonly description: string;
  /** "read", the action that changes something, or null where the name and the description tell neither. */
  readonly action: Action | null;
  /** The stems of its name that are not the verb: what it deals with. */
  readonly nouns: readonly string[];
  /** The words of its name, as they stand. */
  readonly nameWords: readonly string[];
  /** How much each stem speaks for this tool. */
  readonly weights: ReadonlyMap<string, number>;
  readonly properties: readonly Property[];
}

export interface Property {
  readonly name: string;
  /** The stems of its name, in order. */
  readonly words: readonly string[];
  readonly description: string;
  readonly role: Role;
  readonly required: boolean;
  readonly schema: JsonObject;
  /** The pattern of the schema; null if there is none, or none that JavaScript can read. */
  readonly pattern: RegExp | null;
  /** For identifiers: what it identifies, "order" for `orderId`; else empty. */
  readonly entity: readonly string[];
  /** Shapes of the examples given, "A-9" for "A-1042". */
  readonly shapes: readonly string[];
  /** The properties of an object. */
  readonly properties: readonly Property[];
}

export type Scalar = string | number | boolean;

export type Role =
  | "choice"
  | "flag"
  | "list"
  | "object"
  | "identifier"
  | "email"
  | "url"
  | "date"
  | "time"
  | "money"
  | "number"
  | "query"
  | "reason"
  | "message"
  | "title"
  | "text";

const maxDepth = 4;

export function profileTool(tool: LanguageModelV4FunctionTool): ToolProfile {
  const root = tool.inputSchema as unknown as JsonObject;
  const description = tool.description ?? "";
  const properties = propertiesOf(root, { root, depth: 0 });
  const words = nameWords(tool.name);
  const verb = words.find((word) => actionOf(word) !== null);
  const action = verb === undefined ? actionOf(wordsOf(description)[0] ?? "") : actionOf(verb);
  const nouns = words.filter((word) => word !== verb || words.length === 1).map(stem);
  return {
    name: tool.name,
    description,
    action,
    nouns,
    nameWords: words,
    weights: weigh(words, description, properties),
    properties,
  };
}

/** Whether a call does something to the world, as far as its name and description tell. */
export function changes({ action }: ToolProfile): boolean {
  return action !== null && action !== "read";
}

/** The shape of a code: runs of letters as A, runs of digits as 9. */
export function shapeOf(code: string): string {
  return code.replaceAll(/\p{L}+/gu, "A").replaceAll(/\p{N}+/gu, "9");
}

function weigh(words: readonly string[], description: string, properties: readonly Property[]): Map<string, number> {
  const weights = new Map<string, number>();
  const add = (texts: readonly string[], weight: number): void => {
    for (const word of texts.flatMap(wordsOf)) {
      if (isStopWord(word)) continue;
      weights.set(stem(word), Math.max(weight, weights.get(stem(word)) ?? 0));
    }
  };
  add(words, 3);
  add([description], 1);
  for (const property of properties) {
    add([nameWords(property.name).join(" "), ...choicesOf(property.schema).map(String)], 0.8);
    add([property.description], 0.5);
  }
  return weights;
}

/** The values of an enum or a const. */
export function choicesOf(schema: JsonObject): Scalar[] {
  if (Array.isArray(schema.enum)) return schema.enum.filter(isScalar);
  if (schema.const !== undefined) return [schema.const].filter(isScalar);
  const alternatives = [...asList(schema.anyOf), ...asList(schema.oneOf)].filter(isObject);
  return alternatives.length > 0 &&
    alternatives.every((option) => option.const !== undefined || Array.isArray(option.enum))
    ? alternatives.flatMap(choicesOf)
    : [];
}

interface Place {
  readonly root: JsonObject;
  readonly depth: number;
}

function propertiesOf(schema: JsonObject, { root, depth }: Place): Property[] {
  if (!isObject(schema) || depth > maxDepth) return [];
  const required = new Set(asList(schema.required));
  const own = isObject(schema.properties) ? Object.entries(schema.properties) : [];
  const inherited = asList(schema.allOf)
    .filter(isObject)
    .flatMap((part) => propertiesOf(resolve(part, root), { root, depth: depth + 1 }));
  return [
    ...inherited,
    ...own.map(([name, given]) =>
      propertyOf(name, isObject(given) ? given : {}, { root, depth, required: required.has(name) }),
    ),
  ];
}

function propertyOf(name: string, given: JsonObject, place: Place & { required: boolean }): Property {
  const schema = resolve(given, place.root);
  const description = [given.description, schema.description].find((text) => typeof text === "string") ?? "";
  const words = nameWords(name).map(stem);
  const shapes = [...examplesIn(description), ...asList(schema.examples).filter(isScalar).map(String)]
    .filter((text) => /\d/u.test(text))
    .map(shapeOf);
  const role = roleOf({ schema, words, description, shapes });
  return {
    name,
    words,
    description,
    role,
    required: place.required,
    schema,
    pattern: patternOf(schema),
    entity: role === "identifier" ? words.filter((word) => !identifierWords.has(word)) : [],
    shapes,
    properties: role === "object" ? propertiesOf(schema, { root: place.root, depth: place.depth + 1 }) : [],
  };
}

export function patternOf({ pattern }: JsonObject): RegExp | null {
  if (typeof pattern !== "string") return null;
  try {
    return new RegExp(pattern, "u");
  } catch {
    return null;
  }
}

/** Follows a local reference and takes the first alternative that is not null. */
function resolve(schema: JsonObject, root: JsonObject, hops = 0): JsonObject {
  if (hops > 8) return {};
  if (typeof schema.$ref === "string" && schema.$ref.startsWith("#/")) {
    let target: Json | undefined = root;
    for (const key of schema.$ref.slice(2).split("/"))
      target = isObject(target) ? target[key.replaceAll("~1", "/").replaceAll("~0", "~")] : undefined;
    return isObject(target) ? resolve(target, root, hops + 1) : {};
  }
  if (choicesOf(schema).length > 0) return { ...schema, enum: choicesOf(schema) };
  const option = [...asList(schema.anyOf), ...asList(schema.oneOf)]
    .filter(isObject)
    .find((each) => each.type !== "null");
  return option === undefined ? schema : { ...schema, ...resolve(option, root, hops + 1) };
}

const identifierWords = new Set(
  stemsOf("id ids code sku number no ref reference key uuid tracking isbn iban zip postcode identifier"),
);
const moneyWords = new Set(
  stemsOf("amount price total usd eur gbp cost money sum fee budget cents payment salary dollars balance"),
);
const roleWords: readonly (readonly [Role, ReadonlySet<string>])[] = [
  ["email", new Set(stemsOf("email mail"))],
  ["url", new Set(stemsOf("url uri link website"))],
  ["date", new Set(stemsOf("date day deadline when birthday since until checkin checkout"))],
  ["time", new Set(stemsOf("time hour"))],
  ["reason", new Set(stemsOf("reason why justification cause because"))],
  ["title", new Set(stemsOf("subject title headline heading"))],
  ["message", new Set(stemsOf("body message text content comment note notes description details"))],
  ["query", new Set(stemsOf("query question search q keyword keywords topic term terms"))],
];

function roleOf(property: {
  schema: JsonObject;
  words: readonly string[];
  description: string;
  shapes: readonly string[];
}): Role {
  const { schema, words, description, shapes } = property;
  const type = Array.isArray(schema.type) ? schema.type.find((each) => each !== "null") : schema.type;
  if (choicesOf(schema).length > 0) return "choice";
  if (type === "boolean") return "flag";
  if (type === "array") return "list";
  if (type === "object" || isObject(schema.properties)) return "object";
  const looksLikeId = identifierWords.has(words.at(-1) ?? "");
  if (type === "number" || type === "integer") {
    if (words.some((word) => moneyWords.has(word))) return "money";
    return looksLikeId ? "identifier" : "number";
  }
  const byFormat = roleOfFormat(typeof schema.format === "string" ? schema.format : "");
  if (byFormat !== null) return byFormat;
  if (words.some((word) => stem("email") === word)) return "email";
  if (/^(?:to|recipient|cc|bcc|address)$/u.test(words.join(" ")) && /e-?mail/iu.test(description)) return "email";
  if (typeof schema.pattern === "string" || looksLikeId) return "identifier";
  const named = roleWords.find(([, known]) => words.some((word) => known.has(word)))?.[0];
  if (named !== undefined) return named;
  return shapes.length > 0 ? "identifier" : words.some((word) => moneyWords.has(word)) ? "money" : "text";
}

function roleOfFormat(format: string): Role | null {
  if (format.endsWith("email")) return "email";
  if (format === "uri" || format === "url") return "url";
  if (format === "date" || format === "date-time") return "date";
  if (format === "time") return "time";
  return format === "uuid" ? "identifier" : null;
}

/** Codes that a description gives as an example: 'like A-1042', '(e.g. "ORD-17")'. */
function examplesIn(description: string): string[] {
  return [
    ...description.matchAll(
      /(?:like|e\.g\.,?|for example,?|such as|example:?|as in)\s+["'`“]?([\p{L}\p{N}#][\p{L}\p{N}_#-]{1,40})/giu,
    ),
  ].map((match) => match[1] ?? "");
}

export function isScalar(value: Json): value is Scalar {
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean";
}

function asList(value: Json | undefined): Json[] {
  return Array.isArray(value) ? value : [];
}
