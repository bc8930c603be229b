/** Tasks: looking at them, stopping them, setting them going again. */
import type { FastifyInstance } from "fastify";
import { z } from "zod";
import { hasEnded, resultOf } from "../../engine/agent-result.ts";
import { onlyTenant } from "../../engine/tenant.ts";
import { documented, takesTasks } from "./documented.ts";
import { fromCursor, toPage } from "./paging.ts";
import { cancelBody, forkBody, idParams, pageQuery, retryBody, taskQuery, valueParams } from "./request-schemas.ts";
import { accepted, agentResult, entry, pageOf, task, taskSummary } from "./response-schemas.ts";
import { addressOf, operator, type ServerDeps } from "./server-deps.ts";
import { toAccepted, toTaskSummary, toWireEntry, toWireResult, toWireTask } from "./wire.ts";

type Id = z.infer<typeof idParams>;

export function taskRoutes(app: FastifyInstance, deps: ServerDeps): void {
  readingRoutes(app, deps);
  journalRoutes(app, deps);
  controlRoutes(app, deps);
}

function readingRoutes(app: FastifyInstance, { service: { engine, store }, clock }: ServerDeps): void {
  app.get<{ Querystring: z.infer<typeof taskQuery> }>(
    "/tasks",
    {
      schema: documented({
        tag: "tasks",
        summary: "List tasks, newest first",
        query: taskQuery,
        answers: { 200: { description: "A page.", schema: pageOf(taskSummary) } },
      }),
    },
    async ({ query: { status, agent, session_id: sessionId, user_id: userId, limit, cursor } }) => {
      const filter = { tenant: onlyTenant, status, agent, sessionId, userId };
      const rows = await engine.tasks({ ...filter, before: fromCursor("tasks", cursor), limit: limit + 1 });
      return toPage(rows, limit, {
        list: "tasks",
        key: ({ id }) => id,
        item: (row) => toTaskSummary(row, clock.now()),
      });
    },
  );

  app.get<{ Params: Id }>(
    "/tasks/:id",
    {
      schema: documented({
        tag: "tasks",
        summary: "A task and what it has come to",
        params: idParams,
        answers: { 200: { description: "The task.", schema: task } },
        problems: [404],
      }),
    },
    async ({ params: { id } }) => {
      const row = await engine.task(addressOf(id));
      return toWireTask(row, await resultOf(row, { store, clock }));
    },
  );
}

function journalRoutes(app: FastifyInstance, { service: { engine } }: ServerDeps): void {
  app.get<{ Params: Id; Querystring: z.infer<typeof pageQuery> }>(
    "/tasks/:id/journal",
    {
      schema: documented({
        tag: "tasks",
        summary: "The journal of a task: what happened, in order",
        params: idParams,
        query: pageQuery,
        answers: { 200: { description: "A page of entries.", schema: pageOf(entry) } },
        problems: [404],
      }),
    },
    async ({ params: { id }, query: { limit, cursor } }) => {
      const afterSeq = Number(fromCursor("journal", cursor) ?? 0);
      const rows = await engine.journal({ ...addressOf(id), afterSeq, limit: limit + 1 });
      return toPage(rows, limit, { list: "journal", key: ({ seq }) => seq, item: toWireEntry });
    },
  );

  app.get<{ Params: z.infer<typeof valueParams> }>(
    "/tasks/:id/values/:hash",
    {
      schema: documented({
        tag: "tasks",
        summary: "The whole of a value that the journal keeps only the beginning of",
        params: valueParams,
        answers: { 200: { description: "The value, any JSON.", schema: z.unknown() } },
        problems: [404],
      }),
    },
    async ({ params: { id, hash } }, reply) => {
      const { tenant } = await engine.task(addressOf(id));
      // Text is JSON too: as a string Fastify would send it without its quotes.
      return reply.type("application/json; charset=utf-8").send(JSON.stringify(await engine.largeValue(tenant, hash)));
    },
  );
}

function controlRoutes(app: FastifyInstance, { service: { engine } }: ServerDeps): void {
  app.post<{ Params: Id; Body: z.infer<typeof cancelBody> }>(
    "/tasks/:id/cancel",
    {
      schema: documented({
        tag: "tasks",
        summary: "Stop a task",
        params: idParams,
        body: cancelBody,
        answers: {
          200: { description: "It has ended.", schema: agentResult },
          202: { description: "It runs, and will end as soon as its worker hears of it.", schema: agentResult },
        },
        problems: [404, 409],
      }),
    },
    async ({ params: { id }, body: { by = operator } }, reply) => {
      const result = await engine.cancel(addressOf(id), by);
      return reply.code(hasEnded(result) ? 200 : 202).send(toWireResult(result));
    },
  );

  app.post<{ Params: Id; Body: z.infer<typeof retryBody> }>(
    "/tasks/:id/retry",
    {
      schema: documented({
        tag: "dead letters",
        summary: "Set a dead letter going again: from where it stopped, or from the start with another prompt",
        params: idParams,
        body: retryBody,
        answers: { 202: { description: "It will run.", schema: agentResult } },
        problems: [404, 409],
      }),
    },
    async ({ params: { id }, body: { prompt = null, by = operator } }, reply) => {
      return reply.code(202).send(toWireResult(await engine.replay(addressOf(id), { prompt, by })));
    },
  );

  app.post<{ Params: Id; Body: z.infer<typeof forkBody> }>(
    "/tasks/:id/fork",
    {
      config: takesTasks,
      schema: documented({
        tag: "tasks",
        summary: "A new task, in a new session, from a step of this one",
        params: idParams,
        body: forkBody,
        answers: { 202: { description: "The new task.", schema: accepted } },
        problems: [404, 429],
      }),
    },
    async ({ params: { id }, body: { step = null, prompt = null, model } }, reply) => {
      const route = typeof model === "string" ? [model] : (model ?? null);
      const answer = toAccepted({ task: await engine.fork(addressOf(id), { step, prompt, model: route }) });
      return reply.code(202).header("location", answer.links.self).send(answer);
    },
  );
}
