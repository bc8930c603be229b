/** The queue of failed tasks that await a decision. (Setting one going again is `POST /tasks/{id}/retry`.) */
import type { FastifyInstance } from "fastify";
import type { z } from "zod";
import { onlyTenant } from "../../engine/tenant.ts";
import { documented } from "./documented.ts";
import { fromCursor, toPage } from "./paging.ts";
import { idParams, pageQuery } from "./request-schemas.ts";
import { pageOf, taskSummary } from "./response-schemas.ts";
import { addressOf, type ServerDeps } from "./server-deps.ts";
import { toTaskSummary } from "./wire.ts";

export function deadLetterRoutes(app: FastifyInstance, { service: { engine }, clock }: ServerDeps): void {
  app.get<{ Querystring: z.infer<typeof pageQuery> }>(
    "/dead-letters",
    {
      schema: documented({
        tag: "dead letters",
        summary: "List failed tasks that await a decision, newest first",
        query: pageQuery,
        answers: { 200: { description: "A page.", schema: pageOf(taskSummary) } },
      }),
    },
    async ({ query: { limit, cursor } }) => {
      const before = fromCursor("dead_letters", cursor);
      const rows = await engine.tasks({ tenant: onlyTenant, deadLetter: true, before, limit: limit + 1 });
      const item = (row: (typeof rows)[number]) => toTaskSummary(row, clock.now());
      return toPage(rows, limit, { list: "dead_letters", key: ({ id }) => id, item });
    },
  );

  app.delete<{ Params: z.infer<typeof idParams> }>(
    "/dead-letters/:id",
    {
      schema: documented({
        tag: "dead letters",
        summary: "Discard a dead letter: the task stays failed, and leaves the queue",
        params: idParams,
        answers: { 204: { description: "It is discarded." } },
        problems: [404, 409],
      }),
    },
    async ({ params: { id } }, reply) => {
      await engine.discard(addressOf(id));
      return reply.code(204).send();
    },
  );
}
