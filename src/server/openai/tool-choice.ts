/** Which tool a model may or must call, as both endpoints spell it. */
import type { ToolSpec } from "../../agent/conversation.ts";
import { isObject } from "../../agent/json.ts";
import type { ModelSettings } from "../../gateway/model-gateway.ts";
import { unsupported, wrong } from "./refusals.ts";

/** @throws InvalidInputError */
export function toolChoiceOf(choice: unknown, tools: readonly ToolSpec[]): ModelSettings["toolChoice"] {
  if (choice === undefined || choice === "auto" || (choice === "none" && tools.length === 0)) return undefined;
  if (tools.length === 0) throw wrong("/tool_choice", "tool_choice goes with tools alone.");
  if (choice === "none" || choice === "required") return choice;
  const { type, name, function: called } = choice as Record<string, unknown>;
  if (type !== "function") {
    throw unsupported("/tool_choice/type", `A tool_choice of the type ${JSON.stringify(type)} is not supported.`);
  }
  const tool = isObject(called) ? called["name"] : name;
  if (tools.some((each) => each.name === tool)) return { tool: String(tool) };
  throw wrong("/tool_choice", `tool_choice names ${JSON.stringify(tool)}, which is none of the tools.`);
}
