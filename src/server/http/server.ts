/**
 * The HTTP door. Every request passes the same way: the host is checked, the body is parsed and guarded, the schema of the
 * route is applied, the engine is asked; whatever is thrown becomes a problem document.
 */
import { STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import Fastify, { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import { systemClock, type Clock } from "../../platform/clock.ts";
import { HoldfastError, messageOf, UnavailableError } from "../../platform/errors.ts";
import { systemId, type NewId } from "../../platform/ids.ts";
import { agentRoutes } from "./agent-routes.ts";
import { approvalRoutes } from "./approval-routes.ts";
import { deadLetterRoutes } from "./dead-letter-routes.ts";
import { eventRoutes } from "./event-routes.ts";
import { createHostGuard, requireLoopback } from "./host-guard.ts";
import { guardInput } from "./input-guard.ts";
import { parseJsonBodies } from "./json-body.ts";
import { openapiRoute } from "./openapi.ts";
import { problemType, toProblem } from "./problem.ts";
import { repeat } from "./repeat.ts";
import { RouteTable } from "./route-table.ts";
import type { ServerDeps, Service } from "./server-deps.ts";
import { serviceRoutes } from "./service-routes.ts";
import { sessionRoutes } from "./session-routes.ts";
import { submitRoutes } from "./submit-routes.ts";
import { taskRoutes } from "./task-routes.ts";
import { createValidatorCompiler, toInputError } from "./validation.ts";

export interface HttpServerOptions {
  /** Names, besides this machine's own, by which a proxy in front may address the service. */
  readonly allowedHosts?: readonly string[];
  /** "service": only whether it is alive, whether it can work, and what it measures; for a process that serves no API. */
  readonly routes?: "all" | "service";
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
  const closing = new AbortController();
  const fastify = createFastify(service, options.newId ?? systemId);
  const deps: ServerDeps = { service, clock, closing: closing.signal, stream: { heartbeatMs, stallMs } };

  const routes = new RouteTable();
  fastify.addHook("onRoute", (route) => routes.add(route));
  addHooks(fastify, { deps, routes, guardHost: createHostGuard(options.allowedHosts ?? []) });
  parseJsonBodies(fastify);
  fastify.setValidatorCompiler(createValidatorCompiler());
  // Answers are made by code that the types check; a schema that drops fields would only hide a fault.
  fastify.setSerializerCompiler(() => (answer) => JSON.stringify(answer));
  fastify.register(async (app) => {
    await openapiRoute(app);
    for (const addRoutes of options.routes === "service" ? [serviceRoutes] : routeFiles) addRoutes(app, deps);
  });

  return {
    fastify,
    async listen({ host, port }) {
      requireLoopback(host);
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
      // Node looks only once for connections that nobody uses; those that were answered since would stay open.
      const stopSweep = repeat(clock, sweepMs, () => fastify.server.closeIdleConnections());
      await fastify.close();
      stopSweep();
      cancelForce();
    },
  };
}

const routeFiles = [
  serviceRoutes,
  submitRoutes,
  taskRoutes,
  eventRoutes,
  deadLetterRoutes,
  approvalRoutes,
  sessionRoutes,
  agentRoutes,
];

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

interface Passage {
  readonly deps: ServerDeps;
  readonly routes: RouteTable;
  readonly guardHost: ReturnType<typeof createHostGuard>;
}

function addHooks(fastify: FastifyInstance, { deps, routes, guardHost }: Passage): void {
  const { service, closing } = deps;
  fastify.addHook("onRequest", async (request, reply) => {
    reply.header("x-request-id", request.id);
    if (closing.aborted) {
      reply.header("connection", "close");
      throw new UnavailableError("shutting_down", "This process is shutting down; another one will answer.", {
        afterMs: 1_000,
      });
    }
    // A request may name the host in its first line, too: then that is the one that counts.
    guardHost({ ...request.headers, host: URL.parse(request.url)?.host ?? request.headers.host });
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
