/** A result of a tool in lines that a person reads; any shape of JSON, and bounded. */
import type { Json } from "../../../agent/json.ts";
import { isObject } from "../../../agent/json.ts";
import type { Scalar } from "./tool-profile.ts";
import { capitalised, nameWords, spoken, stem } from "./words.ts";

const maxItems = 10;
const maxText = 1500;
const maxInline = 400;
const identityKeys = new Set(["id", "name", "title"]);

export function renderValue(value: Json): string {
  if (Array.isArray(value)) return renderList(value, "").join("\n");
  return isObject(value) ? renderRecord(value, "").join("\n") : renderScalar(value);
}

/** Null, "", [], {}, and records in which nothing stands but these, zero and false. */
export function isEmpty(value: Json): boolean {
  if (value === null || value === "") return true;
  if (Array.isArray(value)) return value.length === 0;
  return isObject(value) && Object.values(value).every((child) => child === 0 || child === false || isEmpty(child));
}

/** The fields whose names are among the stems that were asked for, as one line; "" if there are none. */
export function renderFocus(value: Json, asked: ReadonlySet<string>): string {
  if (!isObject(value)) return "";
  const fields = Object.entries(value).filter(
    ([key, child]) => child !== null && nameWords(key).some((word) => asked.has(stem(word))),
  );
  const told = fields.slice(0, 4).map(([key, child]) => `${spoken(key)} ${inline(child, 1)}`);
  return told.length === 0 || fields.length === Object.keys(value).length ? "" : `${capitalised(told.join(", "))}.`;
}

function renderRecord(record: { [key: string]: Json }, indent: string): string[] {
  return Object.entries(record).flatMap(([key, child]) => {
    if (child === null || child === "") return [];
    const label = `${indent}- ${capitalised(spoken(key))}:`;
    if (Array.isArray(child) && child.some(isObject)) return [label, ...renderList(child, `${indent}  `)];
    return [`${label} ${isObject(child) ? inline(child, 1) : inline(child)}`];
  });
}

function renderList(items: readonly Json[], indent: string): string[] {
  const lines = items.slice(0, maxItems).map((item) => `${indent}- ${inline(item)}`);
  return items.length > maxItems ? [...lines, `${indent}- and ${items.length - maxItems} more`] : lines;
}

function inline(value: Json, depth = 0): string {
  if (Array.isArray(value)) {
    if (value.length === 0) return "none";
    return value.some((item) => typeof item === "object") && depth > 0
      ? `${value.length} in all`
      : cut(value.map((item) => inline(item, depth + 1)).join(", "), maxInline);
  }
  if (!isObject(value)) return renderScalar(value);
  if (depth > 2) return "…";
  const entries = Object.entries(value).filter(([, child]) => child !== null && child !== "");
  const names = entries.filter(([key]) => identityKeys.has(key)).map(([, child]) => inline(child, depth + 1));
  const rest = entries.filter(([key]) => !identityKeys.has(key)).map(([key, child]) => field(key, child, depth));
  if (names.length === 0 || rest.length === 0) return [...names, ...rest].join(", ");
  return depth === 0 ? `${names.join(", ")}: ${rest.join(", ")}` : `${names.join(", ")} (${rest.join(", ")})`;
}

function field(key: string, child: Json, depth: number): string {
  const isProse = typeof child === "string" && child.length > 60;
  return isProse ? inline(child, depth + 1) : `${spoken(key)} ${inline(child, depth + 1)}`;
}

function renderScalar(value: Scalar | null): string {
  if (value === true) return "yes";
  if (value === false) return "no";
  return cut(String(value), maxText);
}

function cut(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length)}…`;
}
