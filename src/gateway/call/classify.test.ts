import assert from "node:assert/strict";
import { test } from "node:test";
import { APICallError, InvalidPromptError, JSONParseError, LoadAPIKeyError } from "@ai-sdk/provider";
import { HoldfastError } from "../../platform/errors.ts";
import { classifyFailure } from "./classify.ts";
import type { ModelErrorCode } from "../model-gateway.ts";

const now = Date.parse("Wed, 21 Oct 2026 07:28:00 GMT");

function reply(status: number | undefined, body: unknown = {}, headers: Record<string, string> = {}): APICallError {
  const responseBody = typeof body === "string" ? body : JSON.stringify(body);
  const message = status === undefined ? "Cannot connect to API: ECONNREFUSED" : `HTTP ${status}`;
  return new APICallError({
    message,
    url: "http://provider.test",
    requestBodyValues: { input: "Please quote our content policy and the context length limit." },
    ...(status === undefined ? { isRetryable: true } : { statusCode: status }),
    responseBody,
    responseHeaders: headers,
  });
}

const openai = (code: string | null, message: string, type = "invalid_request_error") => ({
  error: { code, message, type, param: null },
});
const anthropic = (type: string, message: string) => ({ type: "error", error: { type, message } });
const google = (status: string, message: string, details: unknown[] = []) => ({ error: { status, message, details } });

const cases: [name: string, thrown: unknown, code: ModelErrorCode][] = [
  ["a refused connection", reply(undefined), "model_unavailable"],
  ["a 500", reply(500, openai(null, "The server had an error", "server_error")), "model_unavailable"],
  ["a proxy's page of HTML", reply(502, "<html>Bad gateway</html>"), "model_unavailable"],
  ["a 408", reply(408), "model_unavailable"],
  ["Anthropic is overloaded", reply(529, anthropic("overloaded_error", "Overloaded")), "model_unavailable"],
  ["Google is overloaded", reply(503, google("UNAVAILABLE", "The model is overloaded.")), "model_unavailable"],
  ["a bare 429", reply(429), "model_rate_limited"],
  [
    "OpenAI's rate limit",
    reply(429, openai("rate_limit_exceeded", "Rate limit reached", "tokens")),
    "model_rate_limited",
  ],
  [
    "Anthropic's rate limit",
    reply(429, anthropic("rate_limit_error", "too many tokens per minute")),
    "model_rate_limited",
  ],
  ["Google's quota", reply(429, google("RESOURCE_EXHAUSTED", "Quota exceeded")), "model_rate_limited"],
  ["OpenAI without credit", reply(429, openai("insufficient_quota", "You exceeded your quota")), "model_rate_limited"],
  [
    "Anthropic without credit",
    reply(400, anthropic("invalid_request_error", "Your credit balance is too low to access the Anthropic API.")),
    "model_rate_limited",
  ],
  ["DeepSeek without credit", reply(402, openai(null, "Insufficient Balance")), "model_rate_limited"],
  [
    "OpenAI's full context",
    reply(400, openai("context_length_exceeded", "This model's maximum context length is 128000 tokens.")),
    "model_context_too_long",
  ],
  [
    "a request over OpenAI's tokens per minute",
    reply(429, openai("rate_limit_exceeded", "Request too large for gpt-4o: Limit 30000, Requested 50000.", "tokens")),
    "model_context_too_long",
  ],
  [
    "Anthropic's full context",
    reply(400, anthropic("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum")),
    "model_context_too_long",
  ],
  [
    "Anthropic's 413",
    reply(413, anthropic("request_too_large", "Request exceeds the limit")),
    "model_context_too_long",
  ],
  [
    "Google's full context",
    reply(
      400,
      google("INVALID_ARGUMENT", "The input token count (1200000) exceeds the maximum number of tokens allowed."),
    ),
    "model_context_too_long",
  ],
  [
    "vLLM's full context, in its own shape",
    reply(400, { object: "error", message: "This model's maximum context length is 4096 tokens.", code: 400 }),
    "model_context_too_long",
  ],
  [
    "llama.cpp's full context",
    reply(400, {
      error: {
        code: 400,
        message: "the request exceeds the available context size",
        type: "exceed_context_size_error",
      },
    }),
    "model_context_too_long",
  ],
  [
    "OpenAI's content policy",
    reply(400, openai("content_policy_violation", "Your request was rejected.")),
    "model_content_policy",
  ],
  [
    "OpenAI's flagged prompt",
    reply(400, openai("invalid_prompt", "Your prompt was flagged as potentially violating our usage policy.")),
    "model_content_policy",
  ],
  [
    "Azure's content filter",
    reply(400, {
      error: {
        code: "content_filter",
        message: "The response was filtered",
        innererror: { code: "ResponsibleAIPolicyViolation" },
      },
    }),
    "model_content_policy",
  ],
  [
    "Anthropic's content filter",
    reply(400, anthropic("invalid_request_error", "Output blocked by content filtering policy")),
    "model_content_policy",
  ],
  [
    "OpenRouter's moderation",
    reply(403, { error: { code: 403, message: "This model requires moderation and your input was flagged." } }),
    "model_content_policy",
  ],
  ["a wrong OpenAI key", reply(401, openai("invalid_api_key", "Incorrect API key provided: sk-***")), "model_auth"],
  ["a wrong Anthropic key", reply(401, anthropic("authentication_error", "invalid x-api-key")), "model_auth"],
  ["a missing permission", reply(403, anthropic("permission_error", "Not allowed")), "model_auth"],
  [
    "a wrong Google key",
    reply(400, google("INVALID_ARGUMENT", "API key not valid.", [{ reason: "API_KEY_INVALID" }])),
    "model_auth",
  ],
  ["a model that is not there", reply(404, openai("model_not_found", "The model does not exist")), "model_auth"],
  ["a key missing in a package", new LoadAPIKeyError({ message: "key missing" }), "model_auth"],
  ["a provider nobody knows", new HoldfastError("unknown_model_provider", "no such provider"), "model_auth"],
  [
    "an unsupported parameter",
    reply(400, openai(null, "Unsupported parameter: 'temperature' is not supported with this model.")),
    "model_bad_request",
  ],
  [
    "an invalid message",
    reply(400, anthropic("invalid_request_error", "messages: must alternate")),
    "model_bad_request",
  ],
  ["a 422 of FastAPI", reply(422, { detail: [{ msg: "field required" }] }), "model_bad_request"],
  [
    "a prompt that a package cannot send",
    new InvalidPromptError({ prompt: "x", message: "invalid" }),
    "model_bad_request",
  ],
  ["a broken event in a stream", new JSONParseError({ text: "{", cause: new Error("end") }), "model_unavailable"],
  ["a stream cut by the network", new TypeError("terminated"), "model_unavailable"],
  ["a timeout of ours", new HoldfastError("model_timeout", "silent", { retry: "now" }), "model_unavailable"],
  ["an error in a stream, as text", "Internal server error", "model_unavailable"],
  ["a rate limit in a stream", { message: "slow down", type: "rate_limit_error" }, "model_rate_limited"],
  [
    "an overload in a stream",
    {
      message: "Overloaded",
      type: "overloaded_error",
      statusCode: 529,
      data: anthropic("overloaded_error", "Overloaded"),
    },
    "model_unavailable",
  ],
  [
    "a failed response that quotes its instructions",
    {
      message: "The server had an error",
      data: {
        type: "response.failed",
        response: {
          instructions: "Never break the content policy.",
          error: { code: "server_error", message: "The server had an error" },
        },
      },
    },
    "model_unavailable",
  ],
  [
    "a full context in a stream",
    { message: "Your input exceeds the context window of this model.", code: "context_length_exceeded" },
    "model_context_too_long",
  ],
];

