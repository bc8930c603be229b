/** A whole service in the process of a test: the engine on an embedded database, a scripted model, a real HTTP server. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { createClient, type AgentResult, type Client, type TaskEvent } from "../../src/client/index.ts";
import type { HoldfastConfig } from "../../src/config.ts";
import type { ModelGateway } from "../../src/gateway/model-gateway.ts";
import { createHoldfast, type Holdfast, type HoldfastOptions } from "../../src/holdfast.ts";
import { readSettings } from "../../src/platform/settings.ts";
import { createHttpServer, type HttpServer, type HttpServerOptions } from "../../src/server/http/server.ts";
import { openPglite } from "../../src/store/pglite.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import { migratedSnapshot } from "./databases.ts";
import { answerChecker, type OpenApi } from "./documented-answers.ts";
import { deskConfig } from "./obedient-model.ts";

export interface TestService {
  readonly url: string;
  readonly document: OpenApi;
  readonly client: Client;
  readonly holdfast: Holdfast;
  readonly server: HttpServer;
  /** A request as it is; a body that is no text is sent as JSON. The answer must be as /openapi.json says. */
  readonly call: (method: string, path: string, options?: CallOptions) => Promise<Called>;
  /** All events of a task until it has ended. */
  events(taskId: string): Promise<TaskEvent[]>;
  /** What a task came to, when it has ended. */
  result(taskId: string): Promise<AgentResult>;
  /** The number of rows in everything that a request may write. */
  readonly countRows: () => Promise<Record<string, number>>;
  close(): Promise<void>;
}

export interface CallOptions {
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
}

export interface Called {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // A test knows what it asked for.
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly json: any;
}

export interface TestServiceOptions {
  readonly gateway: ModelGateway;
  readonly config?: Partial<HoldfastConfig>;
  readonly http?: HttpServerOptions;
  readonly holdfast?: HoldfastOptions;
}

export async function startService({
  gateway,
  config,
  http = {},
  holdfast: options,
}: TestServiceOptions): Promise<TestService> {
  const database = await openPglite({ dataDir: "memory", snapshot: await migratedSnapshot() });
  const holdfast = await createHoldfast(
    { ...deskConfig, ...config },
    {
      settings: readSettings({}),
      tuning: { pollMs: 50 },
      ...options,
      parts: { database, gateway, log: silentLogger, ...options?.parts },
    },
  );
  const server = createHttpServer(holdfast, http);
  const url = await server.listen({ host: "127.0.0.1", port: 0 });
  const document = (await (await fetch(`${url}/openapi.json`)).json()) as OpenApi;
  const checkAnswer = answerChecker(document);
  const client = createClient({ baseUrl: url });
  const events = async (taskId: string): Promise<TaskEvent[]> => {
    const all: TaskEvent[] = [];
    for await (const event of client.events(taskId)) all.push(event);
    return all;
  };
  return {
    url,
    document,
    client,
    events,
    async result(taskId) {
      const last = (await events(taskId)).at(-1);
      if (last?.type !== "result") throw new Error(`The events of ${taskId} end without a result.`);
      return last.result;
    },
    holdfast,
    server,
    async call(method, path, callOptions) {
      const called = await call(url, { method, path, ...callOptions });
      const contentType = called.headers.get("content-type") ?? "";
      checkAnswer({ method, path, status: called.status, contentType, body: called.json });
      return called;
    },
    countRows: async () => {
      const [row] = await holdfast.store.database.query<Record<string, number>>({ text: countAll, values: [] });
      return row ?? {};
    },
    close: async () => {
      await server.close();
      await holdfast.stop();
    },
  };
}

const countAll = `select (select count(*) from task) as tasks, (select count(*) from session) as sessions,
  (select count(*) from approval) as approvals, (select count(*) from entry) as entries`;

async function call(url: string, request: CallOptions & { method: string; path: string }): Promise<Called> {
  const { method, path, body, headers = {} } = request;
  const isText = typeof body === "string" || body instanceof Uint8Array;
  const response = await fetch(`${url}${path}`, {
    method,
    headers: { ...(body !== undefined && { "content-type": "application/json" }), ...headers },
    ...(body !== undefined && { body: isText ? (body as string | Uint8Array<ArrayBuffer>) : JSON.stringify(body) }),
  });
  const text = await response.text();
  const isJson = (response.headers.get("content-type") ?? "").includes("json");
  return {
    status: response.status,
    headers: response.headers,
    text,
    json: isJson && text !== "" ? JSON.parse(text) : undefined,
  };
}

/** What the server answers to bytes that no HTTP library would send. */
export async function sendRaw(url: string, bytes: string): Promise<string> {
  const socket = openSocket(url);
  socket.end(bytes);
  let answer = "";
  socket.on("data", (chunk: Buffer) => (answer += chunk.toString()));
  await once(socket, "close");
  return answer;
}

export function openSocket(url: string): Socket {
  const { hostname, port } = new URL(url);
  return connect({ host: hostname, port: Number(port) });
}
