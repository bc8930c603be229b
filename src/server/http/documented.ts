/** What a route says of itself: one description by which requests are checked and the API is documented. */
import type { FastifySchema } from "fastify";
import { z } from "zod";
import { inputSchema, outputSchema } from "./json-schema.ts";
import { problem } from "./response-schemas.ts";
import { problemType } from "./problem.ts";

export interface Description {
  readonly tag:
    | "tasks"
    | "dead letters"
    | "approvals"
    | "sessions"
    | "agents"
    | "usage"
    | "gateway"
    | "models"
    | "keys"
    | "service";
  readonly summary: string;
  readonly description?: string;
  readonly params?: z.ZodType;
  readonly query?: z.ZodType;
  readonly headers?: z.ZodType;
  readonly body?: z.ZodType;
  readonly answers: Readonly<Record<number, Answer>>;
  /** The statuses of problems that are this route's own; what any route may answer is added. */
  readonly problems?: readonly (keyof typeof problemMeanings)[];
  /** Where errors are no problems, but of a shape that others have laid down: all that the route may answer. */
  readonly errors?: Readonly<Record<number | "default", Answer>>;
}

export interface Answer {
  readonly description: string;
  /** Absent: there is no body, or it is of another type than JSON. */
  readonly schema?: z.ZodType;
  readonly contentType?: string;
  /** The same as text of another type, for whoever asks for it. */
  readonly textType?: string;
}

const problemMeanings = {
  400: "The request is wrong; `path` says where.",
  403: "This environment does not allow it.",
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
  const { tag, summary, description, params, query, headers, body, answers, errors = problemsOf(route) } = route;
  const response: Record<string, object> = {};
  for (const [status, answer] of Object.entries({ ...errors, ...answers })) response[status] = toResponse(answer);
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

function problemsOf({ body, problems = [] }: Description): Record<number | "default", Answer> {
  const statuses = new Set([400, ...(body === undefined ? [] : ([413, 415] as const)), ...problems, 503] as const);
  const answers = [...statuses].map((status) => [status, problemAnswer(problemMeanings[status])]);
  return { ...Object.fromEntries(answers), default: problemAnswer("Any other error.") };
}

function problemAnswer(description: string): Answer {
  return { description, schema: problem, contentType: problemType };
}

function toResponse({ description, schema, contentType = "application/json", textType }: Answer): object {
  const asText = textType === undefined ? {} : { [textType]: { schema: { type: "string" } } };
  if (schema !== undefined)
    return { description, content: { [contentType]: { schema: outputSchema(schema) }, ...asText } };
  if (contentType === "application/json") return { description, type: "null" };
  return { description, content: { [contentType]: { schema: { type: "string" } } } };
}
