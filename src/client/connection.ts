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
  readonly method?: "GET" | "POST" | "DELETE";
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
    let response: Response;
    try {
      // Looked up at every call, so that what replaces the global one later is used.
      response = await (fetchOption ?? fetch)(`${base}${path}${toQuery(request.query)}`, {
        method,
        headers,
        ...(body !== undefined && { body: JSON.stringify(body) }),
        ...(signal !== undefined && { signal }),
      });
    } catch (error) {
      signal?.throwIfAborted();
      const message = `No answer from ${base}: ${messageOf(error)}. Is the service running?`;
      throw new HoldfastError("service_unreachable", message, { retry: { afterMs: 1_000 }, cause: error });
    }
    if (response.ok || accept.includes(response.status)) return response;
    throw await toError(response);
  }

  return {
    open,
    /** The JSON of an answer; undefined where there is none. */
    send: async <Answer>(request: ApiRequest): Promise<Answer> => {
      const response = await open(request);
      const text = await response.text();
      return (text === "" ? undefined : JSON.parse(text)) as Answer;
    },
  };
}

function toQuery(query: object = {}): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) parameters.set(name, String(value));
  return parameters.size === 0 ? "" : `?${parameters.toString()}`;
}
