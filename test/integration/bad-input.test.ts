/**
 * What must be refused: every case is a 4xx problem with a code and, where the fault lies in the input, its path; never a
 * 500, and nothing is stored. What looks dangerous but is only text is taken as it is (see "Text that is only text").
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { badInputs, good, type BadInput } from "../support/bad-inputs.ts";
import { sendRaw, startService, type TestService } from "../support/http-service.ts";
import { obedientModel } from "../support/obedient-model.ts";

const service = Promise.withResolvers<TestService>();
before(async () => {
  const started = await startService({ gateway: obedientModel(), config: { maxWaiting: 1_000 } });
  // Something is there already, so that "nothing is stored" is not said of an empty database.
  const { status } = await started.call("POST", "/run", { body: good });
  assert.equal(status, 200);
  service.resolve(started);
});
after(async () => (await service.promise).close());

test("there are at least 60 cases, no two the same", () => {
  const cases = Object.values(badInputs).flat();
  assert.ok(cases.length >= 60, `${cases.length} cases`);
  assert.equal(new Set(cases.map(({ what }) => what)).size, cases.length);
});

for (const [name, cases] of Object.entries(badInputs)) {
  describe(name.replace("wrong", "Wrong ").toLowerCase().replace(/^w/, "W"), () => {
    for (const bad of cases) test(`${bad.what} is refused, and nothing is stored`, () => refuses(bad));
  });
}

async function refuses({
  what,
  method = "POST",
  path = "/tasks",
  body,
  headers,
  status,
  code,
  at,
}: BadInput): Promise<void> {
  const { call, countRows } = await service.promise;
  const before = await countRows();
  const answer = await call(method, path, {
    ...(body !== undefined && { body }),
    ...(headers !== undefined && { headers }),
  });
  assert.equal(answer.status, status ?? 400, `${what}: ${answer.text}`);
  assert.equal(answer.headers.get("content-type"), "application/problem+json; charset=utf-8");
  const problem = answer.json as Record<string, unknown>;
  assert.equal(problem["status"], answer.status);
  assert.equal(problem["code"], code ?? "invalid_request", answer.text);
  assert.equal(problem["path"], at, answer.text);
  assert.ok(String(problem["detail"]).length > 10, "it says nothing");
  assert.ok(answer.text.length < 2_000, "an answer repeats the request");
  assert.deepEqual(await countRows(), before);
}

describe("What is hardly HTTP", () => {
  const requests: [what: string, bytes: string, status: number][] = [
    ["another protocol", "\x16\x03\x01\x00\xa5\x01\x00\x00", 400],
    ["a header that never ends", `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${"x".repeat(100_000)}\r\n\r\n`, 431],
    ["two lengths", "POST /tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400],
    [
      "a length and chunks",
      "POST /tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      400,
    ],
    ["no host", "GET /tasks HTTP/1.1\r\n\r\n", 400],
    ["a foreign host", "GET /tasks HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", 421],
    ["a host that is none", "GET /tasks HTTP/1.1\r\nHost: %%\r\nConnection: close\r\n\r\n", 421],
    ["dots in the path", "GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 404],
    [
      "a whole URL of elsewhere",
      "GET http://evil.example/tasks HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
      421,
    ],
  ];
  for (const [what, bytes, status] of requests) {
    test(`${what} is refused with ${status}`, async () => {
      const { url } = await service.promise;
      assert.match(await sendRaw(url, bytes), new RegExp(`^HTTP/1\\.1 ${status} `));
    });
  }
});

describe("Text that is only text", () => {
  const texts = [
    "'; drop table task; --",
    "$1 $2 %s {0} ${process.env.HOME} {{7*7}}",
    "../../../etc/passwd",
    "\\u0000 \\x00 %00",
    "\u202Eright to left\u202C \u200B\uFEFF",
    "e\u0301 \u00e9 \u{1F468}\u200D\u{1F469}\u200D\u{1F467} \u{10FFFF} \uFFFF",
    "line\r\nbreak\ttab\u0001\u007F\u2028\u2029",
    '<script>alert("x")</script>',
    "null",
    " ".repeat(1_000),
  ];
  for (const text of texts) {
    test(`${JSON.stringify(text.slice(0, 40))} is kept as it is, wherever it stands`, async () => {
      const { call } = await service.promise;
      const sessionId = text.slice(0, 200);
      const fields = {
        session_id: sessionId,
        user_id: sessionId,
        context: { [text]: text },
        metadata: { [text]: [text] },
      };
      const { status, json: result } = await call("POST", "/run", {
        body: { agent: "desk", prompt: `say ${text}`, ...fields },
      });
      assert.equal(status, 200);
      const { json: task } = await call("GET", `/tasks/${result.task_id}`);
      assert.equal(task.prompt, `say ${text}`);
      assert.deepEqual(
        { session_id: task.session_id, user_id: task.user_id, context: task.context, metadata: task.metadata },
        fields,
      );
      const listed = await call("GET", `/tasks?user_id=${encodeURIComponent(sessionId)}`);
      assert.deepEqual(
        listed.json.items.map(({ task_id: id }: { task_id: string }) => id),
        [result.task_id],
      );
    });
  }
});
