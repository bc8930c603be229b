/** What the API answers, for its documentation; the tests hold every answer against these. */
import { z } from "zod";
import type { Json, JsonObject } from "../../agent/json.ts";
import type * as wire from "../../client/wire.ts";

const anyJson = z.unknown() as unknown as z.ZodType<Json>;
const anyObject = z.record(z.string(), z.unknown()) as unknown as z.ZodType<JsonObject>;
const time = z.iso.datetime();
const count = z.int().min(0);

export const problem = z
  .looseObject({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.string().describe("Stable; what programs match on."),
    path: z.string().exactOptional().describe("A JSON pointer to what is wrong in the input."),
    instance: z.string().exactOptional(),
    candidates: z
      .array(z.object({ agent: z.string(), score: z.number() }))
      .exactOptional()
      .describe("With `no_agent_fits`: how well each agent fits, the best first."),
  })
  .meta({ title: "Problem" }) satisfies z.ZodType<wire.Problem>;

const status = z.enum(["pending", "running", "waiting", "completed", "failed", "cancelled"]);

const result = {
  task_id: z.uuid(),
  session_id: z.string(),
  status,
  output: z.string(),
  steps_used: count,
  tokens_used: count,
  tool_calls: count,
  cost_usd: z.number().nullable(),
  error: z.string().nullable(),
  duration_ms: z.number().min(0),
};

const messageId = z
  .uuid()
  .exactOptional()
  .describe(
    "It was left as a message for this task, which was at work: its id in the journal. If the task ends without having " +
      "heard it, it becomes a task of this id.",
  );

const links = z.object({ self: z.string(), events: z.string(), journal: z.string(), cancel: z.string() });

export const agentResult = z.object(result).meta({ title: "AgentResult" }) satisfies z.ZodType<wire.AgentResult>;
export const unfinished = z
  .object({ ...result, message_id: messageId, links })
  .meta({ title: "Unfinished" }) satisfies z.ZodType<wire.Unfinished>;

export const accepted = z
  .object({ task_id: z.uuid(), session_id: z.string(), status, message_id: messageId, links })
  .meta({ title: "Accepted" }) satisfies z.ZodType<wire.Accepted>;

export const batchAccepted = z
  .object({ items: z.array(z.union([z.object({ task: accepted }), z.object({ problem })])) })
  .describe("One item for each task, in order.");

const summary = {
  ...result,
  agent: z.string(),
  user_id: z.string().nullable(),
  priority: z.int(),
  prompt: z.string(),
  dead_letter: z.boolean(),
  forked_from: z.uuid().nullable(),
  error_message: z.string().nullable(),
  created_at: time,
  started_at: time.nullable(),
  finished_at: time.nullable(),
};

export const taskSummary = z.object(summary).meta({ title: "TaskSummary" }) satisfies z.ZodType<wire.TaskSummary>;
export const task = z
  .object({ ...summary, context: anyJson, metadata: anyObject })
  .meta({ title: "Task" }) satisfies z.ZodType<wire.Task>;

const usage = z.object({ input: count, cached: count, output: count, reasoning: count, estimated: z.boolean() });
const attempts = z.array(
  z.object({
    model: z.string(),
    code: z.string(),
    message: z.string(),
    ms: z.number(),
    at: time.exactOptional(),
    usage: usage.exactOptional(),
    cost_usd: z.number().nullable().exactOptional(),
    injected: z.string().exactOptional(),
  }),
);
const effect = z.enum(["read", "idempotent", "once"]);
const approvalKind = z.enum(["tool", "uncertain", "limit", "stutter"]);

const outcome = z.union([
  z.object({
    ok: z.literal(true),
    output: anyJson,
    large: z.object({ hash: z.string(), bytes: z.int() }).exactOptional(),
  }),
  z.object({ ok: z.literal(false), code: z.string(), message: z.string() }),
]);

const part = z.union([
  z.object({ type: z.enum(["text", "reasoning"]), text: z.string() }),
  z.object({ type: z.literal("call"), id: z.string(), tool: z.string(), input: anyJson }),
]);

const plannedCall = z.object({
  id: z.string(),
  tool: z.string(),
  input: anyJson,
  version: z.string().exactOptional(),
  effect: effect.exactOptional(),
  needs_approval: z.boolean(),
  problem: z.object({ code: z.string(), message: z.string() }).exactOptional(),
});

const raisedLimits = z.object({
  max_steps: z.int().exactOptional(),
  tokens: z.int().exactOptional(),
  cost_usd: z.number().exactOptional(),
});

