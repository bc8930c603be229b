/** What a service must refuse, by the part of a request that is wrong; see test/integration/bad-input.test.ts. */
import { gzipSync } from "node:zlib";

export interface BadInput {
  readonly what: string;
  readonly method?: "GET" | "POST" | "DELETE" | "PUT" | "PATCH";
  readonly path?: string;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
  readonly status?: number;
  readonly code?: string;
  /** Undefined: the fault lies in no part of the input. */
  readonly at?: string | undefined;
}

const unknownId = "01890000-0000-7000-8000-000000000000";
export const good = { agent: "desk", prompt: "say x" };
const json = { "content-type": "application/json" };
const cursor = (text: string): string => Buffer.from(text).toString("base64url");

const wrongBodies: BadInput[] = [
  { what: "no body", at: "/prompt" },
  { what: "an array for a body", body: [], at: "" },
  { what: "a string for a body", body: '"hello"', at: "" },
  { what: "null for a body", body: "null", at: "/prompt" },
  { what: "no prompt", body: { agent: "desk" }, at: "/prompt" },
  { what: "an empty prompt", body: { ...good, prompt: "" }, at: "/prompt" },
  { what: "a number for a prompt", body: { ...good, prompt: 7 }, at: "/prompt" },
  { what: "null for a prompt", body: { ...good, prompt: null }, at: "/prompt" },
  { what: "a list for a prompt", body: { ...good, prompt: ["x"] }, at: "/prompt" },
  { what: "a prompt over its limit", body: { ...good, prompt: "x".repeat(500_001) }, at: "/prompt" },
  {
    what: "a prompt over its limit in surrogate pairs",
    body: { ...good, prompt: "\u{1F600}".repeat(250_001) },
    at: "/prompt",
  },
  { what: "an unknown field", body: { ...good, max_step: 3 }, at: "/max_step" },
  { what: "a field in camelCase", body: { ...good, maxSteps: 3 }, at: "/maxSteps" },
  { what: "a field that belongs to a run", body: { ...good, wait_ms: 3 }, at: "/wait_ms" },
  { what: "an unknown agent", body: { ...good, agent: "nobody" }, code: "unknown_agent", at: "/agent" },
  { what: "no agent where there are two", body: { prompt: "say x" }, code: "agent_required", at: "/agent" },
  { what: "an agent of the prototype", body: { ...good, agent: "__proto__" }, code: "unknown_agent", at: "/agent" },
  { what: "a number for an agent", body: { ...good, agent: 1 }, at: "/agent" },
  { what: "an empty session id", body: { ...good, session_id: "" }, at: "/session_id" },
  { what: "a session id over its limit", body: { ...good, session_id: "s".repeat(201) }, at: "/session_id" },
  {
    what: "a session id over its limit in surrogate pairs",
    body: { ...good, session_id: "\u{1F600}".repeat(101) },
    at: "/session_id",
  },
  { what: "an object for a session id", body: { ...good, session_id: { $ne: "" } }, at: "/session_id" },
  { what: "a boolean for a user id", body: { ...good, user_id: true }, at: "/user_id" },
  { what: "a string for metadata", body: { ...good, metadata: "x" }, at: "/metadata" },
  { what: "a list for metadata", body: { ...good, metadata: [] }, at: "/metadata" },
  { what: "no steps", body: { ...good, max_steps: 0 }, at: "/max_steps" },
  { what: "too many steps", body: { ...good, max_steps: 26 }, at: "/max_steps" },
  { what: "half a step", body: { ...good, max_steps: 1.5 }, at: "/max_steps" },
  { what: "steps as text", body: { ...good, max_steps: "3" }, at: "/max_steps" },
  { what: "a token budget under its limit", body: { ...good, token_budget: 511 }, at: "/token_budget" },
  { what: "a token budget over its limit", body: { ...good, token_budget: 32_769 }, at: "/token_budget" },
  { what: "a cost budget of nothing", body: { ...good, cost_budget_usd: 0 }, at: "/cost_budget_usd" },
  { what: "a negative deadline", body: { ...good, deadline_ms: -1 }, at: "/deadline_ms" },
  { what: "a priority over its limit", body: { ...good, priority: 101 }, at: "/priority" },
  {
    what: "a number that no one can keep",
    body: '{"agent":"desk","prompt":"say x","priority":1e400}',
    at: "/priority",
  },
  {
    what: "such a number deep in a context",
    body: '{"agent":"desk","prompt":"x","context":{"a":[1,-1e999]}}',
    at: "/context/a/1",
  },
];

