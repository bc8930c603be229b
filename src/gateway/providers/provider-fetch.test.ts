import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { createProviderFetch } from "./provider-fetch.ts";

async function serve(answer: RequestListener): Promise<{ url: string } & AsyncDisposable> {
  const server = createServer(answer).listen(0, "127.0.0.1");
  await once(server, "listening");
  const close = async (): Promise<void> => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, [Symbol.asyncDispose]: close };
}

async function textOf({ body }: Response): Promise<string> {
  const reader = body!.getReader();
  let text = "";
  for (let next = await reader.read(); !next.done; next = await reader.read())
    text += Buffer.from(next.value).toString();
  return text;
}

const post = { method: "POST", headers: { "x-key": "secret" }, body: "Größe" };

test("a reply has its status, its headers and its body, and connections are kept", async () => {
  const sockets = new Set<unknown>();
  await using server = await serve((request, response) => {
    sockets.add(request.socket);
    request.setEncoding("utf8").once("data", (said: string) => {
      response.writeHead(429, "Slow down", { "X-Limit": "6", "set-cookie": ["a=1", "b=2"] });
      response.end(`${request.method} ${request.url} ${String(request.headers["x-key"])} ${said}`);
    });
  });
  const fetch = createProviderFetch();
  for (let round = 0; round < 10; round++) {
    const reply = await fetch(`${server.url}/v1/chat?beta=true`, post);
    assert.deepEqual([reply.status, reply.ok, reply.statusText], [429, false, "Slow down"]);
    assert.deepEqual([reply.headers.get("X-LIMIT"), reply.headers.get("absent")], ["6", null]);
    assert.equal(Object.fromEntries(reply.headers)["set-cookie"], "a=1, b=2");
    assert.equal(await textOf(reply), "POST /v1/chat?beta=true secret Größe");
  }
  // One may not be free yet when its reply is over.
  assert.ok(sockets.size <= 2, `${sockets.size}`);
});

test("a body comes as it is sent, and what came unread comes in one piece", async () => {
  let onTold = (): unknown => undefined;
  await using server = await serve((_request, response) => {
    response.write("first");
    onTold = () => response.end("second");
  });
  const { body } = await createProviderFetch()(server.url, post);
  const reader = body!.getReader();
  assert.equal(Buffer.from((await reader.read()).value!).toString(), "first");
  onTold();
  assert.equal(Buffer.from((await reader.read()).value!).toString(), "second");
  assert.equal((await reader.read()).done, true);
});

test("no more waits to be read than a bound, and all of it arrives", async () => {
  const bytes = 16 * 1_048_576;
  await using server = await serve((_request, response) => void response.end(Buffer.alloc(bytes, "x")));
  const reply = await createProviderFetch()(server.url, post);
  assert.equal((await textOf(reply)).length, bytes);
});

test("a server that is not there, and one that breaks off, are told as Node's own fetch does", async () => {
  const fetch = createProviderFetch();
  const gone = await serve(() => {});
  await gone[Symbol.asyncDispose]();
  await assert.rejects(fetch(gone.url, post), (error: Error & { cause?: { code?: string } }) => {
    assert.deepEqual([error.name, error.message, error.cause?.code], ["TypeError", "fetch failed", "ECONNREFUSED"]);
    return true;
  });
  await using server = await serve((_request, response) => {
    response.writeHead(200, { "content-length": "100" });
    response.write("half", () => response.destroy());
  });
  const reply = await fetch(server.url, post);
  await assert.rejects(textOf(reply), { name: "TypeError", message: "terminated" });
});

test("an abort ends the call with its reason, before the reply, in its middle, and where it comes first", async () => {
  const fetch = createProviderFetch();
  const asked = Promise.withResolvers<void>();
  const hungUp = Promise.withResolvers<void>();
  await using server = await serve((request, response) => {
    response.on("close", hungUp.resolve);
    if (request.url === "/body") response.write("half");
    asked.resolve();
  });
  const early = new AbortController();
  const reply = fetch(server.url, { ...post, signal: early.signal });
  await asked.promise;
  early.abort(new Error("enough"));
  await assert.rejects(reply, { message: "enough" });
  await hungUp.promise;
  await assert.rejects(fetch(server.url, { ...post, signal: early.signal }), { message: "enough" });

  const late = new AbortController();
  const begun = await fetch(`${server.url}/body`, { ...post, signal: late.signal });
  const reader = begun.body!.getReader();
  await reader.read();
  const rest = reader.read();
  late.abort(new Error("enough now"));
  await assert.rejects(rest, { message: "enough now" });
});

test("who does not read on closes the connection", async () => {
  const hungUp = Promise.withResolvers<void>();
  await using server = await serve((_request, response) => {
    response.on("close", hungUp.resolve);
    response.write("half");
  });
  const { body } = await createProviderFetch()(server.url, post);
  await body!.cancel();
  await hungUp.promise;
});

test("a request that is led elsewhere is made there, and a reply that is packed is unpacked", async () => {
  await using server = await serve((request, response) => {
    if (request.url === "/old") return void response.writeHead(307, { location: "/new" }).end();
    assert.equal(request.method, "POST");
    response.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync(`from ${request.url}`));
  });
  const fetch = createProviderFetch();
  assert.equal(await textOf(await fetch(`${server.url}/old`, post)), "from /new");
  assert.equal(await textOf(await fetch(`${server.url}/packed`, post)), "from /packed");
});
