/**
 * JSON text that Postgres accepts as jsonb. It refuses the character U+0000 and lone surrogates, both of which models and
 * tools produce now and then; they are stored as U+FFFD, the replacement character. Everything else is kept as it is.
 */
import { assert } from "../platform/errors.ts";

export function encodeJson(value: unknown): string {
  const text = JSON.stringify(value) as string | undefined;
  assert(text !== undefined, `A value of type ${typeof value} has no JSON text.`);
  return suspicious.test(text) ? text.replaceAll(anyEscape, replaceRefused) : text;
}

/** The same for plain text. */
export function encodeText(text: string): string {
  return text.toWellFormed().replaceAll("\0", "\ufffd");
}

// JSON.stringify writes U+0000 and lone surrogates, and no other surrogates, as escapes in lower case. This may also
// match the text of an escape that is itself escaped, so it only decides whether to look closely.
const suspicious = /\\u(?:0000|d[89a-f])/;

// Takes every escape whole, so that the second backslash of an escaped backslash never begins one.
const anyEscape = /\\(?:u[0-9a-f]{4}|.)/g;

function replaceRefused(escape: string): string {
  return suspicious.test(escape) ? "\ufffd" : escape;
}