const wrongText: BadInput[] = [
  { what: "U+0000 in a prompt", body: { ...good, prompt: "a\0b" }, at: "/prompt" },
  { what: "U+0000 in a context", body: { ...good, context: { list: ["ok", "a\0b"] } }, at: "/context/list/1" },
  { what: "U+0000 in a key of metadata", body: { ...good, metadata: { "a\0": 1 } }, at: "/metadata/a\0" },
  { what: "U+0000 in a session id", body: { ...good, session_id: "\0" }, at: "/session_id" },
  { what: "a lone high surrogate", body: '{"agent":"desk","prompt":"\\ud83d"}', at: "/prompt" },
  {
    what: "a lone low surrogate in metadata",
    body: '{"agent":"desk","prompt":"x","metadata":{"a/b":"\\udc00"}}',
    at: "/metadata/a~1b",
  },
  { what: "a key __proto__", body: '{"agent":"desk","prompt":"x","__proto__":{"max_steps":1}}', at: "/__proto__" },
  {
    what: "a key __proto__ in a context",
    body: '{"agent":"desk","prompt":"x","context":{"__proto__":1}}',
    at: "/context/__proto__",
  },
  {
    what: "a way to the prototype by its constructor",
    body: '{"agent":"desk","prompt":"x","metadata":{"constructor":{"prototype":{}}}}',
    at: "/metadata/constructor/prototype",
  },
  {
    what: "a context nested 64 levels deep",
    body: `{"agent":"desk","prompt":"x","context":${"[".repeat(64)}${"]".repeat(64)}}`,
    at: `/context${"/0".repeat(63)}`,
  },
  { what: "nesting without end", body: "[".repeat(100_000) + "]".repeat(100_000), at: "/0".repeat(64) },
];

const wrongTransport: BadInput[] = [
  { what: "broken JSON", body: '{"prompt": "x"', code: "invalid_json", at: "" },
  { what: "JSON with a comment", body: '{"prompt": "x" /* hello */}', code: "invalid_json", at: "" },
  { what: "JSON with more after it", body: '{"prompt": "x"} {}', code: "invalid_json", at: "" },
  { what: "NaN", body: '{"prompt": "x", "priority": NaN}', code: "invalid_json", at: "" },
  {
    what: "bytes that are no UTF-8",
    body: Buffer.from('{"prompt":"\xff\xfe"}', "latin1"),
    code: "invalid_json",
    at: "",
  },
  { what: "UTF-16", body: Buffer.from(JSON.stringify(good), "utf16le"), code: "invalid_json", at: "" },
  { what: "a huge body", body: { ...good, context: "x".repeat(1_100_000) }, status: 413, code: "body_too_large" },
  {
    what: "a form",
    body: "prompt=x",
    headers: { "content-type": "application/x-www-form-urlencoded" },
    status: 415,
    code: "unsupported_media_type",
  },
  {
    what: "plain text",
    body: JSON.stringify(good),
    headers: { "content-type": "text/plain" },
    status: 415,
    code: "unsupported_media_type",
  },
  {
    what: "a file upload",
    body: "--x--",
    headers: { "content-type": "multipart/form-data; boundary=x" },
    status: 415,
    code: "unsupported_media_type",
  },
  {
    what: "a content type that is none",
    body: "{}",
    headers: { "content-type": "json" },
    status: 415,
    code: "unsupported_media_type",
  },
  {
    what: "a packed body",
    body: gzipSync(JSON.stringify(good)),
    headers: { ...json, "content-encoding": "gzip" },
    status: 415,
    code: "unsupported_content_encoding",
  },
  {
    what: "an empty idempotency key",
    body: good,
    headers: { ...json, "idempotency-key": "" },
    at: "/headers/idempotency-key",
  },
  {
    what: "an idempotency key over its limit",
    body: good,
    headers: { ...json, "idempotency-key": "k".repeat(201) },
    at: "/headers/idempotency-key",
  },
  {
    what: "an origin that is none",
    body: good,
    headers: { ...json, origin: "null" },
    status: 403,
    code: "origin_not_allowed",
  },
];

