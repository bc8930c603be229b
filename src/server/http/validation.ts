/** Checks what comes in against the schemas of its route. A body is taken as it is; the texts of a URL become numbers. */
import { Ajv2020, type ErrorObject } from "ajv/dist/2020.js";
import type { FastifySchemaCompiler } from "fastify";
import type { FastifySchemaValidationError } from "fastify/types/schema.js";
import { InvalidInputError } from "../../platform/errors.ts";
import { escapePointer } from "../../platform/json-pointer.ts";

type HttpPart = "body" | "querystring" | "params" | "headers";

const shared = {
  useDefaults: true,
  removeAdditional: false,
  // The first fault is enough: a body of a million unknown fields must not become a million errors.
  allErrors: false,
  strictTypes: false,
  // Zod's schemas bring a pattern beside each format.
  validateFormats: false,
  verbose: true,
} as const;

const partPaths: Record<HttpPart, string> = { body: "", querystring: "/query", params: "/params", headers: "/headers" };

export function createValidatorCompiler(): FastifySchemaCompiler<object> {
  const bodies = new Ajv2020({ ...shared, coerceTypes: false });
  const texts = new Ajv2020({ ...shared, coerceTypes: true });
  return ({ schema, httpPart }) => (httpPart === "body" ? bodies : texts).compile(schema);
}

/** The error of a request that does not fit its schema, with the path of what is wrong. */
export function toInputError(errors: FastifySchemaValidationError[], part: string): InvalidInputError {
  // Of a union the last error sums up what its branches said.
  const error = (errors.find(({ keyword }) => keyword === "anyOf") ?? errors[0]) as ErrorObject | undefined;
  if (error === undefined) return new InvalidInputError("invalid_request", "The request does not fit its schema.");
  const path = `${partPaths[part as HttpPart]}${error.instancePath}${pointerTo(propertyOf(error))}`;
  return new InvalidInputError(
    "invalid_request",
    `${path === "" ? "The body" : shorten(path)} ${ruleOf(error)}.`,
    path,
  );
}

function propertyOf({ keyword, params }: ErrorObject): string | undefined {
  if (keyword === "required") return String(params["missingProperty"]);
  return keyword === "additionalProperties" ? String(params["additionalProperty"]) : undefined;
}

function pointerTo(property: string | undefined): string {
  return property === undefined ? "" : `/${escapePointer(property)}`;
}

function ruleOf(error: ErrorObject): string {
  const { keyword, params, parentSchema = {}, message = "is wrong" } = error;
  switch (keyword) {
    case "required":
      return "is required";
    case "additionalProperties":
      return `is unknown; ${fieldsOf(parentSchema)}`;
    case "enum":
      return `must be one of: ${(params["allowedValues"] as unknown[]).join(", ")}`;
    case "anyOf":
      return "has none of the forms it may have";
    case "pattern":
      return parentSchema["format"] === "uuid" ? "must be a UUID" : `must match ${String(params["pattern"])}`;
    default:
      return message;
  }
}

function fieldsOf(schema: Record<string, unknown>): string {
  const names = Object.keys(schema["properties"] ?? {});
  return names.length === 0 ? "nothing is taken here" : `what is known: ${names.join(", ")}`;
}

function shorten(path: string): string {
  return path.length > 100 ? `${path.slice(0, 100)}…` : path;
}
