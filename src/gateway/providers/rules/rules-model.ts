/**
 * `rules/default`: a deterministic model in the process. It picks tools by matching the request against their
 * descriptions and schemas, fills arguments that it finds in the text and in earlier results, and answers from the
 * results. It is what an agent runs on without any key, and the last rung of a route; it says so in its answers.
 *
 * It keeps nothing between calls, reads no clock and draws no random numbers: equal prompts get equal answers.
 */
import type {
  LanguageModelV4,
  LanguageModelV4CallOptions,
  LanguageModelV4Content,
  LanguageModelV4GenerateResult,
  LanguageModelV4StreamPart,
  LanguageModelV4Usage,
  SharedV4Warning,
} from "@ai-sdk/provider";

import { assert } from "../../../platform/errors.ts";
import { answerText } from "./answer.ts";
import { readDialogue } from "./dialogue.ts";
import { nextMove } from "./plan.ts";

const charactersPerToken = 4;

export function createRulesModel(): LanguageModelV4 {
  return {
    specificationVersion: "v4",
    provider: "rules",
    modelId: "default",
    supportedUrls: {},
    doStream: async (options) => {
      options.abortSignal?.throwIfAborted();
      return { stream: streamOf(reply(options), options.abortSignal) };
    },
    doGenerate: async (options) => {
      options.abortSignal?.throwIfAborted();
      return fold(reply(options));
    },
  };
}

function* reply(options: LanguageModelV4CallOptions): Generator<LanguageModelV4StreamPart> {
  yield { type: "stream-start", warnings: warningsFor(options) };
  yield { type: "response-metadata", modelId: "default" };
  const dialogue = readDialogue(options);
  const move = nextMove(dialogue);
  const written = move.kind === "call" ? "" : answerText(move, dialogue);
  const limit = (options.maxOutputTokens ?? Infinity) * charactersPerToken;
  const text = written.slice(0, limit);
  if (text !== "") yield* textParts(text);
  let length = text.length;
  for (const [index, { tool, input }] of (move.kind === "call" ? move.calls : []).entries()) {
    const json = JSON.stringify(input);
    length += tool.name.length + json.length;
    yield* callParts({ id: `call_${dialogue.nextCallNumber + index}`, name: tool.name, json });
  }
  const unified = move.kind === "call" ? "tool-calls" : text.length < written.length ? "length" : "stop";
  yield { type: "finish", finishReason: { unified, raw: undefined }, usage: usageOf(options, length) };
}

function* textParts(text: string): Generator<LanguageModelV4StreamPart> {
  yield { type: "text-start", id: "text_1" };
  for (const [delta] of text.matchAll(/\s*\S+|\s+$/gu)) yield { type: "text-delta", id: "text_1", delta };
  yield { type: "text-end", id: "text_1" };
}

function* callParts({
  id,
  name,
  json,
}: {
  id: string;
  name: string;
  json: string;
}): Generator<LanguageModelV4StreamPart> {
  yield { type: "tool-input-start", id, toolName: name };
  yield { type: "tool-input-delta", id, delta: json };
  yield { type: "tool-input-end", id };
  yield { type: "tool-call", toolCallId: id, toolName: name, input: json };
}

function warningsFor({ responseFormat }: LanguageModelV4CallOptions): SharedV4Warning[] {
  return responseFormat?.type === "json" ? [{ type: "unsupported", feature: "responseFormat" }] : [];
}

function usageOf({ prompt, tools }: LanguageModelV4CallOptions, outputLength: number): LanguageModelV4Usage {
  const input = Math.ceil((JSON.stringify(prompt).length + JSON.stringify(tools ?? []).length) / charactersPerToken);
  const output = Math.ceil(outputLength / charactersPerToken);
  return {
    inputTokens: { total: input, noCache: input, cacheRead: 0, cacheWrite: 0 },
    outputTokens: { total: output, text: output, reasoning: 0 },
  };
}

/** Parts go out as they are asked for, so that a reader that stops costs nothing more. */
function streamOf(
  parts: Generator<LanguageModelV4StreamPart>,
  signal?: AbortSignal,
): ReadableStream<LanguageModelV4StreamPart> {
  return new ReadableStream({
    pull(controller) {
      signal?.throwIfAborted();
      const next = parts.next();
      if (next.done === true) controller.close();
      else controller.enqueue(next.value);
    },
  });
}

/** A reply in one piece is its stream, gathered. */
function fold(parts: Iterable<LanguageModelV4StreamPart>): LanguageModelV4GenerateResult {
  const content: LanguageModelV4Content[] = [];
  let text = "";
  let result: Pick<LanguageModelV4GenerateResult, "finishReason" | "usage"> | null = null;
  let warnings: SharedV4Warning[] = [];
  for (const part of parts) {
    if (part.type === "stream-start") warnings = part.warnings;
    else if (part.type === "text-delta") text += part.delta;
    else if (part.type === "text-end") content.push({ type: "text", text });
    else if (part.type === "tool-call") content.push(part);
    else if (part.type === "finish") result = { finishReason: part.finishReason, usage: part.usage };
  }
  assert(result !== null, "A stream of the rules model must end with its finish part.");
  return { content, ...result, warnings, response: { modelId: "default" } };
}
