/** One request to a service: JSON there and back, and every failure a HoldfastError. */
import { HoldfastError, messageOf } from "../platform/errors.ts";
import { toError } from "./problem-error.ts";

export interface ConnectionOptions {
  /** Where the service is, as in "http://127.0.0.1:4100". */
  readonly baseUrl: string;
  /** Instead of the global one. */
  readonly fetch?: typeof fetch | undefined;
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

export interface ApiRequest {
  readonly method?: "GET" | "POST" | "PUT" | "DELETE";
  readonly path: string;
  readonly query?: object | undefined;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string | undefined>>;
  readonly signal?: AbortSignal | undefined;
  /** Besides a success these statuses are answers, and no errors. */
  readonly accept?: readonly number[];
}

export type Connection = ReturnType<typeof connect>;

export function connect({ baseUrl, fetch: fetchOption, headers: ownHeaders = {} }: ConnectionOptions) {
  const base = baseUrl.replace(/\/+$/, "");

  /** @throws HoldfastError `service_unreachable`, or what the service answered; the signal's reason when it aborts */
  async function open(request: ApiRequest): Promise<Response> {
    const { method = "GET", path, body, signal, accept = [] } = request;
    const headers = new Headers(ownHeaders);
    if (body !== undefined) headers.set("content-type", "application/json");
    for (const [name, value] of Object.entries(request.headers ?? {}))
      if (value !== undefined) headers.set(name, value);
    const init: RequestInit = {
      method,
      headers,
      ...(body !== undefined && { body: JSON.stringify(body) }),
      ...(signal !== undefined && { signal }),
    };
    // Looked up at every call, so that what replaces the global one later is used.
    const url = `${base}${path}${toQuery(request.query)}`;
    const response = await received(signal, () => (fetchOption ?? fetch)(url, init));
    if (response.ok || accept.includes(response.status)) return response;
    throw await received(signal, () => toError(response));
  }

  async function received<T>(signal: AbortSignal | undefined, receive: () => Promise<T>): Promise<T> {
    try {
      return await receive();
    } catch (error) {
      signal?.throwIfAborted();
      const message = `No answer from ${base}: ${messageOf(error)}. Is the service running?`;
      throw new HoldfastError("service_unreachable", message, { retry: { afterMs: 1_000 }, cause: error });
    }
  }

  return {
    open,
    /** The JSON of an answer; undefined where there is none. */
    send: async <Answer>(request: ApiRequest): Promise<Answer> => {
      const response = await open(request);
      const text = await received(request.signal, () => response.text());
      return (text === "" ? undefined : parseAnswer(text)) as Answer;
    },
  };
}

/** A page for signing in, say, comes as a success, too. @throws HoldfastError `unexpected_answer` */
function parseAnswer(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const message = `What answered is no Holdfast, for its answer is not JSON: ${text.slice(0, 200)}`;
    throw new HoldfastError("unexpected_answer", message, { cause });
  }
}

function toQuery(query: object = {}): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) parameters.set(name, String(value));
  return parameters.size === 0 ? "" : `?${parameters.toString()}`;
}
