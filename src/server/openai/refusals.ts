/**
 * What these endpoints do not do. A field that would change the answer is refused by its name and never ignored; one that
 * says what holds anyway, or what changes only the price or the pace, is let pass.
 */
import { isObject } from "../../agent/json.ts";
import { InvalidInputError } from "../../platform/errors.ts";

type IsNeutral = (value: unknown) => boolean;

const never: IsNeutral = () => false;
const isFalse: IsNeutral = (value) => value === false;

/** Fields of chat completions, each with the values that change nothing. */
export const refusedInChat: Readonly<Record<string, IsNeutral>> = {
  n: (value) => value === 1,
  logprobs: isFalse,
  top_logprobs: (value) => value === 0,
  logit_bias: (value) => isObject(value) && Object.keys(value).length === 0,
  modalities: (value) => Array.isArray(value) && value.every((each) => each === "text"),
  verbosity: (value) => value === "medium",
  audio: never,
  functions: never,
  function_call: never,
  web_search_options: never,
};

/** Fields of responses. */
export const refusedInResponses: Readonly<Record<string, IsNeutral>> = {
  background: isFalse,
  conversation: never,
  prompt: never,
  max_tool_calls: never,
  top_logprobs: (value) => value === 0,
  truncation: (value) => value === "disabled",
  context_management: (value) => Array.isArray(value) && value.length === 0,
};

/** @throws InvalidInputError `unsupported_parameter` for the first field that would change the answer */
export function refuseFields(body: object, refused: Readonly<Record<string, IsNeutral>>): void {
  for (const [field, value] of Object.entries(body)) {
    if (!Object.hasOwn(refused, field) || refused[field]?.(value)) continue;
    throw unsupported(`/${field}`, `${field} is not supported with this value. Leave it out.`);
  }
}

export function unsupported(path: string, message: string): InvalidInputError {
  return new InvalidInputError("unsupported_parameter", message, path);
}

export function wrong(path: string, message: string): InvalidInputError {
  return new InvalidInputError("invalid_request", message, path);
}

/**
 * The text of what a message holds.
 * @throws InvalidInputError for a part that is no text
 */
export function textOf(content: unknown, path: string): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  return content.map((part: unknown, index) => textOfPart(part, `${path}/${index}`)).join("");
}

const textTypes: readonly unknown[] = ["text", "input_text", "output_text", "refusal"];

function textOfPart(part: unknown, path: string): string {
  const { type, text, refusal } = part as Record<string, unknown>;
  if (!textTypes.includes(type)) {
    throw unsupported(`${path}/type`, `A part of the type ${JSON.stringify(type)} is not supported: send text.`);
  }
  const said = type === "refusal" ? refusal : text;
  if (typeof said !== "string") throw wrong(`${path}/${type === "refusal" ? "refusal" : "text"}`, "It must be text.");
  return said;
}
