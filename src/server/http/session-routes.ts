/** Conversations. */
import type { FastifyInstance } from "fastify";
import type { z } from "zod";
import { onlyTenant } from "../../engine/tenant.ts";
import { documented } from "./documented.ts";
import { fromCursor, toCursor } from "./paging.ts";
import { pageQuery, sessionParams } from "./request-schemas.ts";
import { message, pageOf, session } from "./response-schemas.ts";
import type { ServerDeps } from "./server-deps.ts";
import { toWireMessage, toWireSession } from "./wire.ts";

type Id = z.infer<typeof sessionParams>;

export function sessionRoutes(app: FastifyInstance, { service: { engine } }: ServerDeps): void {
  app.get<{ Params: Id }>(
    "/sessions/:id",
    {
      schema: documented({
        tag: "sessions",
        summary: "A conversation",
        params: sessionParams,
        answers: { 200: { description: "The conversation.", schema: session } },
        problems: [404],
      }),
    },
    async ({ params: { id } }) => toWireSession(await engine.session(onlyTenant, id)),
  );

  app.delete<{ Params: Id }>(
    "/sessions/:id",
    {
      schema: documented({
        tag: "sessions",
        summary: "Delete a conversation with its tasks, journals and approvals",
        params: sessionParams,
        answers: { 204: { description: "It is gone." } },
        problems: [404, 409],
      }),
    },
    async ({ params: { id } }, reply) => {
      await engine.deleteSession(onlyTenant, id);
      return reply.code(204).send();
    },
  );

  app.get<{ Params: Id; Querystring: z.infer<typeof pageQuery> }>(
    "/sessions/:id/messages",
    {
      schema: documented({
        tag: "sessions",
        summary: "What was said in a conversation",
        description:
          "The messages of the last `limit` completed tasks, oldest first; the next page is what was said before them.",
        params: sessionParams,
        query: pageQuery,
        answers: { 200: { description: "A page.", schema: pageOf(message) } },
        problems: [404],
      }),
    },
    async ({ params: { id }, query: { limit, cursor } }) => {
      const key = fromCursor("messages", cursor);
      await engine.session(onlyTenant, id);
      const before = key === undefined ? null : Number(key);
      const read = await engine.exchanges({ tenant: onlyTenant, sessionId: id, before, limit: limit + 1 });
      const shown = read.slice(-limit);
      const first = read.length > limit ? shown[0] : undefined;
      return {
        items: shown.flatMap(({ taskId, messages }) => messages.map((each) => toWireMessage(taskId, each))),
        next_cursor: first === undefined ? null : toCursor("messages", first.position),
      };
    },
  );
}
