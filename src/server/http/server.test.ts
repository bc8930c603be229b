import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import { obedientModel } from "../../../test/support/obedient-model.ts";
import { openSocket, sendRaw, startService, type TestService } from "../../../test/support/http-service.ts";
import { HoldfastError } from "../../platform/errors.ts";
import { createHttpServer } from "./server.ts";

let service: TestService;
before(async () => (service = await startService({ gateway: obedientModel() })));
after(() => service.close());

const post = (path: string, body?: unknown, headers?: Record<string, string>) =>
  service.call("POST", path, { ...(body !== undefined && { body }), ...(headers !== undefined && { headers }) });
const get = (path: string) => service.call("GET", path);

describe("The service", () => {
  test("agents are shown with their instructions and the schemas of their tools", async () => {
    assert.deepEqual(
      (await get("/agents")).json.items.map(({ name }: { name: string }) => name),
      ["desk", "short"],
    );
    const { json } = await get("/agents/desk");
    assert.equal(json.instructions, "Do what you are told.");
    assert.deepEqual(
      json.tools.map(({ name, version }: { name: string; version: string }) => `${name}@${version}`),
      ["find@1.0.0", "refund@1.2.0", "dump@1.0.0", "transfer@1.0.0"],
    );
    assert.equal(json.tools[0].parameters.type, "object");
    assert.equal((await get("/agents/nobody")).json.code, "agent_not_found");
  });

  test("health is cheap, readiness lists its checks, metrics count requests by route", async () => {
    assert.deepEqual((await get("/health")).json, { status: "ok" });
    const { status, json } = await get("/ready");
    assert.equal(status, 200);
    assert.deepEqual(
      json.checks.map(({ name, ok }: { name: string; ok: boolean }) => [name, ok]),
      [
        ["store", true],
        ["worker", true],
        ["models", true],
        ["routes", true],
      ],
    );
    const { text } = await get("/metrics");
    assert.match(text, /http_server_request_duration[^\n]*http_route="\/agents\/:name"/);
    assert.ok(!text.includes("/agents/desk"));
  });

  test("the document lists every route with a summary, and every reference in it leads somewhere", async () => {
    const { document } = service;
    const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({ route: `${method.toUpperCase()} ${path}`, operation })),
    );
    assert.deepEqual(operations.map(({ route }) => route).sort(), routes);
    for (const { route, operation } of operations) {
      const { summary, tags } = operation as unknown as { summary?: string; tags?: string[] };
      assert.ok(summary && tags?.length === 1, `${route} says nothing of itself`);
    }
    const { schemas } = document.components as { schemas: Record<string, unknown> };
    for (const [, name = ""] of JSON.stringify(document).matchAll(/"#\/components\/schemas\/([^"]+)"/g)) {
      assert.ok(schemas[name], `${name} is referred to, but is not there`);
    }
    assert.deepEqual(
      Object.keys(schemas).filter((name) => /^(AgentResult|Problem|TaskBody|Entry)$/.test(name)).length,
      4,
    );
  });

  test("a request id is echoed, and one that is none is replaced", async () => {
    const echoed = await service.call("GET", "/health", { headers: { "x-request-id": "abc-1" } });
    assert.equal(echoed.headers.get("x-request-id"), "abc-1");
    const replaced = await service.call("GET", "/health", { headers: { "x-request-id": "no spaces, please" } });
    assert.match(replaced.headers.get("x-request-id") ?? "", /^[0-9a-f-]{36}$/);
  });

  test("another path is a 404, another method a 405 that names those it takes", async () => {
    assert.equal((await get("/nothing")).json.code, "route_not_found");
    const { status, headers, json } = await service.call("PUT", "/dead-letters/x", { body: {} });
    assert.deepEqual([status, json.code, headers.get("allow")], [405, "method_not_allowed", "DELETE"]);
  });
});

