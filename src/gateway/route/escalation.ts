/**
 * How a small model that is asked first gives way to a larger one. It does so when
 *
 *   it says so itself: it is told to answer with a marker, and nothing else, where it is not sure
 *   its answer is no answer: it is empty, or was cut off because it grew too long
 *   its answer is refused by whoever checks it: invalid arguments of a tool, a wrong shape, a judge's verdict
 *
 * What a model says of its own confidence is worth little in percent; whether it dares to answer at all is a question it
 * can be asked on every wire. The marker is held back, so that nobody sees it.
 */
import { textOf, type Delta } from "../../agent/conversation.ts";
import type { ModelReply, ModelRequest } from "../model-gateway.ts";

const marker = "[[ESCALATE]]";

const instruction =
  "If you are not confident that you can do the next step well, or if it needs more knowledge or reasoning than you have, " +
  `answer with nothing but ${marker} and a stronger model will take over.`;

/** The request as a model sees it that may give way. */
export function mayGiveWay(request: ModelRequest): ModelRequest {
  return { ...request, system: request.system === "" ? instruction : `${request.system}\n\n${instruction}` };
}

/** Passes on text only once it can no longer become the marker; `flush` says that it has not. */
export function holdBackMarker(onDelta: (delta: Delta) => void): {
  readonly onDelta: (delta: Delta) => void;
  readonly flush: () => void;
} {
  let held: string | null = "";
  const flush = (): void => {
    if (held) onDelta({ type: "text", text: held });
    held = null;
  };
  return {
    flush,
    onDelta(delta) {
      if (held === null || delta.type !== "text") return onDelta(delta);
      held += delta.text;
      const begun = held.trimStart();
      if (!marker.startsWith(begun) && !begun.startsWith(marker)) flush();
    },
  };
}

/** @returns why this answer does not count; null: it does */
export async function whyToEscalate(
  reply: Pick<ModelReply, "parts" | "finish">,
  { check }: Pick<ModelRequest, "check">,
): Promise<string | null> {
  const text = textOf(reply.parts).trim();
  if (text.startsWith(marker)) return "It was not confident.";
  if (reply.finish === "length") return "Its answer was cut off because it grew too long.";
  const calls = reply.parts.some((part) => part.type === "call");
  if (text === "" && !calls) return "Its answer was empty.";
  const refusal = (await check?.(reply.parts)) ?? null;
  return refusal === null ? null : `Its answer was refused: ${refusal}`;
}
