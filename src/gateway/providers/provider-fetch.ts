/**
 * The `fetch` that the provider packages send their calls with: a POST of text straight through undici's pool of connections.
 *
 * Node's own `fetch` makes a stream of the web and four objects around it for every call, which takes three times as long as
 * the call itself. Here a reply is what the packages read of one: its status, its headers, and a body that gives what has
 * come. What arrived while nobody read is given in one piece, so a reader that is late has fewer pieces to look at. Whatever
 * else is asked for (another method, a body that is no text, a reply that leads elsewhere) is left to Node's `fetch`.
 *
 * There are no time limits here: those of a call are kept by whoever makes it, who aborts it.
 */
import { Agent, type Dispatcher } from "undici";

export type ProviderFetch = typeof globalThis.fetch;

/** Bytes that may wait to be read; the connection is not read on before some of them are. */
const mostWaitingBytes = 1_048_576;

/** Each has connections of its own, which are kept open for a few seconds after a call; they keep no process alive. */
export function createProviderFetch(): ProviderFetch {
  // Made with the first call: many providers are only asked whether a model is there.
  let agent: Agent | undefined;
  return (input, init = {}) =>
    typeof input === "string" && init.method === "POST" && typeof init.body === "string"
      ? post((agent ??= new Agent({ headersTimeout: 0, bodyTimeout: 0 })), { url: input, init, body: init.body })
      : globalThis.fetch(input, init);
}

interface Post {
  readonly url: string;
  readonly init: RequestInit;
  readonly body: string;
}

function post(agent: Agent, { url, init, body }: Post): Promise<Response> {
  const { origin, pathname, search } = new URL(url);
  const headers = { ...(init.headers as Record<string, string>), "accept-encoding": "identity" };
  return new Promise((resolve, reject) => {
    const exchange = new Exchange(init.signal ?? null, (failure, head) => {
      if (head === null) reject(failure);
      else if (leadsElsewhere(head.status)) {
        exchange.leave();
        resolve(globalThis.fetch(url, init));
      } else resolve(readable(new Reply(head, exchange)));
    });
    agent.dispatch({ origin, path: pathname + search, method: "POST", headers, body }, exchange);
  });
}

/** Those after which the same request is made elsewhere. */
function leadsElsewhere(status: number): boolean {
  return status === 307 || status === 308;
}

interface Head {
  readonly status: number;
  readonly statusText: string;
  readonly headers: ReplyHeaders;
}

type Piece = { readonly done: false; readonly value: Uint8Array } | { readonly done: true; readonly value: undefined };

interface Reading {
  readonly resolve: (piece: Piece) => void;
  readonly reject: (reason: unknown) => void;
}

/** One request and its reply, as the pool tells of them. */
class Exchange implements Dispatcher.DispatchHandler {
  readonly #signal: AbortSignal | null;
  readonly #onHead: (failure: unknown, head: Head | null) => void;
  #controller: Dispatcher.DispatchController | null = null;
  #begun = false;
  #isOver = false;
  #failure: { readonly reason: unknown } | null = null;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #reading: Reading | null = null;