describe("Whom the service serves", () => {
  test("it listens on this machine alone while nobody is asked who they are", async () => {
    const server = createHttpServer(service.holdfast);
    for (const host of ["0.0.0.0", "::", "192.168.1.7", "example.com"]) {
      await assert.rejects(server.listen({ host, port: 0 }), (error) => {
        return error instanceof HoldfastError && error.code === "insecure_bind" && /reverse proxy/.test(error.message);
      });
    }
  });

  test("a port that is taken is a clear error", async () => {
    const server = createHttpServer(service.holdfast);
    const port = Number(new URL(service.url).port);
    await assert.rejects(server.listen({ host: "127.0.0.1", port }), { code: "cannot_listen" });
  });

  test("a page cannot reach it under a name of its own", async () => {
    const answer = await sendRaw(
      service.url,
      "GET /tasks HTTP/1.1\r\nHost: evil.example:4100\r\nConnection: close\r\n\r\n",
    );
    assert.match(answer, /^HTTP\/1\.1 421 /);
    assert.match(answer, /"code":"host_not_allowed"/);
    const local = await sendRaw(service.url, "GET /health HTTP/1.1\r\nHost: [::1]:4100\r\nConnection: close\r\n\r\n");
    assert.match(local, /^HTTP\/1\.1 200 /);
  });

  test("a page of another origin may not use it, and no answer allows it to", async () => {
    const { status, json, headers } = await post("/tasks", { prompt: "say x" }, { origin: "https://evil.example" });
    assert.deepEqual([status, json.code], [403, "origin_not_allowed"]);
    assert.equal(headers.get("access-control-allow-origin"), null);
    assert.equal(
      (await post("/tasks", { agent: "desk", prompt: "say x" }, { origin: "http://localhost:5173" })).status,
      202,
    );
  });

  test("what is no HTTP gets a problem too", async () => {
    const answer = await sendRaw(service.url, "NONSENSE\r\n\r\n");
    assert.match(answer, /^HTTP\/1\.1 400 /);
    assert.match(answer, /application\/problem\+json/);
    const long = await sendRaw(
      service.url,
      `GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: ${"x".repeat(40_000)}\r\n\r\n`,
    );
    assert.match(long, /^HTTP\/1\.1 431 /);
  });
});

describe("Closing", () => {
  test("what waits is answered, streams end, and a connection that is held open does not hold up the end", async (t) => {
    const gateway = obedientModel();
    const closing = await startService({ gateway, http: { drainMs: 2_000 } });
    t.after(() => {
      gateway.open("never");
      return closing.close();
    });
    const running = closing.call("POST", "/run", { body: { agent: "desk", prompt: "wait never" } });
    await gateway.reached("never");
    const { items } = (await closing.call("GET", "/tasks")).json;
    const stream = await fetch(`${closing.url}/tasks/${items[0].task_id}/events`);
    const events = stream.body!.pipeThrough(new TextDecoderStream())[Symbol.asyncIterator]();
    for (let text = ""; !text.includes("event: partial");) text += (await events.next()).value ?? assert.fail(text);
    const idle = openSocket(closing.url);
    idle.write(
      "POST /tasks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
    );
    idle.on("error", () => {});
    await closing.server.close();
    assert.equal((await running).status, 202);
    while (!(await events.next()).done);
  });

  test("a connection that nothing has come over yet is not waited for", { timeout: 10_000 }, async () => {
    const closing = await startService({ gateway: obedientModel(), http: { drainMs: 20_000 } });
    const unused = openSocket(closing.url);
    await once(closing.server.fastify.server, "connection");
    await Promise.all([closing.close(), once(unused, "close")]);
  });
});

const routes = [
  "DELETE /dead-letters/{id}",
  "DELETE /gateway/drill",
  "DELETE /gateway/faults",
  "DELETE /keys/{id}",
  "DELETE /sessions/{id}",
  "GET /",
  "GET /agents",
  "GET /agents/{name}",
  "GET /approvals",
  "GET /approvals/{id}",
  "GET /dead-letters",
  "GET /gateway",
  "GET /gateway/drill",
  "GET /gateway/faults",
  "GET /health",
  "GET /keys",
  "GET /metrics",
  "GET /openapi.json",
  "GET /ready",
  "GET /sessions/{id}",
  "GET /sessions/{id}/messages",
  "GET /tasks",
  "GET /tasks/{id}",
  "GET /tasks/{id}/events",
  "GET /tasks/{id}/journal",
  "GET /tasks/{id}/values/{hash}",
  "GET /usage",
  "GET /v1/models",
  "GET /v1/models/{model}",
  "POST /approvals/{id}",
  "POST /keys",
  "POST /run",
  "POST /tasks",
  "POST /tasks/batch",
  "POST /tasks/{id}/cancel",
  "POST /tasks/{id}/fork",
  "POST /tasks/{id}/retry",
  "POST /v1/chat/completions",
  "POST /v1/embeddings",
  "POST /v1/responses",
  "PUT /gateway/drill",
  "PUT /gateway/faults",
];
