/** Whether a value may stand for an argument, and how it must be written. */
import { shapeOf, type Property, type Scalar } from "./tool-profile.ts";

/** The value as the schema wants it, or null. */
export function accepted(property: Property, value: Scalar): Scalar | null {
  const { type } = property.schema;
  const types = Array.isArray(type) ? type : [type];
  if (types.includes("number") || types.includes("integer")) {
    const number = toNumber(value, property);
    return number !== null && inRange(number, property) && (types.includes("number") || Number.isInteger(number))
      ? number
      : null;
  }
  if (types.includes("boolean")) return typeof value === "boolean" ? value : null;
  if (typeof value === "boolean") return null;
  const written = spellings(property, String(value)).find((text) => matches(property, text));
  return written ?? null;
}

function toNumber(value: Scalar, property: Property): number | null {
  if (typeof value === "number") return value;
  return property.role === "identifier" && typeof value === "string" && /^#?\d{1,15}$/u.test(value)
    ? Number(value.replace("#", ""))
    : null;
}

function inRange(value: number, { schema }: Property): boolean {
  const limit = (key: string, otherwise: number): number => (typeof schema[key] === "number" ? schema[key] : otherwise);
  return (
    value >= limit("minimum", -Infinity) &&
    value <= limit("maximum", Infinity) &&
    value > limit("exclusiveMinimum", -Infinity) &&
    value < limit("exclusiveMaximum", Infinity)
  );
}

/** How a code may be meant: "1042", "#1042" or "a-1042" for A-1042. */
function spellings(property: Property, text: string): string[] {
  if (property.role !== "identifier") return [text];
  const bare = text.replace(/^#/u, "");
  const prefix = /^\^?\(?([\p{L}]{1,8}[-_#]?)(?:\\d|\[0-9\]|\d)/u.exec(property.pattern?.source ?? "")?.[1];
  const prefixed = prefix !== undefined && /^\d+$/u.test(bare) ? [`${prefix}${bare}`] : [];
  return [text, text.toUpperCase(), text.toLowerCase(), bare, ...prefixed];
}

function matches(property: Property, text: string): boolean {
  const { schema, role } = property;
  if (typeof schema.minLength === "number" && text.length < schema.minLength) return false;
  if (typeof schema.maxLength === "number" && text.length > schema.maxLength) return false;
  if (Array.isArray(schema.enum) && !schema.enum.includes(text)) return false;
  if (role === "email" && !/^[^\s@]+@[^\s@]+\.[^\s@]+$/u.test(text)) return false;
  if (schema.format === "date" && !/^\d{4}-\d{2}-\d{2}$/u.test(text)) return false;
  if (schema.format === "date-time" && !/^\d{4}-\d{2}-\d{2}T/u.test(text)) return false;
  if (schema.format === "uuid" && !/^[0-9a-f-]{36}$/iu.test(text)) return false;
  if (property.pattern !== null && text.length <= 200 && !property.pattern.test(text)) return false;
  const shaped = role === "identifier" && property.pattern === null && property.shapes.length > 0;
  return !shaped || property.shapes.includes(shapeOf(text));
}
