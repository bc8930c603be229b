/** That a model answers in JSON, as both endpoints spell it. */
import type { JsonObject } from "../../agent/json.ts";
import type { JsonFormat } from "../../gateway/model-gateway.ts";
import { wrong } from "./refusals.ts";

export interface NamedSchema {
  readonly name?: string | undefined;
  readonly description?: string | undefined;
  readonly schema?: Readonly<Record<string, unknown>> | undefined;
  readonly strict?: boolean | null | undefined;
}

/** @throws InvalidInputError @param path where the request has it */
export function jsonFormatOf({ name, description, schema, strict }: NamedSchema, path: string): JsonFormat {
  if (schema === undefined) throw wrong(`${path}/schema`, "The schema is required.");
  if (name === undefined) throw wrong(`${path}/name`, "The schema needs a name.");
  return {
    type: "json",
    name,
    schema: schema as JsonObject,
    strict: strict === true,
    ...(description !== undefined && { description }),
  };
}
