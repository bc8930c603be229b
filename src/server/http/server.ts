/**
 * The HTTP door. Every request passes the same way: the host is checked, the body is parsed and guarded, the schema of the
 * route is applied, the engine is asked; whatever is thrown becomes a problem document.
 */
import { STATUS_CODES, type Server } from "node:http";
import type { Socket } from "node:net";
import Fastify, { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import { systemClock, type Clock } from "../../platform/clock.ts";
import { HoldfastError, messageOf, UnavailableError } from "../../platform/errors.ts";
import { systemId, type NewId } from "../../platform/ids.ts";
import { agentRoutes } from "./agent-routes.ts";
import { approvalRoutes } from "./approval-routes.ts";
import { deadLetterRoutes } from "./dead-letter-routes.ts";
import { eventRoutes } from "./event-routes.ts";
import { experimentRoutes } from "./experiment-routes.ts";
import { gatewayRoutes } from "./gateway-routes.ts";
import { guardHost, isLoopback, requireLoopback } from "./host-guard.ts";
import { guardInput } from "./input-guard.ts";
import { parseJsonBodies } from "./json-body.ts";
import { keyRoutes } from "./key-routes.ts";
import { openapiRoute } from "./openapi.ts";
import { problemType, toProblem } from "./problem.ts";
import { repeat } from "../../platform/repeat.ts";
import { RouteTable } from "./route-table.ts";
import type { ServerDeps, Service } from "./server-deps.ts";
import { serviceRoutes } from "./service-routes.ts";
import { sessionRoutes } from "./session-routes.ts";
import { submitRoutes } from "./submit-routes.ts";
import { taskRoutes } from "./task-routes.ts";
import { usageRoutes } from "./usage-routes.ts";
import { createValidatorCompiler, toInputError } from "./validation.ts";
import { chatRoutes } from "../openai/chat-routes.ts";
import { isOpenAiPath, toOpenAiError } from "../openai/errors.ts";
import { LateLedger } from "../openai/late-ledger.ts";
import { modelRoutes } from "../openai/model-routes.ts";

export interface HttpServerOptions {
  /**
   * "api": all but the endpoints of the gateway; "gateway": those alone; "service": neither of them. Whether the process is
   * alive, whether it can work, and what it measures is served in any case.
   */
  readonly routes?: "all" | keyof typeof routeFiles;
  /** Between two signs of life of an event stream; default 15,000. */
  readonly heartbeatMs?: number;
  /** How long the reader of an event stream may take nothing before it is dropped; default 10,000. */
  readonly stallMs?: number;
  /** How long `close` waits for requests in flight; default 10,000. */
  readonly drainMs?: number;
  readonly clock?: Clock;
  readonly newId?: NewId;
}

export interface HttpServer {
  readonly fastify: FastifyInstance;
  /** @returns the URL it is reached at. @throws HoldfastError `insecure_bind`, `cannot_listen` */
  listen(address: { host: string; port: number }): Promise<string>;
  /** Accepts nothing more, ends event streams and waits, lets what is in flight finish, at most `drainMs`. */
  close(): Promise<void>;
}

const bodyLimitBytes = 1_048_576;
const sweepMs = 50;
/** For receiving a request, not for answering it. */
const requestTimeoutMs = 30_000;
// A session's id of 200 characters, each up to twelve long when percent-encoded.
const mostParamChars = 2_400;

export function createHttpServer(service: Service, options: HttpServerOptions = {}): HttpServer {
  const { clock = systemClock, heartbeatMs = 15_000, stallMs = 10_000, drainMs = 10_000 } = options;
  const { newId = systemId, routes: served = "all" } = options;
  const closing = new AbortController();
  const fastify = createFastify(service, newId);
  let isOpen = false;
  const keysNeeded = (): boolean => isOpen;
  const stream = { heartbeatMs, stallMs };
  const lateLedger = new LateLedger({ clock, log: service.log, record: (rows) => service.models.recordUsage(rows) });
  const deps: ServerDeps = { service, clock, newId, keysNeeded, closing: closing.signal, stream, lateLedger };

  const closeIdleConnections = idleConnectionCloser(fastify.server);
  const routes = new RouteTable();
  fastify.addHook("onRoute", (route) => routes.add(route));
  addHooks(fastify, deps, routes);
  parseJsonBodies(fastify);
  fastify.setValidatorCompiler(createValidatorCompiler());
  // Answers are made by code that the types check; a schema that drops fields would only hide a fault.
  fastify.setSerializerCompiler(() => (answer) => JSON.stringify(answer));
  fastify.register(async (app) => {
    await openapiRoute(app);
    serviceRoutes(app, deps);
    gatewayRoutes(app, deps);
    const files = served === "all" ? [...routeFiles.api, ...routeFiles.gateway] : routeFiles[served];
    for (const addRoutes of files) addRoutes(app, deps);
  });

  return {
    fastify,
    async listen({ host, port }) {
      // Nobody does anything at the gateway without a key, once it can be reached from elsewhere.
      isOpen = served === "gateway" && !isLoopback(host);
      if (!isOpen) requireLoopback(host);
      try {
        // For "localhost" Fastify would open a second server, whose connections `close` cannot reach.
        return await fastify.listen({ host: host === "localhost" ? "127.0.0.1" : host, port });
      } catch (error) {
        const message = `Cannot listen on ${host}:${port}: ${messageOf(error)}. Is it in use? Choose another PORT.`;
        throw new HoldfastError("cannot_listen", message, { cause: error });
      }
    },
    async close() {
      closing.abort();
      const cancelForce = clock.timer(drainMs, () => fastify.server.closeAllConnections());
      // Fastify closes idle connections only once; those that become idle later would stay open.
      const stopSweep = repeat(clock, sweepMs, closeIdleConnections);
      await fastify.close();
      stopSweep();
      cancelForce();
      await lateLedger.written();
    },
  };
}

const routeFiles = {
  api: [
    submitRoutes,
    taskRoutes,
    eventRoutes,
    deadLetterRoutes,
    approvalRoutes,
    sessionRoutes,
    agentRoutes,
    usageRoutes,
    experimentRoutes,
    keyRoutes,
  ],
  gateway: [chatRoutes, modelRoutes],
  service: [],
} as const;

/** Node's own `closeIdleConnections` leaves out a connection that has not sent anything yet. */
function idleConnectionCloser(server: Server): () => void {
  const connections = new Set<Socket>();
  server.on("connection", (socket) => {
    connections.add(socket);
    socket.on("close", () => connections.delete(socket));
  });
  return () => {
    server.closeIdleConnections();
    for (const socket of connections) if (socket.bytesRead === 0) socket.destroy();
  };
}

function createFastify(service: Service, newId: NewId): FastifyInstance {
  return Fastify({
    logger: false,
    bodyLimit: bodyLimitBytes,
    requestTimeout: requestTimeoutMs,
    return503OnClosing: false,
    routerOptions: { maxParamLength: mostParamChars },
    genReqId: ({ headers }) => {
      const given = headers["x-request-id"];
      return typeof given === "string" && /^[\w.:-]{1,128}$/.test(given) ? given : newId();
    },
    schemaErrorFormatter: toInputError,
    frameworkErrors: (error, request, reply) => answerProblem(service, error, { request, reply }),
    clientErrorHandler: answerBrokenRequest,
  });
}

function addHooks(fastify: FastifyInstance, { service, closing, keysNeeded }: ServerDeps, routes: RouteTable): void {
  fastify.addHook("onRequest", async (request, reply) => {
    reply.header("x-request-id", request.id);
    if (closing.aborted) {
      reply.header("connection", "close");
      throw new UnavailableError("shutting_down", "This process is shutting down; another one will answer.", {
        afterMs: 1_000,
      });
    }
    // A request may name the host in its first line, too: then that is the one that counts.
    const host = URL.parse(request.url)?.host ?? request.headers.host;
    // Where a key is needed, a name that leads here lets nobody in.
    guardHost({ ...request.headers, host: keysNeeded() ? undefined : host });
    if (request.is404) throw noSuchRoute(request, reply, routes);
    // Before the body is read: a process that cannot keep up has no time for it.
    if (request.routeOptions.config.takesTasks) service.overload.admit();
  });
  fastify.addHook("preValidation", async (request) => {
    // A body that is left out is one without fields.
    request.body ??= {};
    guardInput(request.params, "/params");
    guardInput(request.query, "/query");
    guardInput(request.body, "");
  });
  fastify.addHook("onResponse", async (request, reply) => {
    service.metrics.httpRequest({
      method: request.method,
      route: request.routeOptions.url ?? "unmatched",
      status: reply.statusCode,
      ms: reply.elapsedTime,
    });
  });
  fastify.setErrorHandler<FastifyError>((error, request, reply) => answerProblem(service, error, { request, reply }));
  // Answered by the hook above; without a handler of its own Fastify would not run hooks for such a path.
  fastify.setNotFoundHandler((request, reply) => {
    throw noSuchRoute(request, reply, routes);
  });
}

function noSuchRoute(request: FastifyRequest, reply: FastifyReply, routes: RouteTable): HoldfastError {
  const path = request.url.split("?")[0] ?? "";
  const methods = routes.methodsOf(path);
  if (methods.length === 0) {
    return new HoldfastError("route_not_found", "There is nothing at this path. /openapi.json lists what there is.");
  }
  reply.header("allow", methods.join(", "));
  return new HoldfastError("method_not_allowed", `This path takes ${methods.join(", ")}, and not ${request.method}.`);
}

function answerProblem(
  { log }: Service,
  error: unknown,
  { request, reply }: { request: FastifyRequest; reply: FastifyReply },
): void {
  const { problem, headers } = toProblem(error, request.id);
  if (problem.status === 500) {
    const stack = error instanceof Error ? error.stack : undefined;
    const route = request.routeOptions?.url;
    log.error(
      { request: request.id, method: request.method, route, error: messageOf(error), stack },
      "a request failed",
    );
  }
  if (isOpenAiPath(request.url)) {
    const answer = toOpenAiError(error, request.id);
    return void reply.code(answer.status).headers(answer.headers).send({ error: answer.error });
  }
  reply.code(problem.status).headers(headers).type(problemType).send(problem);
}

/** What is no HTTP at all never becomes a request. */
function answerBrokenRequest(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === "ECONNRESET" || socket.destroyed || !socket.writable) return void socket.destroy();
  const status = statusOfBroken[error.code ?? ""] ?? 400;
  const title = STATUS_CODES[status] ?? "";
  const code = status === 400 ? "malformed_request" : title.toLowerCase().replaceAll(" ", "_");
  const type = `urn:holdfast:problem:${code}`;
  const body = JSON.stringify({ type, title, status, detail: "The request is not readable as HTTP.", code });
  const head = [
    `HTTP/1.1 ${status} ${title}`,
    `Content-Type: ${problemType}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    "Connection: close",
  ];
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`);
}

const statusOfBroken: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
};