const wrongPaths: BadInput[] = [
  { what: "an id that is none", method: "GET", path: "/tasks/42", at: "/params/id" },
  { what: "an id with SQL", method: "GET", path: "/tasks/'%20or%201=1--", at: "/params/id" },
  { what: "a way out of the path", method: "GET", path: "/tasks/..%2f..%2fetc%2fpasswd", at: "/params/id" },
  { what: "U+0000 in a path", method: "GET", path: "/sessions/%00", at: "/params/id" },
  { what: "half an escape", method: "GET", path: "/sessions/%e0%a4%a", code: "invalid_url" },
  { what: "an overlong escape", method: "GET", path: "/sessions/%c0%ae", code: "invalid_url" },
  {
    what: "a session id over its limit in a path",
    method: "GET",
    path: `/sessions/${"s".repeat(201)}`,
    at: "/params/id",
  },
  {
    what: "a path beyond every limit",
    method: "GET",
    path: `/sessions/${"s".repeat(5_000)}`,
    status: 414,
    code: "path_too_long",
  },
  { what: "an unknown task", method: "GET", path: `/tasks/${unknownId}`, status: 404, code: "task_not_found" },
  {
    what: "the events of an unknown task",
    method: "GET",
    path: `/tasks/${unknownId}/events`,
    status: 404,
    code: "task_not_found",
  },
  {
    what: "cancelling an unknown task",
    path: `/tasks/${unknownId}/cancel`,
    body: {},
    status: 404,
    code: "task_not_found",
  },
  { what: "an unknown session", method: "GET", path: "/sessions/nothing", status: 404, code: "session_not_found" },
  { what: "an unknown agent's page", method: "GET", path: "/agents/constructor", status: 404, code: "agent_not_found" },
  {
    what: "an unknown approval",
    path: `/approvals/${unknownId}`,
    body: { decision: "approve" },
    status: 404,
    code: "approval_not_found",
  },
  {
    what: "an unknown dead letter",
    method: "DELETE",
    path: `/dead-letters/${unknownId}`,
    status: 404,
    code: "task_not_found",
  },
  { what: "a hash that is none", method: "GET", path: `/tasks/${unknownId}/values/..%2fx`, at: "/params/hash" },
  { what: "an unknown path", method: "GET", path: "/admin", status: 404, code: "route_not_found" },
  { what: "an unknown path with a broken body", path: "/admin", body: "{", status: 404, code: "route_not_found" },
  { what: "a trailing slash", method: "GET", path: "/tasks/", status: 400, at: "/params/id" },
  { what: "a wrong method", method: "PUT", path: "/tasks", body: good, status: 405, code: "method_not_allowed" },
  {
    what: "another wrong method",
    method: "PATCH",
    path: `/tasks/${unknownId}`,
    body: {},
    status: 405,
    code: "method_not_allowed",
  },
];

