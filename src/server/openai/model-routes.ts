/** `GET /v1/models`, and `POST /v1/embeddings`. */
import type { FastifyInstance, FastifyRequest } from "fastify";
import { z } from "zod";
import type { Usage } from "../../agent/conversation.ts";
import type { Charge } from "../../agent/charges.ts";
import { tokensOf } from "../../agent/limits.ts";
import { chargesOfAttempts } from "../../gateway/call-charges.ts";
import type { EmbeddingReply } from "../../gateway/embeddings/embedding-gateway.ts";
import { ModelCallError } from "../../gateway/model-gateway.ts";
import { allows } from "../../governance/virtual-keys.ts";
import { neverAborts } from "../../platform/abort.ts";
import { HoldfastError } from "../../platform/errors.ts";
import { documented } from "../http/documented.ts";
import { untilGone, type ServerDeps } from "../http/server-deps.ts";
import { totalOf, writeAccount } from "./account.ts";
import { identify, requireAllowed, reserve, type Caller } from "./caller.ts";
import { bodyLimitBytes } from "./chat-routes.ts";
import { dropNulls } from "./errors.ts";
import { openaiProblems } from "./open-api.ts";
import { unsupported } from "./refusals.ts";
import { embeddingBody, type EmbeddingBody } from "./request-schemas.ts";
import { targetNames, targetOf } from "./targets.ts";

const model = z
  .object({ id: z.string(), object: z.literal("model"), created: z.int(), owned_by: z.string() })
  .meta({ title: "Model" });
const modelParams = z.object({ model: z.string().min(1).max(300) });

export function modelRoutes(app: FastifyInstance, deps: ServerDeps): void {
  const { service, clock } = deps;
  const created = Math.floor(clock.now() / 1_000);
  const describe = (id: string) => {
    return { id, object: "model", created, owned_by: id.includes("/") ? id.slice(0, id.indexOf("/")) : "holdfast" };
  };

  app.get(
    "/v1/models",
    {
      schema: documented({
        tag: "models",
        summary: "The models that are known by name, those a key may be used for",
        description: "Any other model of a provider that is set up may be asked for as well, by `provider/model`.",
        answers: {
          200: { description: "All of them.", schema: z.object({ object: z.literal("list"), data: z.array(model) }) },
        },
        ...openaiProblems,
      }),
    },
    async ({ headers }) => {
      const { key } = await identify(deps, headers);
      const names = targetNames(service).filter((name) => key === null || allows(key, name));
      return { object: "list", data: names.map(describe) };
    },
  );

  app.get<{ Params: z.infer<typeof modelParams> }>(
    "/v1/models/:model",
    {
      schema: documented({
        tag: "models",
        summary: "A model; the slashes of its name are written %2F",
        params: modelParams,
        answers: { 200: { description: "It can be called.", schema: model } },
        ...openaiProblems,
      }),
    },
    async ({ headers, params }) => {
      requireAllowed(await identify(deps, headers), params.model);
      targetOf(service, params.model);
      return describe(params.model);
    },
  );

  embeddingRoute(app, deps);
}

function embeddingRoute(app: FastifyInstance, deps: ServerDeps): void {
  app.post<{ Body: EmbeddingBody }>(
    "/v1/embeddings",
    {
      bodyLimit: bodyLimitBytes,
      preValidation: async ({ body }: FastifyRequest) => dropNulls(body),
      schema: documented({
        tag: "models",
        summary: "Texts as vectors",
        body: embeddingBody,
        answers: { 200: { description: "The embeddings.", schema: z.record(z.string(), z.unknown()) } },
        ...openaiProblems,
      }),
    },
    async ({ body, headers }, reply) => {
      const caller = await identify(deps, headers);
      requireAllowed(caller, body.model);
      const texts = textsOf(body.input);
      const signal = untilGone(reply.raw, neverAborts());
      const { vectors, usage } = await embed(deps, { caller, body, texts, signal });
      return {
        object: "list",
        model: body.model,
        data: vectors.map((vector, index) => ({
          object: "embedding",
          index,
          embedding: body.encoding_format === "base64" ? toBase64(vector) : vector,
        })),
        usage: { prompt_tokens: usage.input, total_tokens: usage.input },
      };
    },
  );
}

/** @throws InvalidInputError for tokens instead of text: each model has its own */
function textsOf(input: EmbeddingBody["input"]): string[] {
  return [input].flat().map((text, index) => {
    if (typeof text === "string") return text;
    throw unsupported(`/input/${index}`, "Tokens are not taken: send the text.");
  });
}

interface Embedding {
  readonly caller: Caller;
  readonly body: EmbeddingBody;
  readonly texts: readonly string[];
  readonly signal: AbortSignal;
}

async function embed(deps: ServerDeps, { caller, body, texts, signal }: Embedding): Promise<EmbeddingReply> {
  const { models } = deps.service;
  const { model, dimensions } = body;
  const expected: Usage = { input: sizeOf(texts), cached: 0, output: 0, reasoning: 0, estimated: true };
  const at = deps.clock.now();
  const priceOf = (usage: Usage): number | null => models.prices.costMicros(model, usage, { at });
  const reservation = await reserve(deps, caller, () => ({ micros: priceOf(expected), tokens: expected.input }));
  let charges: readonly Charge[] = [];
  try {
    const embedded = await models.embeddings.embed({ model, texts, dimensions, tenant: caller.tenant, signal });
    const { usage, attempts } = embedded;
    charges = [...chargesOfAttempts(attempts, at), { model, code: null, at, usage, costMicros: priceOf(usage) }];
    return embedded;
  } catch (error) {
    if (error instanceof ModelCallError) charges = chargesOfAttempts(error.attempts, at);
    throw signal.aborted ? new HoldfastError("request_aborted", "The client has gone.") : error;
  } finally {
    const owner = { tenant: caller.tenant, agent: null, sessionId: null, userId: body.user ?? null };
    const rows = charges.map((charge) => ({ ...charge, ...owner, id: deps.newId(), keyId: caller.key?.id ?? null }));
    await writeAccount(deps, { rows, reservation, ...totalOf(charges) });
  }
}

function sizeOf(texts: readonly string[]): number {
  return tokensOf(texts.reduce((sum, text) => sum + text.length, 0));
}

/** 32-bit floats, little-endian: what OpenAI's clients ask for by themselves. */
function toBase64(vector: readonly number[]): string {
  const bytes = Buffer.alloc(vector.length * 4);
  vector.forEach((value, index) => bytes.writeFloatLE(value, index * 4));
  return bytes.toString("base64");
}
