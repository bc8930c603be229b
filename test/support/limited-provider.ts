/**
 * A provider that counts as the strictest of them: no more than so many requests and tokens in any window of time, however
 * it is laid. What goes beyond is refused with 429 and the time to wait. A request is `{tokens}`, what it will have used.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

export interface ProviderLimits {
  readonly windowMs: number;
  readonly requests: number;
  readonly tokens: number;
}

export interface Arrival {
  /** Monotonic milliseconds. */
  readonly at: number;
  readonly tokens: number;
  readonly refused: boolean;
}

export interface LimitedProvider extends AsyncDisposable {
  readonly url: string;
  readonly arrivals: readonly Arrival[];
}

export interface LimitedProviderOptions extends ProviderLimits {
  /** Tells its limits in the headers of every reply. */
  readonly headers: boolean;
  /** Of a reply. */
  readonly latencyMs: number;
}

export async function startLimitedProvider(options: LimitedProviderOptions): Promise<LimitedProvider> {
  const arrivals: Arrival[] = [];
  const count = createSlidingCount(options);
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString()));
    request.on("end", () => {
      const at = performance.now();
      const { tokens } = JSON.parse(body) as { tokens: number };
      const { waitMs, requests, tokens: used } = count(at, tokens);
      arrivals.push({ at, tokens, refused: waitMs > 0 });
      const headers: Record<string, string> = options.headers
        ? {
            "x-ratelimit-limit-requests": String(options.requests),
            "x-ratelimit-limit-tokens": String(options.tokens),
            "x-ratelimit-remaining-requests": String(options.requests - requests),
            "x-ratelimit-remaining-tokens": String(options.tokens - used),
          }
        : {};
      if (waitMs > 0) response.writeHead(429, { ...headers, "retry-after-ms": String(Math.ceil(waitMs)) }).end();
      else setTimeout(() => response.writeHead(200, headers).end(), options.latencyMs);
    });
  });
  await new Promise<void>((listening) => void server.listen(0, "127.0.0.1", listening));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    arrivals,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}

function createSlidingCount({ windowMs, requests: mostRequests, tokens: mostTokens }: ProviderLimits) {
  const counted: { at: number; tokens: number }[] = [];
  let used = 0;
  return (at: number, tokens: number): { waitMs: number; requests: number; tokens: number } => {
    while (counted[0] !== undefined && counted[0].at <= at - windowMs) used -= counted.shift()!.tokens;
    const fits = counted.length + 1 <= mostRequests && used + tokens <= mostTokens;
    if (fits) {
      counted.push({ at, tokens });
      used += tokens;
    }
    const waitMs = fits ? 0 : Math.max(1, (counted[0]?.at ?? at) + windowMs - at);
    return { waitMs, requests: counted.length, tokens: used };
  };
}

export interface WindowUse {
  /** The most that arrived in any window, refused or not, as shares of the limits. */
  readonly worstRequests: number;
  readonly worstTokens: number;
  /** What was accepted in a window, on average over all windows, as the greater of both shares. */
  readonly used: number;
  /** Of all requests. */
  readonly refused: number;
  readonly arrivals: number;
}

/** How arrivals between two times used the limits. */
export function useOfWindows(
  all: readonly Arrival[],
  { windowMs, requests, tokens }: ProviderLimits,
  { from, to }: { from: number; to: number },
): WindowUse {
  const arrivals = all.filter(({ at }) => at >= from && at < to);
  let [first, inWindow, tokensInWindow, worstRequests, worstTokens] = [0, 0, 0, 0, 0];
  for (const { at, tokens: more } of arrivals) {
    inWindow += 1;
    tokensInWindow += more;
    for (; arrivals[first]!.at <= at - windowMs; first++) {
      inWindow -= 1;
      tokensInWindow -= arrivals[first]!.tokens;
    }
    worstRequests = Math.max(worstRequests, inWindow / requests);
    worstTokens = Math.max(worstTokens, tokensInWindow / tokens);
  }
  const accepted = arrivals.filter(({ refused }) => !refused);
  // Every arrival counts in as many windows as there are between the two times that it lies in.
  const positions = to - from - windowMs;
  const share = ({ at }: Arrival): number =>
    Math.max(0, Math.min(at + windowMs, to) - Math.max(at, from + windowMs)) / positions;
  const usedRequests = accepted.reduce((sum, arrival) => sum + share(arrival), 0);
  const usedTokens = accepted.reduce((sum, arrival) => sum + share(arrival) * arrival.tokens, 0);
  return {
    worstRequests,
    worstTokens,
    used: Math.max(usedRequests / requests, usedTokens / tokens),
    refused: 1 - accepted.length / Math.max(1, arrivals.length),
    arrivals: arrivals.length,
  };
}