const wrongQueries: BadInput[] = [
  { what: "an unknown parameter", method: "GET", path: "/tasks?state=failed", at: "/query/state" },
  { what: "an unknown status", method: "GET", path: "/tasks?status=done", at: "/query/status" },
  { what: "a limit of nothing", method: "GET", path: "/tasks?limit=0", at: "/query/limit" },
  { what: "a limit over its limit", method: "GET", path: "/tasks?limit=201", at: "/query/limit" },
  { what: "a limit that is no number", method: "GET", path: "/tasks?limit=ten", at: "/query/limit" },
  { what: "two limits", method: "GET", path: "/tasks?limit=1&limit=2", at: "/query/limit" },
  {
    what: "a cursor that is none",
    method: "GET",
    path: "/tasks?cursor=!!!",
    code: "invalid_cursor",
    at: "/query/cursor",
  },
  {
    what: "a cursor with SQL",
    method: "GET",
    path: `/tasks?cursor=${cursor("tasks:' or 1=1--")}`,
    code: "invalid_cursor",
    at: "/query/cursor",
  },
  {
    what: "a cursor of another list",
    method: "GET",
    path: `/tasks?cursor=${cursor(`approvals:${unknownId}`)}`,
    code: "invalid_cursor",
    at: "/query/cursor",
  },
  {
    what: "a cursor beyond every entry",
    method: "GET",
    path: `/tasks/${unknownId}/journal?cursor=${cursor("journal:2147483648")}`,
    code: "invalid_cursor",
    at: "/query/cursor",
  },
  {
    what: "a negative cursor",
    method: "GET",
    path: `/sessions/x/messages?cursor=${cursor("messages:-1")}`,
    code: "invalid_cursor",
    at: "/query/cursor",
  },
  { what: "U+0000 in a filter", method: "GET", path: "/tasks?session_id=%00", at: "/query/session_id" },
  { what: "a filter by an id that is none", method: "GET", path: "/approvals?task_id=x", at: "/query/task_id" },
  { what: "a parameter where none is taken", method: "GET", path: "/health?deep=1", at: "/query/deep" },
  {
    what: "an event number that is none",
    method: "GET",
    path: `/tasks/${unknownId}/events?after=-1`,
    at: "/query/after",
  },
  {
    what: "an event number too large",
    method: "GET",
    path: `/tasks/${unknownId}/events?after=2147483648`,
    at: "/query/after",
  },
  {
    what: "a last event id that is none",
    method: "GET",
    path: `/tasks/${unknownId}/events`,
    headers: { "last-event-id": "abc" },
    at: "/headers/last-event-id",
  },
  {
    what: "a last event id too large",
    method: "GET",
    path: `/tasks/${unknownId}/events`,
    headers: { "last-event-id": "9999999999" },
    at: "/headers/last-event-id",
  },
];

const wrongCommands: BadInput[] = [
  { what: "a run that waits too long", path: "/run", body: { ...good, wait_ms: 300_001 }, at: "/wait_ms" },
  { what: "a run that waits for text", path: "/run", body: { ...good, wait_ms: "1000" }, at: "/wait_ms" },
  { what: "an empty batch", path: "/tasks/batch", body: { tasks: [] }, at: "/tasks" },
  { what: "a batch that is a list", path: "/tasks/batch", body: [good], at: "" },
  {
    what: "a batch over its limit",
    path: "/tasks/batch",
    body: { tasks: Array.from({ length: 101 }, () => good) },
    at: "/tasks",
  },
  {
    what: "a batch with a bad task",
    path: "/tasks/batch",
    body: { tasks: [good, { ...good, priority: "x" }] },
    at: "/tasks/1/priority",
  },
  {
    what: "a batch with an unknown agent",
    path: "/tasks/batch",
    body: { tasks: [good, { ...good, agent: "x" }] },
    code: "unknown_agent",
    at: "/tasks/1/agent",
  },
  { what: "a fork from a step before the first", path: `/tasks/${unknownId}/fork`, body: { step: -1 }, at: "/step" },
  { what: "a fork to a model that is none", path: `/tasks/${unknownId}/fork`, body: { model: "gpt" }, at: "/model" },
  { what: "a fork to no model", path: `/tasks/${unknownId}/fork`, body: { model: [] }, at: "/model" },
  { what: "a retry with an empty prompt", path: `/tasks/${unknownId}/retry`, body: { prompt: "" }, at: "/prompt" },
  { what: "a cancel by nobody", path: `/tasks/${unknownId}/cancel`, body: { by: "" }, at: "/by" },
  { what: "an answer without a decision", path: `/approvals/${unknownId}`, body: {}, at: "/decision" },
  { what: "an answer that is none", path: `/approvals/${unknownId}`, body: { decision: "yes" }, at: "/decision" },
  {
    what: "an answer with a stray field",
    path: `/approvals/${unknownId}`,
    body: { decision: "end", output: 1 },
    at: "/output",
  },
];

export const badInputs = { wrongBodies, wrongText, wrongTransport, wrongPaths, wrongQueries, wrongCommands };
