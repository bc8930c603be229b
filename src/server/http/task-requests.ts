/** From the bodies of the API to what the engine is asked for, and back to the API's names in what it refuses. */
import type { z } from "zod";
import type { Engine } from "../../engine/engine.ts";
import type { TaskRequest } from "../../engine/task-request.ts";
import { onlyTenant } from "../../engine/tenant.ts";
import { InvalidInputError } from "../../platform/errors.ts";
import type { taskBody } from "./request-schemas.ts";

type Body = z.infer<typeof taskBody>;

/** @throws what `engine.submit` throws, in the names of the API */
export async function submitTask(engine: Engine, body: Body, idempotencyKey: string | undefined) {
  try {
    return await engine.submit(onlyTenant, toTaskRequest(body, idempotencyKey));
  } catch (error) {
    throw error instanceof InvalidInputError ? inApiTerms(error) : error;
  }
}

export function toTaskRequest(body: Body, idempotencyKey: string | undefined): TaskRequest {
  return {
    prompt: body.prompt,
    agent: body.agent,
    sessionId: body.session_id,
    userId: body.user_id,
    context: body.context,
    metadata: body.metadata,
    maxSteps: body.max_steps,
    tokenBudget: body.token_budget,
    costBudgetUsd: body.cost_budget_usd,
    deadlineMs: body.deadline_ms,
    priority: body.priority,
    deferred: toDeferred(body.deferred),
    whileBusy: body.while_busy,
    idempotencyKey,
  };
}

function toDeferred(deferred: Body["deferred"]): TaskRequest["deferred"] {
  if (deferred === undefined || typeof deferred === "boolean") return deferred;
  const { within_ms: withinMs, otherwise } = deferred;
  return { ...(withinMs !== undefined && { withinMs }), ...(otherwise !== undefined && { otherwise }) };
}

/** "/sessionId" is "/session_id" to a client. */
export function inApiTerms(error: InvalidInputError): InvalidInputError {
  const { code, message, path } = error;
  if (path === undefined) return error;
  const name = path.slice(1);
  const apiName = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  // What it says beyond that is not to be lost.
  if (apiName === name) return error;
  return new InvalidInputError(code, message.replace(name, apiName), `/${apiName}`);
}
