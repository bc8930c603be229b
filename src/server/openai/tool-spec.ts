/** A tool that a model may call, as both endpoints describe it. */
import type { ToolSpec } from "../../agent/conversation.ts";
import type { JsonObject } from "../../agent/json.ts";
import { unsupported } from "./refusals.ts";

export interface DescribedFunction {
  readonly name: string;
  readonly description?: string | null | undefined;
  readonly parameters?: Readonly<Record<string, unknown>> | null | undefined;
  readonly strict?: boolean | null | undefined;
}

/** @throws InvalidInputError @param path of the tool */
export function requireFunction({ type }: { readonly type: string }, path: string): void {
  if (type === "function") return;
  throw unsupported(`${path}/type`, `A tool of the type ${JSON.stringify(type)} is not supported.`);
}

export function toolSpecOf({ name, description, parameters, strict }: DescribedFunction): ToolSpec {
  const inputSchema = (parameters ?? { type: "object", properties: {} }) as JsonObject;
  return { name, description: description ?? "", inputSchema, ...(strict === true && { strict }) };
}
