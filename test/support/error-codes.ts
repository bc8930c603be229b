/** Every stable code that the sources can throw, journal or answer, found by the places in which codes stand. */
import { STATUS_CODES } from "node:http";
import { sourceFilesUnder } from "./source-files.ts";

const code = '"([a-z]+(?:_[a-z]+)*)"';

/** Each pattern captures a code. */
const places: readonly RegExp[] = [
  // The first argument of an error, whichever of the family it is.
  new RegExp(`Error\\(\\s*${code}`, "g"),
  new RegExp(`super\\(\\s*${code}`, "g"),
  // Outcomes of tool calls, ends of tasks, causes of failures.
  new RegExp(`\\b(?:code|error): ${code}`, "g"),
  new RegExp(`\\b(?:failure|refusal)\\(\\s*${code}`, "g"),
  new RegExp(`instanceof HoldfastError \\? \\w+\\.code : ${code}`, "g"),
  new RegExp(`\\bconst \\w+Code = ${code}`, "g"),
  // Codes in expressions: the end of a task, what HTTP makes of errors that are not ours.
  new RegExp(`type: "finish", error: [^}]*${code}`, "g"),
  new RegExp(`const limit = .*: ${code};`, "g"),
  new RegExp(`FST_ERR_\\w+: \\[${code}`, "g"),
  new RegExp(`HttpError\\(\\d+, ${code}`, "g"),
  new RegExp(`const code = [^;]*?${code}`, "g"),
  new RegExp(`code === "string" \\? code : ${code}`, "g"),
  new RegExp(`\\bagent === undefined \\? ${code} : "unknown_agent"`, "g"),
];

/** Closed unions of codes, as `type LimitCode = "…" | "…";`. */
const unions = /type \w+Code =([^;]*);/g;
/** Statuses whose code is made from their title. */
const statusesOfBroken = /const statusOfBroken[^=]*=\s*\{([^}]*)\}/;

export function thrownCodes(): Set<string> {
  const found = new Set<string>();
  for (const { path, code: text } of sourceFilesUnder("src")) {
    if (path.endsWith(".test.ts") || path.startsWith("src/testing/")) continue;
    for (const place of places) {
      for (const match of text.matchAll(place)) found.add(match[1] ?? "");
    }
    for (const [, union = ""] of text.matchAll(unions)) {
      for (const [, member = ""] of union.matchAll(new RegExp(code, "g"))) found.add(member);
    }
    for (const [status = ""] of statusesOfBroken.exec(text)?.[1]?.matchAll(/\b\d{3}\b/g) ?? []) {
      found.add((STATUS_CODES[status] ?? "").toLowerCase().replaceAll(" ", "_"));
    }
  }
  return found;
}
