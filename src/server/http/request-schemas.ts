/** What the API takes. Unknown fields are refused everywhere: a misspelt limit must not be silently without effect. */
import { z } from "zod";
import type { Json } from "../../agent/json.ts";
import { modelPattern } from "../../agent/route.ts";
import type {
  AnswerBody,
  BatchBody,
  CancelBody,
  ForkBody,
  KeyBody,
  RetryBody,
  RunBody,
  TaskBody,
} from "../../client/wire.ts";
import { requestBounds as bounds } from "../../engine/task-request.ts";
import { usageDimensions, usagePurposes } from "../../store/queries/usage-report.ts";

interface Range {
  readonly least: number;
  readonly most: number;
}

const text = ({ least, most }: Range) => z.string().min(least).max(most);
const integer = ({ least, most }: Range) => z.int().min(least).max(most);
const number = ({ least, most }: Range) => z.number().min(least).max(most);
// Any JSON value: `z.json()` would check it once more, recursively.
const anyJson = z.unknown() as unknown as z.ZodType<Json>;

const by = text({ least: 1, most: 200 }).optional().describe('Who does this; default "operator".');
const agentName = text({ least: 1, most: 200 });

const task = {
  prompt: text(bounds.promptChars).describe("What is asked of the agent."),
  agent: agentName.optional().describe("May be left out where the service hosts one agent."),
  session_id: text(bounds.sessionIdChars).optional().describe("The conversation; absent: a new one."),
  user_id: text(bounds.userIdChars).optional(),
  context: anyJson.optional().describe("Given to the agent with the prompt."),
  metadata: z.record(z.string(), anyJson).optional().describe("Kept with the task; the agent does not see it."),
  max_steps: integer(bounds.maxSteps)
    .optional()
    .describe("Model turns; default: the agent's, which is 10 if it says nothing."),
  token_budget: integer(bounds.tokenBudget).optional().describe("Tokens of all turns together."),
  cost_budget_usd: number(bounds.costBudgetUsd).optional(),
  deadline_ms: integer(bounds.deadlineMs).optional().describe("Working time, without the waiting for humans."),
  priority: integer(bounds.priority).optional().describe("Higher goes first; default 0."),
  deferred: z
    .union([
      z.boolean(),
      z.strictObject({
        within_ms: integer(bounds.deferredWithinMs).optional().describe("From its submission; default: a day."),
        otherwise: z.enum(["call", "fail"]).optional().describe("What it does after that; default `call`."),
      }),
    ])
    .optional()
    .describe("Its model turns go through the provider's batch API: slower, and at half the price."),
  while_busy: z
    .enum(["queue", "inject", "interrupt"])
    .optional()
    .describe(
      "What becomes of it if a task of the session is at work. `queue` (default): it is a task of its own, after it. " +
        "`inject`: it is given to that task before its next model turn. `interrupt`: the same, and a model turn in flight " +
        "is cut off.",
    ),
};

export const taskBody = z.strictObject(task).meta({ title: "TaskBody" }) satisfies z.ZodType<TaskBody>;

export const runBody = z
  .strictObject({
    ...task,
    wait_ms: z.int().min(0).max(300_000).default(30_000).describe("How long to wait for the end of the task."),
  })
  .meta({ title: "RunBody" }) satisfies z.ZodType<RunBody>;

/** A task that brings its key along. */
const keyedTask = z.strictObject({ ...task, idempotency_key: text(bounds.idempotencyKeyChars).optional() });

/** Over a broker it is always a task of its own, for its result has to find its way back. */
export const taskMessage = keyedTask.omit({ while_busy: true });

export const batchBody = z
  .strictObject({
    tasks: z.array(keyedTask).min(1).max(100),
  })
  .meta({ title: "BatchBody" }) satisfies z.ZodType<BatchBody>;

export const retryBody = z
  .strictObject({
    prompt: text(bounds.promptChars)
      .optional()
      .describe("Absent: go on from where it stopped; given: start again with it."),
    by,
  })
  .meta({ title: "RetryBody" }) satisfies z.ZodType<RetryBody>;

export const cancelBody = z.strictObject({ by }).meta({ title: "CancelBody" }) satisfies z.ZodType<CancelBody>;

const modelName = z.string().max(200).regex(modelPattern);

export const forkBody = z
  .strictObject({
    step: integer({ least: 0, most: 1_000 })
      .optional()
      .describe("The last model turn to keep, with its tools, from 1; 0: none; absent: all that are whole."),
    prompt: text(bounds.promptChars).optional(),
    model: z
      .union([modelName, z.array(modelName).min(1).max(10)])
      .optional()
      .describe("Candidates `provider/model`."),
  })
  .meta({ title: "ForkBody" }) satisfies z.ZodType<ForkBody>;

