/** How an answer in the making is written down. */
import { HoldfastError } from "../../platform/errors.ts";
import type { SseEvent } from "../http/sse.ts";
import type { ReplyEvent } from "./call.ts";
import type { ErrorBody } from "./errors.ts";

export interface StreamFormat {
  /** Gives nothing before the first of what it is given, so that a call that fails at once can be answered by a status. */
  events(reply: AsyncIterable<ReplyEvent>): AsyncIterable<SseEvent>;
  /** The last event of an answer that broke off. */
  failure(error: ErrorBody): SseEvent;
}

/**
 * OpenAI's formats cannot say that what was sent is void. So an answer that begins anew after a part of it was sent ends as an
 * error, unless nothing was sent yet.
 * @throws HoldfastError `stream_restarted`
 */
export async function* unlessVoid(reply: AsyncIterable<ReplyEvent>): AsyncGenerator<ReplyEvent> {
  let sent = false;
  for await (const event of reply) {
    if (event.type !== "restart") {
      sent ||= event.type !== "end";
      yield event;
    } else if (sent) throw restarted();
  }
}

function restarted(): HoldfastError {
  const advice = "Discard what came and ask again, or set stream_options.include_restarts in a chat completion.";
  return new HoldfastError("stream_restarted", `The model broke off in the middle of its answer. ${advice}`, {
    retry: "now",
  });
}