  constructor(signal: AbortSignal | null, onHead: (failure: unknown, head: Head | null) => void) {
    this.#signal = signal;
    this.#onHead = onHead;
    if (signal?.aborted === true) this.#fail(signal.reason);
    else signal?.addEventListener("abort", this.#onAbort);
  }

  readonly #onAbort = (): void => {
    this.#fail(this.#signal?.reason);
    this.leave();
  };

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#isOver) this.leave();
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    ...[fields, statusText = ""]: [fields: HeaderFields, statusText?: string]
  ): void {
    // "Continue" and the like are no reply yet.
    if (status < 200 || this.#isOver) return;
    this.#begun = true;
    this.#onHead(null, { status, statusText, headers: new ReplyHeaders(fields) });
  }

  onResponseData(controller: Dispatcher.DispatchController, piece: Uint8Array): void {
    if (this.#isOver) return;
    this.#waiting.push(piece);
    this.#waitingBytes += piece.length;
    if (this.#reading !== null) this.#give(this.#reading);
    else if (this.#waitingBytes > mostWaitingBytes) controller.pause();
  }

  onResponseEnd(): void {
    this.#end();
    this.#reading?.resolve(theEnd);
  }

  onResponseError(_controller: Dispatcher.DispatchController, cause: Error): void {
    // In the words of Node's `fetch`, by which the packages know a connection that failed.
    this.#fail(new TypeError(this.#begun ? "terminated" : "fetch failed", { cause }));
  }

  read(): Promise<Piece> {
    return new Promise((resolve, reject) => {
      if (this.#waitingBytes > 0) this.#give({ resolve, reject });
      else if (this.#failure !== null) reject(this.#failure.reason);
      else if (this.#isOver) resolve(theEnd);
      else this.#reading = { resolve, reject };
    });
  }

  /** Nobody reads on: the connection is closed, unless all was read. */
  leave(): void {
    const wasOver = this.#isOver && this.#failure === null;
    this.#end();
    if (!wasOver) this.#controller?.abort(left);
  }

  #give({ resolve }: Reading): void {
    const pieces = this.#waiting;
    const value = pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces, this.#waitingBytes);
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#reading = null;
    if (this.#controller?.paused === true) this.#controller.resume();
    resolve({ done: false, value });
  }

  #fail(reason: unknown): void {
    if (this.#isOver) return;
    this.#end();
    this.#failure = { reason };
    if (!this.#begun) this.#onHead(reason, null);
    this.#reading?.reject(reason);
  }

  #end(): void {
    this.#isOver = true;
    this.#signal?.removeEventListener("abort", this.#onAbort);
  }
}

const theEnd: Piece = { done: true, value: undefined };
/** Made once: the stack of an error that nobody reads takes longer than the rest. */
const left = new Error("The reply is not read on.");

/** Names are in lower case. */
type HeaderFields = Readonly<Record<string, string | string[] | undefined>>;

/** Of `Headers`, what the packages look at. */
class ReplyHeaders {
  readonly #fields: HeaderFields;

  constructor(fields: HeaderFields) {
    this.#fields = fields;
  }

  get(name: string): string | null {
    const value = this.#fields[name.toLowerCase()];
    return value === undefined ? null : textOf(value);
  }

  has(name: string): boolean {
    return this.get(name) !== null;
  }

  *[Symbol.iterator](): Generator<[string, string]> {
    for (const [name, value] of Object.entries(this.#fields)) if (value !== undefined) yield [name, textOf(value)];
  }
}

function textOf(value: string | string[]): string {
  return typeof value === "string" ? value : value.join(", ");
}

/** Of `Response`, what the packages look at. */
class Reply {
  readonly status: number;
  readonly statusText: string;
  readonly ok: boolean;
  readonly headers: ReplyHeaders;
  readonly body: ReplyBody;

  constructor({ status, statusText, headers }: Head, exchange: Exchange) {
    this.status = status;
    this.statusText = statusText;
    this.ok = status < 300;
    this.headers = headers;
    this.body = new ReplyBody(exchange);
  }
}

/** Of a `ReadableStream`, what the packages do with one: they read it, and make one of their own of what they read. */
class ReplyBody {
  readonly #exchange: Exchange;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
  }

  getReader() {
    return { read: () => this.#exchange.read(), cancel: () => this.cancel(), releaseLock: () => {} };
  }

  cancel(): Promise<void> {
    this.#exchange.leave();
    return Promise.resolve();
  }
}

/** None was asked for, but some servers pack their replies all the same: then it is read by Node's own means. */
function readable(reply: Reply): Response {
  const packing = reply.headers.get("content-encoding");
  if (packing !== "gzip" && packing !== "deflate") return reply as unknown as Response;
  const { status, statusText } = reply;
  const packed = new ReadableStream<Uint8Array<ArrayBuffer>>({
    async pull(controller) {
      const { done, value } = await reply.body.getReader().read();
      if (done) controller.close();
      else controller.enqueue(new Uint8Array(value));
    },
    cancel: () => reply.body.cancel(),
  });
  const body = packed.pipeThrough(new DecompressionStream(packing));
  return new Response(body, { status, statusText, headers: [...reply.headers] });
}