export const answerBody = z
  .strictObject({
    decision: z.enum(["approve", "deny", "edit", "succeeded", "failed", "retry", "continue", "end"]),
    input: anyJson.optional().describe("For `edit`: the arguments to run with."),
    output: anyJson.optional().describe("For `succeeded`: what the tool answered."),
    comment: z
      .string()
      .max(10_000)
      .optional()
      .describe("For `deny` and `failed`: told to the agent; for `approve` and `edit`: kept."),
    advice: z.string().max(10_000).optional().describe("For `continue`: told to the agent."),
    limits: z
      .strictObject({
        max_steps: integer({ least: 1, most: 1_000 }).optional(),
        tokens: integer({ least: 1, most: 100_000_000 }).optional(),
        cost_usd: number(bounds.costBudgetUsd).optional(),
      })
      .optional()
      .describe("For `continue`: new ceilings; what is left out is doubled if it was reached."),
    by,
  })
  .meta({ title: "AnswerBody" }) satisfies z.ZodType<AnswerBody>;

const usd = number(bounds.costBudgetUsd).optional();

export const keyBody = z
  .strictObject({
    name: text({ least: 1, most: 200 }).describe("What it is called in lists."),
    tenant: text({ least: 1, most: 200 }).optional().describe("Whom its calls count for."),
    models: z
      .array(text({ least: 1, most: 300 }))
      .max(100)
      .optional()
      .describe("The models it may call; `*` stands for any characters. Default: all."),
    budget_usd: z
      .strictObject({ day: usd, month: usd, total: usd })
      .optional()
      .describe("What it may spend in a day and a month (of UTC), and ever."),
    requests_per_minute: integer({ least: 1, most: 1_000_000 }).optional(),
    tokens_per_minute: integer({ least: 1, most: 1_000_000_000 }).optional(),
    expires_at: z.iso.datetime({ offset: true }).optional(),
  })
  .meta({ title: "KeyBody" }) satisfies z.ZodType<KeyBody>;

export const idempotencyHeaders = z.object({
  "idempotency-key": text(bounds.idempotencyKeyChars)
    .optional()
    .describe("A repeat with the same key answers the same task; with another body it is refused."),
});

export const eventHeaders = z.object({
  "last-event-id": z
    .string()
    .regex(/^\d{0,10}$/)
    .optional()
    .describe("The number of the last entry that was received."),
});

const cursor = text({ least: 1, most: 500 }).optional().describe("The `next_cursor` of the page before.");
const limit = z.int().min(1).max(200).default(50);

export const pageQuery = z.strictObject({ limit, cursor });

export const taskQuery = z.strictObject({
  status: z.enum(["pending", "running", "waiting", "completed", "failed", "cancelled"]).optional(),
  agent: agentName.optional(),
  session_id: text(bounds.sessionIdChars).optional(),
  user_id: text(bounds.userIdChars).optional(),
  limit,
  cursor,
});

const dimensions = `(${usageDimensions.join("|")})`;
const dayOrTime = z.union([z.iso.date(), z.iso.datetime({ offset: true })]);

export const usageQuery = z.strictObject({
  by: z
    .string()
    .regex(new RegExp(`^${dimensions}(,${dimensions})*$`))
    .optional()
    .describe(
      `What the sums are by, several with commas between: ${usageDimensions.join(", ")}. Absent: one sum of all.`,
    ),
  from: dayOrTime.optional().describe("Calls from this time on. A day begins at 0:00 UTC."),
  to: dayOrTime.optional().describe("Calls before this time."),
  agent: agentName.optional(),
  session_id: text(bounds.sessionIdChars).optional(),
  user_id: text(bounds.userIdChars).optional(),
  model: text({ least: 1, most: 200 }).optional(),
  purpose: z.enum(usagePurposes).optional(),
  format: z.enum(["json", "csv"]).optional().describe("Absent: what `Accept` prefers, else JSON."),
  limit: z.int().min(1).max(10_000).default(1_000),
  cursor,
});

export const approvalQuery = z.strictObject({
  status: z.enum(["pending", "answered", "cancelled"]).default("pending"),
  task_id: z.uuid().optional(),
  limit,
  cursor,
});

// Beyond this a number is no `seq`: the column is a 32-bit integer.
export const mostSeq = 2_147_483_647;

export const eventQuery = z.strictObject({
  after: integer({ least: 0, most: mostSeq })
    .optional()
    .describe("Only entries after this one; `Last-Event-ID` wins over it."),
});

export const idParams = z.object({ id: z.uuid() });
export const valueParams = z.object({ id: z.uuid(), hash: z.string().regex(/^[0-9a-f]{64}$/) });
export const sessionParams = z.object({ id: text(bounds.sessionIdChars) });
export const agentParams = z.object({ name: agentName });
