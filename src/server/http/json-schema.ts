/** The schemas of the API as JSON Schema, as they are checked and documented. */
import { z } from "zod";

export function inputSchema(schema: z.ZodType): object {
  return toJsonSchema(schema, "input");
}

export function outputSchema(schema: z.ZodType): object {
  return toJsonSchema(schema, "output");
}

function toJsonSchema(schema: z.ZodType, io: "input" | "output"): object {
  const { $schema: _, ...jsonSchema } = z.toJSONSchema(schema, { io });
  return jsonSchema;
}
