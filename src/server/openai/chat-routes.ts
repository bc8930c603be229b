/** `POST /v1/chat/completions` and `POST /v1/responses`: the same call in two spellings. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { z } from "zod";
import { documented } from "../http/documented.ts";
import { untilGone, type ServerDeps } from "../http/server-deps.ts";
import { cachingAnswer, cachingHeaders, cachingOf } from "./answer-caching.ts";
import { answer } from "./answer.ts";
import type { Answer } from "./asked.ts";
import type { Call } from "./call.ts";
import { identify, type Caller } from "./caller.ts";
import { chatStream, toChatCompletion } from "./chat-reply.ts";
import * as chat from "./chat-request.ts";
import { stream, wholeReply } from "./deliver.ts";
import { dropNulls } from "./errors.ts";
import { openaiProblems } from "./open-api.ts";
import { chatBody, responseBody, type ChatBody, type ResponseBody } from "./request-schemas.ts";
import { toCompletionId, toResponseId } from "./response-ids.ts";
import { responseStream, toResponse } from "./response-reply.ts";
import * as responses from "./response-request.ts";
import { keeper, resolveReferences } from "./response-texts.ts";
import { neverAborts } from "../../platform/abort.ts";

/** Prompts are long: a million tokens are about four million characters. */
export const bodyLimitBytes = 16 * 1_048_576;

const options = {
  bodyLimit: bodyLimitBytes,
  // Before the schema looks at it.
  preValidation: async ({ body }: FastifyRequest) => dropNulls(body),
};

const streamed = "With `stream: true` the answer is server-sent events, in OpenAI's format.";
const models = "The model is a `provider/model`, a route of the configuration, or `agent/<name>`.";

export function chatRoutes(app: FastifyInstance, deps: ServerDeps): void {
  app.post<{ Body: ChatBody }>(
    "/v1/chat/completions",
    {
      ...options,
      schema: documented({
        tag: "models",
        summary: "Call a model or an agent, as OpenAI's chat completions",
        description: `${models} ${streamed}`,
        headers: cachingHeaders,
        body: chatBody,
        answers: { 200: { description: "The completion.", schema: z.record(z.string(), z.unknown()) } },
        ...openaiProblems,
      }),
    },
    async (request, reply) => {
      const { body } = request;
      const answered = await ask(deps, { request, reply }, () => chat.toCall(body));
      const head = { id: toCompletionId(answered.id), model: body.model, created: seconds(deps) };
      if (body.stream !== true) {
        const whole = await wholeReply(answered);
        return reply.headers(cachingAnswer(answered)).send(toChatCompletion(head, whole));
      }
      const { include_usage: includeUsage = false, include_restarts: includeRestarts = false } =
        body.stream_options ?? {};
      const format = chatStream(head, { includeUsage, includeRestarts });
      return stream(deps, { request, reply }, { answer: answered, format });
    },
  );

  app.post<{ Body: ResponseBody }>(
    "/v1/responses",
    {
      ...options,
      schema: documented({
        tag: "models",
        summary: "Call a model or an agent, as OpenAI's responses",
        description: `${models} ${streamed} \`previous_response_id\` goes on in the session of an agent; what a model said is kept only as far as items refer to it.`,
        headers: cachingHeaders,
        body: responseBody,
        answers: { 200: { description: "The response.", schema: z.record(z.string(), z.unknown()) } },
        ...openaiProblems,
      }),
    },
    async (request, reply) => {
      const { body } = request;
      const answered = await ask(deps, { request, reply }, async ({ tenant }) =>
        responses.toCall(await resolveReferences(deps, tenant, body)),
      );
      const head = { id: toResponseId(answered.id), created: seconds(deps), body };
      const keep = keeper(deps, answered.tenant, body);
      if (body.stream !== true) {
        const whole = await toResponse(head, await wholeReply(answered), keep);
        return reply.headers(cachingAnswer(answered)).send(whole);
      }
      return stream(deps, { request, reply }, { answer: answered, format: responseStream(head, keep) });
    },
  );
}

async function ask(
  deps: ServerDeps,
  { request, reply }: { request: FastifyRequest<{ Body: { stream?: boolean | undefined } }>; reply: FastifyReply },
  toCall: (caller: Caller) => Call | Promise<Call>,
): Promise<Answer & { readonly tenant: string }> {
  // Who has no key learns nothing of what is wrong with the request.
  const caller = await identify(deps, request.headers);
  // Not until the server closes: what a model says now is paid for, and closing waits for it.
  const gone = untilGone(reply.raw, neverAborts());
  const idempotencyKey = [request.headers["idempotency-key"]].flat()[0];
  const call = await toCall(caller);
  const caching = cachingOf(request, call);
  const whole = request.body.stream !== true;
  const answered = await answer(deps, { call, caller, whole, gone, caching, idempotencyKey });
  return { ...answered, tenant: caller.tenant };
}

function seconds({ clock }: ServerDeps): number {
  return Math.floor(clock.now() / 1_000);
}
