/**
 * What a provider says of its limits with every reply: `x-ratelimit-*` as OpenAI, Azure, Groq, xAI and others have them, and
 * `anthropic-ratelimit-*`.
 *
 * When a limit resets is not read: the providers mean different things by it. Some send a limit of requests per day under
 * the name that others use for one per minute; taken for one per minute it is too high and does no harm, and what remains of
 * it is true of either.
 */

export interface SaidLimit {
  readonly limit: number;
  /** Null: it does not say. */
  readonly remaining: number | null;
}

export interface SaidLimits {
  readonly requests: SaidLimit | null;
  /** Input and output together. */
  readonly tokens: SaidLimit | null;
}

type Headers = Readonly<Record<string, string>>;

/** @returns null where the reply says nothing of limits */
export function saidLimits(headers: Headers): SaidLimits | null {
  const requests = pair(headers, "anthropic-ratelimit-requests") ?? xPair(headers, "requests");
  const tokens = anthropicTokens(headers) ?? xPair(headers, "tokens");
  return requests === null && tokens === null ? null : { requests, tokens };
}

function xPair(headers: Headers, what: string): SaidLimit | null {
  const limit = positive(headers[`x-ratelimit-limit-${what}`]);
  return limit === null ? null : { limit, remaining: natural(headers[`x-ratelimit-remaining-${what}`]) };
}

function pair(headers: Headers, name: string): SaidLimit | null {
  const limit = positive(headers[`${name}-limit`]);
  return limit === null ? null : { limit, remaining: natural(headers[`${name}-remaining`]) };
}

/** Input and output have limits of their own: we keep to their sum, and to the one of which less remains. */
function anthropicTokens(headers: Headers): SaidLimit | null {
  const input = pair(headers, "anthropic-ratelimit-input-tokens");
  const output = pair(headers, "anthropic-ratelimit-output-tokens");
  if (input === null || output === null) return pair(headers, "anthropic-ratelimit-tokens");
  const limit = input.limit + output.limit;
  const parts = [input, output].flatMap((each) => (each.remaining === null ? [] : [each.remaining / each.limit]));
  return { limit, remaining: parts.length === 0 ? null : Math.floor(limit * Math.min(...parts)) };
}

function natural(text: string | undefined): number | null {
  const value = Number.parseFloat(text ?? "");
  return Number.isFinite(value) && value >= 0 ? value : null;
}

function positive(text: string | undefined): number | null {
  const value = natural(text);
  return value === 0 ? null : value;
}
