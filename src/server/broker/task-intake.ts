/**
 * Tasks that come in over a broker: the body of `POST /tasks`, checked as it is there, through the same `submit`. A message
 * that is delivered again is the same request with the same key, so there is one task however often it comes.
 */
import { createHash } from "node:crypto";
import { isObject } from "../../agent/json.ts";
import type { z } from "zod";
import type { Engine } from "../../engine/engine.ts";
import type { Overload } from "../../engine/overload.ts";
import { onlyTenant } from "../../engine/tenant.ts";
import { queueNames, type Reception, type TaskMessage } from "../../events/broker.ts";
import { InvalidInputError, messageOf } from "../../platform/errors.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import { inputSchema } from "../http/json-schema.ts";
import { guardInput } from "../http/input-guard.ts";
import { toProblem } from "../http/problem.ts";
import { taskMessage } from "../http/request-schemas.ts";
import { inApiTerms, toTaskRequest } from "../http/task-requests.ts";
import { createValidatorCompiler, toInputError } from "../http/validation.ts";

export interface IntakeDeps {
  readonly engine: Engine;
  /** Leaves messages where they are while the process cannot keep up. */
  readonly overload: Pick<Overload, "admit">;
  /** The broker, which is to bring the results. */
  readonly carrier: string;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly onAccepted: (taskId: string) => void;
}

type Body = z.infer<typeof taskMessage>;

const mostBytes = 1_048_576;
const mostKeyChars = 200;

/** Receives the messages of one agent. Never rejects. */
export function createIntake(deps: IntakeDeps, agent: string): (message: TaskMessage) => Promise<Reception> {
  const { engine, overload, carrier, log, metrics, onAccepted } = deps;
  const check = createCheck(agent);

  const accept = async ({ id, body }: TaskMessage): Promise<Reception> => {
    overload.admit();
    const { idempotency_key: key = keyOf(agent, id), ...asked } = check(body);
    const request = { ...toTaskRequest({ ...asked, agent }, key), resultTo: carrier };
    const { task, created } = await engine.submit(onlyTenant, request).catch((error: unknown) => {
      throw error instanceof InvalidInputError ? inApiTerms(error) : error;
    });
    onAccepted(task.taskId);
    metrics.messageReceived(agent, created ? "accepted" : "repeated");
    return { type: "accepted", receipt: { task_id: task.taskId, session_id: task.sessionId } };
  };

  return async (message) => {
    try {
      return await accept(message);
    } catch (error) {
      const { problem, headers } = toProblem(error, message.id);
      if (problem.status === 429 || problem.status === 503) {
        metrics.messageReceived(agent, "delayed");
        return { type: "later", afterMs: Number(headers["retry-after"]) * 1_000 };
      }
      // Ours, not the sender's: the message is kept with the dead ones, from where it can be sent again.
      if (problem.status === 500) log.error({ agent, message: message.id, error: messageOf(error) }, "a message broke");
      metrics.messageReceived(agent, "refused");
      return { type: "refused", problem: { ...problem, instance: `urn:holdfast:message:${message.id}` } };
    }
  };
}

/** @returns a function that throws InvalidInputError with the path of what is wrong */
function createCheck(agent: string): (body: unknown) => Body {
  const validate = createValidatorCompiler()({
    schema: inputSchema(taskMessage),
    httpPart: "body",
    method: "",
    url: "",
  });
  return (body) => {
    guardInput(body, "");
    if (Buffer.byteLength(JSON.stringify(body) ?? "") > mostBytes) {
      throw new InvalidInputError("body_too_large", "The body is larger than 1 MiB (1,048,576 bytes).", "");
    }
    if (validate(body) !== true) throw toInputError(validate.errors ?? [], "body");
    if (isObject(body) && body["agent"] !== undefined && body["agent"] !== agent) {
      const message = `/agent must be "${agent}", or be left out: this came by the queue ${queueNames.tasks(agent)}.`;
      throw new InvalidInputError("invalid_request", message, "/agent");
    }
    return body as Body;
  };
}

/** A queue's own keys cannot be those that a client of the HTTP API makes up. */
function keyOf(agent: string, id: string): string {
  const key = `${queueNames.tasks(agent)}/${id}`;
  return key.length <= mostKeyChars ? key : createHash("sha256").update(key).digest("hex");
}
