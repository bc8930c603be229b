/** Parameters as they go over the wire, spelled by us and not by the drivers, so that both databases read the same. */
import type { Statement } from "./database.ts";
import { StoreError } from "./store-error.ts";

/** Text format, binary format, or null. */
export type WireValue = string | Buffer | null;

export interface EncodedStatement {
  readonly name: string | undefined;
  readonly text: string;
  readonly values: WireValue[];
}

/** @throws StoreError `store_failed` for a value whose storage the caller must say, like an object or a Date. */
export function encodeStatement({ name, text, values }: Statement): EncodedStatement {
  return { name, text, values: values.map(encodeParameter) };
}

function encodeParameter(value: unknown, index: number): WireValue {
  if (value === null || value === undefined) return null;
  if (typeof value === "string") return value;
  if (typeof value === "number" || typeof value === "boolean" || typeof value === "bigint") return String(value);
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (Array.isArray(value)) return `{${value.map((element) => encodeElement(element, index)).join(",")}}`;
  throw unsupported(value, index);
}

const special = /["\\]/;

function encodeElement(element: unknown, index: number): string {
  if (element === null || element === undefined) return "null";
  if (typeof element === "string") return `"${special.test(element) ? element.replaceAll(/["\\]/g, "\\$&") : element}"`;
  if (typeof element === "number" || typeof element === "boolean" || typeof element === "bigint")
    return String(element);
  throw unsupported(element, index);
}

function unsupported(value: unknown, index: number): StoreError {
  const type = Object.prototype.toString.call(value).slice(8, -1);
  return new StoreError(
    "store_failed",
    `Parameter $${index + 1} is of type ${type}, which has no one spelling in SQL. ` +
      "Pass JSON as text from encodeJson with a ::jsonb cast, a time as milliseconds with to_timestamp.",
  );
}
