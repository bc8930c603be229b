/** The gateway as a service of its own: what it serves, to whom, and what the command does with keys. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createHttpServer } from "../../src/server/http/server.ts";
import { makeProject, runCommand } from "../support/command.ts";
import { startGateway } from "../support/gateway-service.ts";
import { freeKey } from "../support/virtual-keys.ts";

const model = "compatible/llama";
const ask = { model, messages: [{ role: "user", content: "Hello" }] };

test("it serves models and nothing else, and elsewhere than on loopback to nobody without a key", async () => {
  await using gateway = await startGateway({ script: () => ({ text: "Yes" }) });
  const server = createHttpServer(gateway.holdfast, { routes: "gateway" });
  try {
    const { port } = new URL(await server.listen({ host: "0.0.0.0", port: 0 }));
    const url = `http://127.0.0.1:${port}`;
    const post = (key?: string) =>
      fetch(`${url}/v1/chat/completions`, {
        method: "POST",
        headers: { "content-type": "application/json", ...(key !== undefined && { authorization: `Bearer ${key}` }) },
        body: JSON.stringify(ask),
      });
    assert.equal((await post()).status, 401);
    assert.equal((await post("hf_of-nobody")).status, 401);
    for (const path of ["/tasks", "/keys", "/agents", "/gateway"])
      assert.equal((await fetch(`${url}${path}`)).status, 404, path);
    assert.equal((await fetch(`${url}/health`)).status, 200);
    const { secret } = await gateway.holdfast.models.keys.create(freeKey);
    assert.equal((await post(secret)).status, 200);
  } finally {
    await server.close();
  }
});

test("the API alone serves no models, and stays on loopback", async () => {
  await using gateway = await startGateway({ script: [] });
  const server = createHttpServer(gateway.holdfast, { routes: "api" });
  try {
    await assert.rejects(server.listen({ host: "0.0.0.0", port: 0 }), { code: "insecure_bind" });
    const url = await server.listen({ host: "127.0.0.1", port: 0 });
    assert.equal((await fetch(`${url}/v1/models`)).status, 404);
    assert.equal((await fetch(`${url}/keys`)).status, 200);
  } finally {
    await server.close();
  }
});

test("on loopback it shows how it does", async () => {
  await using gateway = await startGateway({ script: [] });
  const server = createHttpServer(gateway.holdfast, { routes: "gateway" });
  try {
    const url = await server.listen({ host: "127.0.0.1", port: 0 });
    assert.equal((await fetch(`${url}/gateway`)).status, 200);
  } finally {
    await server.close();
  }
});

test("the command makes, lists and revokes keys", async () => {
  await using gateway = await startGateway({ script: () => ({ text: "Yes" }) });
  const cwd = makeProject();
  const run = (...args: string[]) => runCommand(["keys", ...args, "--url", gateway.url], { cwd });
  const made = await run(
    "create",
    "--name",
    "ci",
    "--models",
    "compatible/*, agent/*",
    "--requests",
    "5",
    "--expires",
    "1d",
  );
  assert.equal(made.exitCode, 0, made.stderr);
  const secret = made.stdout.trim();
  assert.match(secret, /^hf_[\w-]{43}$/);
  await gateway.clientWith(secret).chat.completions.create(ask as never);
  const listed = await run();
  assert.match(listed.stdout, new RegExp(`ci +${secret.slice(0, 10)}… +active +compatible/\\*, agent/\\*`));
  const { items } = JSON.parse((await run("list", "--json")).stdout) as { items: { id: string }[] };
  assert.match((await run("revoke", items[0]!.id)).stdout, /of no use/);
  await assert.rejects(gateway.clientWith(secret).models.list(), { status: 401 });
  const unknown = await run("revoke", "01890000-0000-7000-8000-000000000000");
  assert.deepEqual([unknown.exitCode, /key_not_found/.test(unknown.stderr)], [1, true]);
  assert.equal((await run("create")).exitCode, 2);
  assert.equal((await run("create", "--name", "x", "--budget-day", "-1")).exitCode, 2);
});