const answer = z.discriminatedUnion("decision", [
  z.object({ decision: z.literal("approve"), comment: z.string().exactOptional() }),
  z.object({ decision: z.enum(["retry", "end"]) }),
  z.object({ decision: z.enum(["deny", "failed"]), comment: z.string() }),
  z.object({ decision: z.literal("edit"), input: anyJson, comment: z.string().exactOptional() }),
  z.object({ decision: z.literal("succeeded"), output: anyJson }),
  z.object({ decision: z.literal("continue"), advice: z.string(), limits: raisedLimits }),
]);

const place = { seq: z.int().min(1), at: time };

export const entry = z
  .discriminatedUnion("kind", [
    z.object({
      ...place,
      kind: z.literal("assignment"),
      agent: z.string(),
      method: z.enum(["session", "embeddings", "words", "otherwise"]),
      reason: z.string(),
      scores: z.array(z.object({ agent: z.string(), score: z.number() })),
      model: z.string().exactOptional(),
      usage: usage.exactOptional(),
      cost_usd: z.number().nullable().exactOptional(),
    }),
    z.object({
      ...place,
      kind: z.literal("model"),
      parts: z.array(part),
      calls: z.array(plannedCall),
      finish: z.enum(["stop", "calls", "length", "content_filter", "interrupted"]),
      model: z.string(),
      usage,
      cost_usd: z.number().nullable(),
      ttft_ms: z.number(),
      tpot_ms: z.number(),
      attempts,
      choice: z.object({ strategy: z.string(), reason: z.string() }).exactOptional(),
      injected: z.string().exactOptional(),
      hit: z.literal("cache").exactOptional(),
      saved: z.object({ usage, cost_usd: z.number().nullable() }).exactOptional(),
    }),
    z.object({
      ...place,
      kind: z.literal("compression"),
      kept_turns: z.int().min(0),
      outcome_chars: z.int().nullable(),
      summary: z.string().nullable(),
      model: z.string().nullable(),
      usage,
      cost_usd: z.number().nullable(),
      attempts,
      tokens_before: z.int(),
      tokens_after: z.int(),
    }),
    z.object({ ...place, kind: z.literal("deferred"), call_id: z.string(), model: z.string(), until: time }),
    z.object({ ...place, kind: z.literal("intent"), call_id: z.string(), tool: z.string(), key: z.string() }),
    z.object({ ...place, kind: z.literal("tool"), call_id: z.string(), tool: z.string(), outcome, ms: z.number() }),
    z.object({
      ...place,
      kind: z.literal("question"),
      approval_id: z.uuid(),
      question: approvalKind,
      call_id: z.string().nullable(),
      tool: z.string().nullable(),
      input: anyJson,
      input_hash: z.string(),
      reason: z.string(),
    }),
    z.object({ ...place, kind: z.literal("answer"), approval_id: z.uuid(), answer, by: z.string() }),
    z.object({
      ...place,
      kind: z.literal("message"),
      message_id: z.uuid(),
      prompt: z.string(),
      context: anyJson,
      user_id: z.string().nullable(),
    }),
    z.object({
      ...place,
      kind: z.literal("failure"),
      code: z.string(),
      message: z.string(),
      attempts,
      retry_at: time.nullable(),
    }),
    z.object({ ...place, kind: z.literal("replay"), prompt: z.string().nullable(), by: z.string() }),
    z.object({
      ...place,
      kind: z.literal("end"),
      status: z.enum(["completed", "failed", "cancelled"]),
      error: z.string().nullable(),
      message: z.string(),
    }),
  ])
  .meta({ title: "Entry" }) satisfies z.ZodType<wire.Entry>;

export const approval = z
  .object({
    id: z.uuid(),
    task_id: z.uuid(),
    agent: z.string(),
    kind: approvalKind,
    call_id: z.string().nullable(),
    tool: z.string().nullable(),
    input: anyJson,
    input_hash: z.string(),
    reason: z.string(),
    status: z.enum(["pending", "answered", "cancelled"]),
    answer: answer.nullable(),
    answered_by: z.string().nullable(),
    created_at: time,
    answered_at: time.nullable(),
    expires_at: time.nullable(),
  })
  .meta({ title: "Approval" }) satisfies z.ZodType<wire.Approval>;

export const session = z
  .object({ session_id: z.string(), open_tasks: count, created_at: time, updated_at: time })
  .meta({ title: "Session" }) satisfies z.ZodType<wire.Session>;