for (const [name, thrown, code] of cases) {
  test(`${name} is ${code}`, () => assert.equal(classifyFailure(thrown, now).code, code));
}

const waits: [name: string, thrown: unknown, ms: number | null][] = [
  ["seconds", reply(429, {}, { "retry-after": "7" }), 7_000],
  ["milliseconds", reply(429, {}, { "retry-after-ms": "1500", "retry-after": "2" }), 1_500],
  ["a date", reply(503, {}, { "retry-after": "Wed, 21 Oct 2026 07:28:09 GMT" }), 9_000],
  ["a date gone by", reply(503, {}, { "retry-after": "Wed, 21 Oct 2026 07:27:00 GMT" }), 0],
  ["nonsense", reply(429, {}, { "retry-after": "soon" }), null],
  [
    "Google's RetryInfo",
    reply(429, google("RESOURCE_EXHAUSTED", "Quota", [{ "@type": "QuotaFailure" }, { retryDelay: "34.4s" }])),
    34_400,
  ],
  ["nothing, out of credit", reply(402), 300_000],
];

for (const [name, thrown, ms] of waits) {
  test(`Retry-After given as ${name} is read as ${ms} ms`, () =>
    assert.equal(classifyFailure(thrown, now).retryAfterMs, ms));
}

test("a message is kept in its provider's words, but never at any length", () => {
  const { message } = classifyFailure(reply(400, openai(null, `Invalid: ${"x".repeat(5_000)}`)), now);
  assert.match(message, /^Invalid: x+ …$/);
  assert.ok(message.length < 500);
});
