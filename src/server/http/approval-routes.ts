/** Questions to humans, and their answers. */
import type { FastifyInstance } from "fastify";
import type { z } from "zod";
import type { Answer } from "../../agent/journal.ts";
import type { Json } from "../../agent/json.ts";
import { onlyTenant } from "../../engine/tenant.ts";
import { InvalidInputError } from "../../platform/errors.ts";
import { documented } from "./documented.ts";
import { fromCursor, toPage } from "./paging.ts";
import { answerBody, approvalQuery, idParams } from "./request-schemas.ts";
import { approval, pageOf } from "./response-schemas.ts";
import { operator, type ServerDeps } from "./server-deps.ts";
import { toWireApproval } from "./wire.ts";

type Body = z.infer<typeof answerBody>;
type Field = Exclude<keyof Body, "decision" | "by">;

export function approvalRoutes(app: FastifyInstance, { service: { engine } }: ServerDeps): void {
  const { approvals } = engine;

  app.get<{ Querystring: z.infer<typeof approvalQuery> }>(
    "/approvals",
    {
      schema: documented({
        tag: "approvals",
        summary: "List questions to humans, oldest first",
        query: approvalQuery,
        answers: { 200: { description: "A page.", schema: pageOf(approval) } },
      }),
    },
    async ({ query: { status, task_id: taskId, limit, cursor } }) => {
      const after = fromCursor("approvals", cursor);
      const rows = await approvals.list({ tenant: onlyTenant, status, taskId, after, limit: limit + 1 });
      return toPage(rows, limit, { list: "approvals", key: ({ id }) => id, item: toWireApproval });
    },
  );

  app.get<{ Params: z.infer<typeof idParams> }>(
    "/approvals/:id",
    {
      schema: documented({
        tag: "approvals",
        summary: "A question to a human",
        params: idParams,
        answers: { 200: { description: "The question, and its answer if there is one.", schema: approval } },
        problems: [404],
      }),
    },
    async ({ params: { id } }) => toWireApproval(await approvals.find(onlyTenant, id)),
  );

  app.post<{ Params: z.infer<typeof idParams>; Body: Body }>(
    "/approvals/:id",
    {
      schema: documented({
        tag: "approvals",
        summary: "Answer a question; its task goes on when all its questions are answered",
        description:
          "`tool` takes approve, deny or edit; `uncertain` takes succeeded, failed or retry; `limit` and `stutter` take " +
          "continue or end.",
        params: idParams,
        body: answerBody,
        answers: { 200: { description: "The question with its answer.", schema: approval } },
        problems: [404, 409],
      }),
    },
    async ({ params: { id }, body }) => {
      const answered = await approvals.answer(onlyTenant, id, { answer: toAnswer(body), by: body.by ?? operator });
      return toWireApproval(answered);
    },
  );
}

/** @throws InvalidInputError when the fields do not belong to the decision */
function toAnswer(body: Body): Answer {
  const { decision, comment, advice = "", limits = {} } = body;
  switch (decision) {
    case "approve":
      allow(body, ["comment"]);
      return { decision, ...(comment !== undefined && { comment }) };
    case "edit":
      allow(body, ["input", "comment"]);
      return { decision, input: needed(body, "input"), ...(comment !== undefined && { comment }) };
    case "deny":
    case "failed":
      allow(body, ["comment"]);
      return { decision, comment: comment ?? "" };
    case "succeeded":
      allow(body, ["output"]);
      return { decision, output: needed(body, "output") };
    case "continue":
      allow(body, ["advice", "limits"]);
      return { decision, advice, limits: toLimits(limits) };
    case "retry":
    case "end":
      allow(body, []);
      return { decision };
  }
}

function toLimits({ max_steps: maxSteps, tokens, cost_usd: costUsd }: NonNullable<Body["limits"]>) {
  return {
    ...(maxSteps !== undefined && { maxSteps }),
    ...(tokens !== undefined && { tokens }),
    ...(costUsd !== undefined && { costMicros: Math.round(costUsd * 1e6) }),
  };
}

function allow(body: Body, fields: readonly Field[]): void {
  const known = new Set<string>(["decision", "by", ...fields]);
  const stray = Object.keys(body).find((field) => !known.has(field));
  if (stray === undefined) return;
  const rule = fields.length === 0 ? "nothing more" : fields.join(", ");
  throw new InvalidInputError(
    "invalid_request",
    `/${stray} does not go with "${body.decision}", which takes ${rule}.`,
    `/${stray}`,
  );
}

function needed(body: Body, field: "input" | "output"): Json {
  const value = body[field];
  if (value !== undefined) return value;
  throw new InvalidInputError("invalid_request", `/${field} is required for "${body.decision}".`, `/${field}`);
}
