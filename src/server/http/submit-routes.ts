/** Giving work: `POST /run`, `POST /tasks`, `POST /tasks/batch`. All three come in through the same `submit`. */
import type { FastifyInstance, FastifyReply } from "fastify";
import type { z } from "zod";
import type { Accepted, BatchItem } from "../../client/wire.ts";
import { hasEnded } from "../../engine/agent-result.ts";
import { InvalidInputError } from "../../platform/errors.ts";
import { documented, takesTasks } from "./documented.ts";
import { toProblem } from "./problem.ts";
import { batchBody, idempotencyHeaders, runBody, taskBody } from "./request-schemas.ts";
import { accepted, agentResult, batchAccepted, unfinished } from "./response-schemas.ts";
import { addressOf, untilGone, type ServerDeps } from "./server-deps.ts";
import { submitTask } from "./task-requests.ts";
import { linksOf, toAccepted, toWireResult } from "./wire.ts";

type Headers = z.infer<typeof idempotencyHeaders>;

export function submitRoutes(app: FastifyInstance, deps: ServerDeps): void {
  const { service, closing } = deps;
  const { engine } = service;

  const submit = async (reply: FastifyReply, body: z.infer<typeof taskBody>, headers: Headers) => {
    const submitted = await submitTask(engine, body, headers["idempotency-key"]);
    if (!submitted.created) reply.header("idempotent-replayed", "true");
    return submitted;
  };

  app.post<{ Body: z.infer<typeof runBody>; Headers: Headers }>(
    "/run",
    {
      config: takesTasks,
      schema: documented({
        tag: "tasks",
        summary: "Run a task and wait for its result",
        headers: idempotencyHeaders,
        body: runBody,
        answers: {
          200: { description: "The task has ended.", schema: agentResult },
          202: {
            description: "It has not ended in `wait_ms`; it goes on, and `Location` is where to ask.",
            schema: unfinished,
          },
        },
        problems: [409, 429],
      }),
    },
    async ({ body: { wait_ms: waitMs, ...body }, headers }, reply) => {
      const { task, messageId } = await submit(reply, body, headers);
      const signal = untilGone(reply.raw, closing);
      const result = await engine.awaitResult({ ...addressOf(task.taskId), messageId, waitMs, signal });
      if (hasEnded(result)) return toWireResult(result);
      const links = linksOf(result.taskId);
      return reply
        .code(202)
        .header("location", links.self)
        .send({ ...toWireResult(result), ...(messageId !== null && { message_id: messageId }), links });
    },
  );

  app.post<{ Body: z.infer<typeof taskBody>; Headers: Headers }>(
    "/tasks",
    {
      config: takesTasks,
      schema: documented({
        tag: "tasks",
        summary: "Submit a task",
        headers: idempotencyHeaders,
        body: taskBody,
        answers: { 202: { description: "It is kept, and will run.", schema: accepted } },
        problems: [409, 429],
      }),
    },
    async ({ body, headers }, reply) => {
      const answer = toAccepted(await submit(reply, body, headers));
      return reply.code(202).header("location", answer.links.self).send(answer);
    },
  );

  batchRoute(app, deps);
}

function batchRoute(app: FastifyInstance, { service: { engine } }: ServerDeps): void {
  app.post<{ Body: z.infer<typeof batchBody> }>(
    "/tasks/batch",
    {
      config: takesTasks,
      schema: documented({
        tag: "tasks",
        summary: "Submit up to 100 tasks",
        description: "If one of them is malformed none is taken. Otherwise each is accepted or refused on its own.",
        body: batchBody,
        answers: { 202: { description: "At least one was accepted.", schema: batchAccepted } },
        problems: [409, 429],
      }),
    },
    async ({ body: { tasks }, id }, reply) => {
      tasks.forEach(({ agent }, index) => {
        if (agent === undefined ? engine.assigns : engine.agents.has(agent)) return;
        const names = [...engine.agents.keys()].join(", ");
        const message = `Task ${index} must name one of the agents here: ${names}.`;
        throw new InvalidInputError(
          agent === undefined ? "agent_required" : "unknown_agent",
          message,
          `/tasks/${index}/agent`,
        );
      });
      const submitted = await Promise.allSettled(
        tasks.map(({ idempotency_key: key, ...body }) => submitTask(engine, body, key)),
      );
      // Who looks only at the status must not take a full queue for success.
      const refusals = submitted.filter((each) => each.status === "rejected");
      if (refusals.length === submitted.length) throw refusals[0]?.reason;
      const items = submitted.map((each): BatchItem => {
        if (each.status === "rejected") return { problem: toProblem(each.reason, id).problem };
        return { task: toAccepted(each.value) satisfies Accepted };
      });
      return reply.code(202).send({ items });
    },
  );
}