const toolCall = z.object({ id: z.string(), name: z.string(), arguments: anyJson });

export const message = z
  .discriminatedUnion("role", [
    z.object({ role: z.literal("user"), content: z.string(), task_id: z.uuid() }),
    z.object({
      role: z.literal("assistant"),
      content: z.string(),
      tool_calls: z.array(toolCall).exactOptional(),
      task_id: z.uuid(),
    }),
    z.object({
      role: z.literal("tool"),
      tool_call_id: z.string(),
      name: z.string(),
      content: z.string(),
      error: z.string().exactOptional(),
      task_id: z.uuid(),
    }),
  ])
  .meta({ title: "Message" }) satisfies z.ZodType<wire.Message>;

export const usageSum = z
  .object({
    agent: z.string().nullable().exactOptional(),
    session_id: z.string().nullable().exactOptional(),
    user_id: z.string().nullable().exactOptional(),
    model: z.string().exactOptional(),
    day: z.iso.date().exactOptional().describe("In UTC."),
    key_id: z.string().nullable().exactOptional().describe("The virtual key that was used."),
    purpose: z.enum(["production", "evaluation"]).exactOptional().describe("What the calls were made for."),
    calls: count,
    failed_calls: count.describe("Of the calls: those that gave no answer that counts, and were paid for."),
    estimated_calls: count.describe("Of the calls: those whose tokens nobody reported."),
    unpriced_calls: count.describe("Of the calls: those of models whose price is unknown; `cost_usd` is without them."),
    input_tokens: count.describe("Of these `cached_tokens` were read from the provider's cache."),
    cached_tokens: count,
    output_tokens: count.describe("Of these `reasoning_tokens` were not shown."),
    reasoning_tokens: count,
    cost_usd: z.number().nullable().describe("Null: the price of none of the calls is known."),
  })
  .meta({ title: "UsageSum" }) satisfies z.ZodType<wire.UsageSum>;

const agentCore = {
  name: z.string(),
  version: z.string(),
  description: z.string(),
  model: z.array(z.string()),
  limits: z.object({
    max_steps: z.int(),
    tokens: z.int(),
    cost_usd: z.number().nullable(),
    deadline_ms: z.number().nullable(),
    on_limit: z.enum(["stop", "ask"]),
  }),
};

export const agent = z
  .object({ ...agentCore, tools: z.array(z.string()) })
  .meta({ title: "Agent" }) satisfies z.ZodType<wire.Agent>;

export const agentDetail = z
  .object({
    ...agentCore,
    instructions: z.string(),
    tools: z.array(
      z.object({
        name: z.string(),
        version: z.string(),
        description: z.string(),
        effect,
        parameters: anyObject,
        returns: anyObject.nullable(),
      }),
    ),
  })
  .meta({ title: "AgentDetail" }) satisfies z.ZodType<wire.AgentDetail>;

export const readiness = z
  .object({
    status: z.enum(["ready", "degraded", "not_ready"]),
    checks: z.array(z.object({ name: z.string(), ok: z.boolean(), detail: z.string() })),
  })
  .meta({ title: "Readiness" }) satisfies z.ZodType<wire.Readiness>;

export const health = z.object({ status: z.literal("ok") });

export const welcome = z.object({
  name: z.string(),
  version: z.string(),
  links: z.record(z.string(), z.string()),
});

export function pageOf<Item extends z.ZodType>(item: Item) {
  return z.object({ items: z.array(item), next_cursor: z.string().nullable() });
}

const budgets = z.object({ day: z.number().nullable(), month: z.number().nullable(), total: z.number().nullable() });

const keyFields = {
  id: z.uuid(),
  tenant: z.string(),
  name: z.string(),
  prefix: z.string().describe("The beginning of its secret."),
  status: z.enum(["active", "expired", "revoked"]),
  models: z.array(z.string()),
  budget_usd: budgets,
  spent_usd: z.object({ day: z.number(), month: z.number(), total: z.number() }),
  requests_per_minute: count.nullable(),
  tokens_per_minute: count.nullable(),
  created_at: time,
  expires_at: time.nullable(),
  revoked_at: time.nullable(),
};

export const key = z.object(keyFields).meta({ title: "Key" }) satisfies z.ZodType<wire.Key>;

export const createdKey = z
  .object({ ...keyFields, secret: z.string() })
  .meta({ title: "CreatedKey" }) satisfies z.ZodType<wire.CreatedKey>;
