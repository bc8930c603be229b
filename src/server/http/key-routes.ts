/** Virtual keys: made, listed, revoked. The secret of one is answered once, when it is made. */
import type { FastifyInstance } from "fastify";
import type { z } from "zod";
import { onlyTenant } from "../../engine/tenant.ts";
import { documented } from "./documented.ts";
import { fromCursor, toPage } from "./paging.ts";
import { idParams, keyBody, pageQuery } from "./request-schemas.ts";
import { createdKey, key, pageOf } from "./response-schemas.ts";
import type { ServerDeps } from "./server-deps.ts";
import { toWireKey } from "./wire-keys.ts";

export function keyRoutes(app: FastifyInstance, { service }: ServerDeps): void {
  const { keys } = service.models;

  app.post<{ Body: z.infer<typeof keyBody> }>(
    "/keys",
    {
      schema: documented({
        tag: "keys",
        summary: "Make a virtual key for the gateway's endpoints",
        description:
          "The answer holds the secret, which is kept nowhere. Once there is a key, those endpoints need one.",
        body: keyBody,
        answers: { 201: { description: "The key and its secret.", schema: createdKey } },
      }),
    },
    async ({ body }, reply) => {
      const { budget_usd: budget = {}, expires_at: expiresAt } = body;
      const made = await keys.create({
        tenant: body.tenant ?? onlyTenant,
        name: body.name,
        models: body.models ?? [],
        dayBudget: toMicros(budget.day),
        monthBudget: toMicros(budget.month),
        totalBudget: toMicros(budget.total),
        requestsPerMinute: body.requests_per_minute ?? null,
        tokensPerMinute: body.tokens_per_minute ?? null,
        expiresAt: expiresAt === undefined ? null : Date.parse(expiresAt),
      });
      return reply.code(201).send({ ...toWireKey(made.key), secret: made.secret });
    },
  );

  app.get<{ Querystring: z.infer<typeof pageQuery> }>(
    "/keys",
    {
      schema: documented({
        tag: "keys",
        summary: "List the keys, newest first, with what is spent of their budgets",
        query: pageQuery,
        answers: { 200: { description: "A page.", schema: pageOf(key) } },
      }),
    },
    async ({ query: { limit, cursor } }) => {
      const rows = await keys.list({ before: fromCursor("keys", cursor), limit: limit + 1 });
      return toPage(rows, limit, { list: "keys", key: ({ id }) => id, item: toWireKey });
    },
  );

  app.delete<{ Params: z.infer<typeof idParams> }>(
    "/keys/:id",
    {
      schema: documented({
        tag: "keys",
        summary: "Revoke a key: from now on it is of no use",
        params: idParams,
        answers: { 204: { description: "It is revoked." } },
        problems: [404],
      }),
    },
    async ({ params: { id } }, reply) => {
      await keys.revoke(id);
      return reply.code(204).send();
    },
  );
}

function toMicros(usd: number | undefined): number | null {
  return usd === undefined ? null : Math.round(usd * 1e6);
}
