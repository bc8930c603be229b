/** The OpenAPI 3.1 document, made from the descriptions of the routes. */
import { readFileSync } from "node:fs";
import swagger from "@fastify/swagger";
import type { FastifyInstance } from "fastify";
import { isObject, type Json, type JsonObject } from "../../agent/json.ts";
import { documented } from "./documented.ts";
import { z } from "zod";

/** The package's own, which lies beside both `src` and `dist`. */
const manifest = JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8")) as {
  readonly version: string;
};

export const version = manifest.version;

/** Collects the routes that are added after it, and serves them as `/openapi.json`. */
export async function openapiRoute(app: FastifyInstance): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: { title: "Holdfast", version, description: "Runs AI agents: durable, governed, observable." },
    },
  });
  let document: JsonObject | undefined;
  app.get(
    "/openapi.json",
    {
      schema: documented({
        tag: "service",
        summary: "This document",
        answers: { 200: { description: "OpenAPI 3.1.", schema: z.record(z.string(), z.unknown()) } },
      }),
    },
    async () => (document ??= toDocument(app)),
  );
}

function toDocument(app: FastifyInstance): JsonObject {
  const schemas: JsonObject = {};
  const document = nameSchemas(JSON.parse(JSON.stringify(app.swagger())) as JsonObject, schemas) as JsonObject;
  for (const operation of Object.values(document["paths"] ?? {}).flatMap((path) => Object.values(path))) {
    const body = (operation as JsonObject)["requestBody"];
    if (isObject(body)) body["required"] = needsBody(body, schemas);
  }
  return { ...document, components: { schemas } };
}

/** Every schema with a title stands once, under that name; where it was is a reference to it. */
function nameSchemas(value: Json, schemas: JsonObject): Json {
  if (Array.isArray(value)) return value.map((item) => nameSchemas(item, schemas));
  if (!isObject(value)) return value;
  const named = Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, nameSchemas(inner, schemas)]));
  const { title, ...schema } = named;
  if (typeof title !== "string" || schema["version"] !== undefined) return named;
  schemas[title] = schema;
  return { $ref: `#/components/schemas/${title}` };
}

/** A body without a field that is required may be left out. */
function needsBody(body: JsonObject, schemas: JsonObject): boolean {
  const reference = JSON.stringify(body).match(/#\/components\/schemas\/(\w+)/)?.[1];
  const schema = schemas[reference ?? ""];
  return isObject(schema) && Array.isArray(schema["required"]);
}
