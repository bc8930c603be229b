/** Gives an answer to its client: whole, or as it is made. */
import type { FastifyReply, FastifyRequest } from "fastify";
import { assert, messageOf } from "../../platform/errors.ts";
import type { ServerDeps } from "../http/server-deps.ts";
import { sendEvents, streamHeaders, type SseEvent } from "../http/sse.ts";
import { cachingAnswer } from "./answer-caching.ts";
import type { Answer } from "./asked.ts";
import type { Reply } from "./call.ts";
import { toOpenAiError } from "./errors.ts";
import type { StreamFormat } from "./stream-format.ts";

/** What the events of an answer come to. */
export async function wholeReply({ events }: Answer): Promise<Reply> {
  let reply: Reply | undefined;
  for await (const event of events) if (event.type === "end") reply = event.reply;
  assert(reply !== undefined, "An answer ends with its end, or throws.");
  return reply;
}

/**
 * Sends the answer as server-sent events. The status waits for the first of them, at most as long as a connection may be
 * silent, so that a call that fails at once is answered by what is wrong with it.
 */
export async function stream(
  deps: ServerDeps,
  { request, reply }: { request: FastifyRequest; reply: FastifyReply },
  { answer, format }: { answer: Answer; format: StreamFormat },
): Promise<FastifyReply> {
  const { clock, service } = deps;
  const events = format.events(answer.events)[Symbol.asyncIterator]();
  const first = events.next();
  await firstOrSilence(deps, first);
  reply.hijack();
  reply.raw.writeHead(200, { ...streamHeaders(request.id), ...cachingAnswer(answer) });
  const toFailure = (error: unknown): SseEvent => {
    service.log.warn({ request: request.id, error: messageOf(error) }, "an answer broke off");
    return format.failure(toOpenAiError(error, request.id).error);
  };
  service.metrics.streamOpened();
  try {
    await sendEvents(reply.raw, withFailure({ first, events }, toFailure), { ...deps.stream, clock });
  } finally {
    service.metrics.streamClosed();
  }
  return reply;
}

async function firstOrSilence({ clock, stream: pace }: ServerDeps, first: Promise<unknown>): Promise<void> {
  const silence = Promise.withResolvers<void>();
  const cancel = clock.timer(pace.heartbeatMs, silence.resolve);
  try {
    await Promise.race([first, silence.promise]);
  } finally {
    cancel();
  }
}

interface Begun {
  readonly first: Promise<IteratorResult<SseEvent>>;
  readonly events: AsyncIterator<SseEvent>;
}

/** An answer that breaks off says so in its last event. */
async function* withFailure(
  { first, events }: Begun,
  toFailure: (error: unknown) => SseEvent,
): AsyncGenerator<SseEvent> {
  try {
    for (let next = await first; next.done !== true; next = await events.next()) yield next.value;
  } catch (error) {
    yield toFailure(error);
  } finally {
    await events.return?.();
  }
}
