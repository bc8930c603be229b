/** What a route says of itself: one description by which requests are checked and the API is documented. */
import type { FastifySchema } from "fastify";
import { z } from "zod";
import { inputSchema, outputSchema } from "./json-schema.ts";
import { problem } from "./response-schemas.ts";
import { problemType } from "./problem.ts";

export interface Description {
  readonly tag: "tasks" | "dead letters" | "approvals" | "sessions" | "agents" | "service";
  readonly summary: string;
  readonly description?: string;
  readonly params?: z.ZodType;
  readonly query?: z.ZodType;
  readonly headers?: z.ZodType;
  readonly body?: z.ZodType;
  readonly answers: Readonly<Record<number, Answer>>;
  /** The statuses of problems that are this route's own; what any route may answer is added. */
  readonly problems?: readonly (keyof typeof problemMeanings)[];
}

export interface Answer {
  readonly description: string;
  /** Absent: there is no body, or it is of another type than JSON. */
  readonly schema?: z.ZodType;
  readonly contentType?: string;
}

const problemMeanings = {
  400: "The request is wrong; `path` says where.",
  404: "It does not exist.",
  409: "It is not in a state that allows this.",
  413: "The body is larger than 1 MiB.",
  415: "The body is not JSON.",
  429: "A queue is full; try again after `Retry-After` seconds.",
  503: "The store cannot be used now, or this process cannot keep up; try again after `Retry-After` seconds.",
} as const;

/** Of a route that takes new tasks, and refuses them while the process is overloaded. */
export const takesTasks = { takesTasks: true } as const;

declare module "fastify" {
  interface FastifyContextConfig {
    takesTasks?: boolean;
  }
}

/** The schema of a route for Fastify and for the OpenAPI document. */
export function documented(route: Description): FastifySchema {
  const { tag, summary, description, params, query, headers, body, answers, problems = [] } = route;
  const statuses = new Set([400, ...(body === undefined ? [] : ([413, 415] as const)), ...problems, 503] as const);
  const response: Record<string, object> = {};
  for (const [status, answer] of Object.entries(answers)) response[status] = toResponse(answer);
  for (const status of statuses) response[status] ??= toResponse(problemAnswer(problemMeanings[status]));
  response["default"] = toResponse(problemAnswer("Any other error."));
  return {
    tags: [tag],
    summary,
    ...(description !== undefined && { description }),
    ...(params !== undefined && { params: inputSchema(params) }),
    querystring: inputSchema(query ?? z.strictObject({})),
    ...(headers !== undefined && { headers: inputSchema(headers) }),
    ...(body !== undefined && { body: inputSchema(body) }),
    response,
  };
}

function problemAnswer(description: string): Answer {
  return { description, schema: problem, contentType: problemType };
}

function toResponse({ description, schema, contentType = "application/json" }: Answer): object {
  if (schema !== undefined) return { description, content: { [contentType]: { schema: outputSchema(schema) } } };
  if (contentType === "application/json") return { description, type: "null" };
  return { description, content: { [contentType]: { schema: { type: "string" } } } };
}
