/**
 * What no input may hold, wherever it stands: text that Postgres cannot keep (U+0000, lone surrogates), numbers that JSON
 * cannot say again, nesting without end, and keys that would reach into prototypes.
 */
import { InvalidInputError } from "../../platform/errors.ts";
import { escapePointer } from "../../platform/json-pointer.ts";

const mostDepth = 64;

/** @throws InvalidInputError with the path of the first such value */
export function guardInput(value: unknown, path: string, depth = 0): void {
  if (typeof value === "string") return guardText(value, path);
  if (typeof value === "number" && !Number.isFinite(value)) throw invalid(path, "is a number too large to be kept");
  if (typeof value !== "object" || value === null) return;
  if (depth >= mostDepth) throw invalid(path, `is nested deeper than ${mostDepth} levels`);
  for (const [key, inner] of Object.entries(value)) {
    const innerPath = `${path}/${escapePointer(key)}`;
    guardText(key, innerPath);
    if (key === "__proto__" || (key === "prototype" && path.endsWith("/constructor"))) {
      throw invalid(innerPath, "is a key that is not taken");
    }
    guardInput(inner, innerPath, depth + 1);
  }
}

function guardText(text: string, path: string): void {
  if (text.includes("\0")) throw invalid(path, "holds the character U+0000, which cannot be stored");
  if (!text.isWellFormed()) throw invalid(path, "holds half of a surrogate pair, which is no Unicode text");
}

function invalid(path: string, rule: string): InvalidInputError {
  const shown = path.length > 100 ? `${path.slice(0, 100)}…` : path;
  return new InvalidInputError("invalid_request", `${shown === "" ? "The body" : shown.toWellFormed()} ${rule}.`, path);
}
