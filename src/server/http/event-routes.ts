/** `GET /tasks/{id}/events`: a task as it happens. Only entries have an id, so a reader resumes between entries. */
import type { FastifyInstance } from "fastify";
import type { z } from "zod";
import type { Entry } from "../../agent/journal.ts";
import { hasEnded } from "../../engine/agent-result.ts";
import type { TaskAddress, TaskEvent } from "../../engine/watch.ts";
import { InvalidInputError, messageOf } from "../../platform/errors.ts";
import { documented } from "./documented.ts";
import { eventHeaders, eventQuery, idParams, mostSeq } from "./request-schemas.ts";
import { addressOf, untilGone, type ServerDeps } from "./server-deps.ts";
import { sendEvents, streamHeaders, type SseEvent } from "./sse.ts";
import { toWireEntry, toWireResult } from "./wire.ts";

interface EventRequest {
  Params: z.infer<typeof idParams>;
  Querystring: z.infer<typeof eventQuery>;
  Headers: z.infer<typeof eventHeaders>;
}

/** How long a reader waits before it connects again. */
const retryMs = 1_000;

const description = `Server-sent events. \`entry\` (a journal entry, with its \`seq\` as the id), \`delta\` (a piece of the answer in \
the making), \`partial\` (all of it so far; it replaces what deltas brought), \`result\` (the end; the stream ends too).

A reader that resumes with \`Last-Event-ID\` misses no entry and gets none twice. If that is the last entry of a task that \
has ended the answer is 204, which tells an EventSource to stop.`;

export function eventRoutes(app: FastifyInstance, deps: ServerDeps): void {
  const { service, closing, clock, stream } = deps;
  const { engine, log, metrics } = service;
  app.get<EventRequest>(
    "/tasks/:id/events",
    {
      exposeHeadRoute: false,
      schema: documented({
        tag: "tasks",
        summary: "The events of a task as they happen",
        description,
        params: idParams,
        query: eventQuery,
        headers: eventHeaders,
        answers: {
          200: { description: "The stream.", contentType: "text/event-stream" },
          204: { description: "There is nothing after `Last-Event-ID`, and there will not be." },
        },
        problems: [404],
      }),
    },
    async ({ params, query, headers, id: requestId }, reply) => {
      const address = addressOf(params.id);
      const lastId = lastEventId(headers["last-event-id"]);
      // Before the stream begins, so that an unknown task is a 404.
      const row = await engine.task(address);
      if (lastId !== undefined && hasEnded(row) && (await isLast(deps, address, lastId))) return reply.code(204).send();
      reply.hijack();
      // A closing server must not wait for a connection that was a stream to be used again.
      reply.raw.writeHead(200, { ...streamHeaders(requestId), connection: "close" });
      const signal = untilGone(reply.raw, closing);
      const events = engine.watch({ ...address, afterSeq: lastId ?? query.after ?? 0, signal });
      metrics.streamOpened();
      try {
        await sendEvents(reply.raw, toSse(events), { ...stream, clock, retryMs });
      } catch (error) {
        // The stream has ended without a result: the reader connects again.
        log.warn({ task: address.taskId, error: messageOf(error) }, "an event stream broke");
      } finally {
        metrics.streamClosed();
      }
      return reply;
    },
  );
}

function lastEventId(text: string | undefined): number | undefined {
  if (text === undefined || text === "") return undefined;
  const seq = Number(text);
  if (seq <= mostSeq) return seq;
  const path = "/headers/last-event-id";
  throw new InvalidInputError("invalid_request", `${path} is ${text}, which is beyond any entry.`, path);
}

async function isLast({ service }: ServerDeps, address: TaskAddress, seq: number): Promise<boolean> {
  const entries = await service.engine.journal({ ...address, afterSeq: Math.max(0, seq - 1), limit: 2 });
  return entries.length === 1 && entries[0]?.seq === seq;
}

/** Many read the same entry: it is spelled once. */
const spelledEntries = new WeakMap<Entry, SseEvent>();

function entryEvent(entry: Entry): SseEvent {
  const known = spelledEntries.get(entry);
  if (known !== undefined) return known;
  const event: SseEvent = { event: "entry", data: JSON.stringify(toWireEntry(entry)), id: entry.seq };
  spelledEntries.set(entry, event);
  return event;
}

async function* toSse(events: AsyncIterable<TaskEvent>): AsyncGenerator<SseEvent> {
  for await (const event of events) {
    switch (event.type) {
      case "entry":
        yield entryEvent(event.entry);
        break;
      case "delta":
        yield { event: "delta", data: JSON.stringify(event.delta) };
        break;
      case "partial":
        yield { event: "partial", data: JSON.stringify({ text: event.text }) };
        break;
      case "result":
        yield { event: "result", data: JSON.stringify(toWireResult(event.result)) };
        break;
    }
  }
}
